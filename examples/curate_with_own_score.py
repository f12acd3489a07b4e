"""Curate with a score of your own: the share of green pixels in a video's first frame, at most 20 %.

python examples/curate_with_own_score.py VIDEOS DATASET
"""

import sys
from pathlib import Path

import av
import numpy as np
import pandas as pd

import framemill


def green_share(path: Path) -> float:
    """Returns the share of pixels, 0..1, that are clearly more green than red and blue."""
    with av.open(path) as container:
        rgb = next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    return float(np.mean((green > 1.5 * red) & (green > 1.5 * blue)))


def main(videos: str, dataset: str) -> None:
    """Scores each video, then curates with an upper bound on the score."""
    paths = sorted(Path(videos).rglob("*.mp4"))
    scores = pd.DataFrame(
        {
            "path": [path.relative_to(videos).as_posix() for path in paths],
            "green": [green_share(path) for path in paths],
        }
    )
    file = Path(f"{dataset}-green.parquet")
    scores.to_parquet(file)
    result = framemill.curate(
        input=videos,
        output=dataset,
        join={"scores": file, "columns": ["green"]},
        select={"bands": {"green": {"max": 0.2}}},
    )
    print(result.line())
    for reason, clips in result.reasons.items():
        print(f"{clips:6} {reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
