"""How well codecs keep video.

usage: python tests/bench/bench_codecs.py [folder of videos; default: the demo's reel, rendered here] [wan=folder] ...

Round trips of 17 frames, one clip after the other from up to 4 s of each video at 16 fps, at 64x96 and 128x192 pixels:
mean and lowest PSNR, and CPU seconds for a million pixels. `dct` needs no weights; of the others those are measured
whose folders are given. Beside them the best that 16 numbers for 4x8x8 pixels can do by any linear map at all, which
is `dct`'s limit: the principal components of these very clips.
"""

import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from framemill.platform.vision.reel import render_reel
from framemill.training.codecs import get_codec
from framemill.training.codecs.base import Codec
from framemill.training.codecs.dct import DctCodec

sys.path.append(str(Path(__file__).resolve().parents[2]))  # `tests`, when this file is run by its path

from tests.bench.codec_statistics import FRAMES, fit, read

SIZES = ((64, 96), (128, 192))
KEPT = DctCodec.channels


class PrincipalComponents(DctCodec):
    """The linear block codec that loses least on the clips it is made for; the first frame stands still, as in dct."""

    def __init__(self, clips: list[np.ndarray]) -> None:
        blocks = np.concatenate([self.blocks(clip) for clip in clips])
        self.mean = blocks.mean(0)
        _, vectors = np.linalg.eigh(np.cov((blocks - self.mean).T))
        self.basis = vectors[:, -KEPT:]

    @staticmethod
    def blocks(video: np.ndarray) -> np.ndarray:
        video = np.concatenate([np.repeat(video[:1], 3, axis=0), video]).astype(np.float32)
        time, rows, columns = len(video) // 4, video.shape[1] // 8, video.shape[2] // 8
        split = video.reshape(time, 4, rows, 8, columns, 8, 3).transpose(0, 2, 4, 1, 3, 5, 6)
        return split.reshape(time * rows * columns, -1)

    def round_trip(self, video: np.ndarray) -> np.ndarray:
        blocks = self.blocks(video)
        kept = (blocks - self.mean) @ self.basis @ self.basis.T + self.mean
        rows, columns = video.shape[1] // 8, video.shape[2] // 8
        split = kept.reshape(-1, rows, columns, 4, 8, 8, 3).transpose(0, 3, 1, 4, 2, 5, 6)
        return np.clip(np.rint(split.reshape(-1, *video.shape[1:])[3:]), 0, 255).astype(np.uint8)


def clips_of(folder: Path, height: int, width: int) -> list[np.ndarray]:
    clips = []
    for path in sorted(folder.iterdir()):
        try:
            frames = [fit(frame, height, width) for frame in read(path)]
        except (av.FFmpegError, IndexError):
            continue
        clips += [np.stack(frames[at : at + FRAMES]) for at in range(0, len(frames) - FRAMES + 1, FRAMES)]
    return clips


def psnr(first: np.ndarray, second: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.square(first.astype(float) - second).mean(), 1e-9)))


def line(name: str, codec: Codec, clips: list[np.ndarray]) -> str:
    began = time.process_time()
    if isinstance(codec, PrincipalComponents):
        shown = [codec.round_trip(clip) for clip in clips]
    else:
        shown = [codec.decode(codec.encode(clip)) for clip in clips]
    seconds = (time.process_time() - began) / sum(clip[..., 0].size for clip in clips) * 1e6
    ratios = [psnr(clip, other) for clip, other in zip(clips, shown, strict=True)]
    quality = f"PSNR mean {np.mean(ratios):5.2f} dB, lowest {np.min(ratios):5.2f}"
    return f"  {name:22} {quality}; {seconds:6.3f} CPU s a megapixel"


def main(folder: Path, paths: dict[str, str]) -> None:
    for height, width in SIZES:
        clips = clips_of(folder, height, width)
        print(f"{len(clips)} clips of {FRAMES}x{height}x{width}")
        print(line("principal components", PrincipalComponents(clips), clips))
        print(line("dct", DctCodec(), clips))
        for name, path in paths.items():
            print(line(name, get_codec(name, path), clips))


if __name__ == "__main__":
    folders, networks = [], []
    for word in sys.argv[1:]:
        (networks if "=" in word else folders).append(word)
    with tempfile.TemporaryDirectory() as scratch:
        if not folders:
            render_reel(scratch, shots=24)
        main(Path((folders or [scratch])[0]), dict(word.split("=", 1) for word in networks))
