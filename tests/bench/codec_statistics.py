"""Measures the constants of `training/codecs/dct.py`: python tests/bench/codec_statistics.py FOLDER_OF_VIDEOS

The clips: 17 frames, one after the other, from up to 4 s of each video at 16 fps, at 64x112 and 128x224 pixels; and as
many rendered ones, discs that drift over a gradient. Prints mean and standard deviation of each channel's coefficient
(first latent frames left out: they have no motion), how the present constants fare, and the PSNR of a round trip.
"""

import sys
from pathlib import Path

import av
import cv2
import numpy as np

from framemill.training.codecs.dct import CHANNELS, MEAN, STD, DctCodec

FRAMES, FPS, LONGEST = 17, 16, 65
SIZES = ((64, 112), (128, 224))


def read(path: Path) -> list[np.ndarray]:
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            if frame.time is not None and frame.time * FPS >= len(frames):
                frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == LONGEST:
                break
    return frames


def fit(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    scale = max(height / frame.shape[0], width / frame.shape[1])
    size = (max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale)))
    frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    top, left = (frame.shape[0] - height) // 2, (frame.shape[1] - width) // 2
    return frame[top : top + height, left : left + width]


def render(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A disc that drifts over a vertical gradient, both of random colours."""
    ramp = np.linspace(0, 1, height)[:, None, None]
    background = (1 - ramp) * rng.uniform(0, 255, 3) + ramp * rng.uniform(0, 255, 3)
    colour, radius = rng.uniform(0, 255, 3), rng.uniform(0.1, 0.3) * height
    place, speed = rng.uniform(0, (height, width)), rng.normal(0, height / 32, 2)
    rows, columns = np.mgrid[:height, :width]
    frames = []
    for index in range(FRAMES):
        distance = np.hypot(rows - place[0] - speed[0] * index, columns - place[1] - speed[1] * index)
        cover = np.clip(radius - distance + 0.5, 0, 1)[..., None]
        frames.append((1 - cover) * background + cover * colour)
    return np.rint(np.stack(frames)).astype(np.uint8)


def clips(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    real: list[np.ndarray] = []
    for path in sorted(folder.iterdir()):
        try:
            frames = read(path)
        except (av.FFmpegError, IndexError):
            continue
        for size in SIZES:
            for start in range(0, len(frames) - FRAMES + 1, FRAMES):
                real.append(np.stack([fit(frame, *size) for frame in frames[start : start + FRAMES]]))
    rng = np.random.default_rng(0)
    return real, [render(rng, *SIZES[index % 2]) for index in range(len(real))]


def rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 2) for value in values]


def main(folder: Path) -> None:
    codec = DctCodec()
    real, rendered = clips(folder)
    latents = {name: [codec.encode(v) for v in videos] for name, videos in (("real", real), ("rendered", rendered))}
    # Every clip counts alike, whatever its size.
    moving = np.stack(
        [
            [z[:, 1:].reshape(len(z), -1).mean(1), np.square(z[:, 1:]).reshape(len(z), -1).mean(1)]
            for z in latents["real"] + latents["rendered"]
        ]
    )
    first, second = moving.mean(0)
    mean, std = first * STD + MEAN, np.sqrt(second - first**2) * STD
    for (plane, frequency, *_), m, s in zip(CHANNELS, mean, std, strict=True):
        print(f"    ({('Y', 'CB', 'CR')[plane]}, {frequency}, {m:.1f}, {s:.1f}),")
    for name, videos in (("real", real), ("rendered", rendered)):
        z = np.concatenate([z[:, 1:].reshape(len(z), -1) for z in latents[name]], axis=1)
        print(f"{name}: {len(videos)} clips; normalised mean {rounded(z.mean(1))} std {rounded(z.std(1))}")
        for height, _ in SIZES:
            errors = [
                np.square(codec.decode(codec.encode(v)).astype(float) - v).mean()
                for v in videos
                if v.shape[1] == height
            ]
            psnr = 10 * np.log10(255**2 / np.maximum(errors, 1e-9))
            print(f"  {height} rows: PSNR mean {psnr.mean():.1f} dB, lowest {psnr.min():.1f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
