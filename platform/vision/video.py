"""Re-exports of the functions for reading and writing video."""

from framemill.platform.vision.probe import VideoInfo, probe
from framemill.platform.vision.read import Frame, iter_frames, read_video
from framemill.platform.vision.stream import VideoError
from framemill.platform.vision.write import encode_mp4, resample, retime

__all__ = [
    "Frame",
    "VideoError",
    "VideoInfo",
    "encode_mp4",
    "iter_frames",
    "probe",
    "read_video",
    "resample",
    "retime",
]
