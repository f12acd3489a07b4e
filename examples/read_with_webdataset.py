"""Read a dataset's shards with `webdataset`, without Framemill, as other training code would.

python examples/read_with_webdataset.py DATASET
"""

import io
import json
import sys
from pathlib import Path

import av
import webdataset


def main(dataset: str) -> None:
    """Prints each sample's key, number of frames, frame shape, frame rate and caption."""
    shards = [str(path) for path in sorted(Path(dataset, "shards").glob("*.tar"))]
    for sample in webdataset.WebDataset(shards, shardshuffle=False):
        facts = json.loads(sample["json"])
        with av.open(io.BytesIO(sample["mp4"])) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        print(sample["__key__"], len(frames), frames[0].shape, facts["fps"], sample["txt"].decode())


if __name__ == "__main__":
    main(*sys.argv[1:])
