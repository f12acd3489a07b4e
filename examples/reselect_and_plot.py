"""Select again from recorded scores, without decoding, and plot the motion of kept and rejected clips.

python examples/reselect_and_plot.py DATASET OUTPUT
"""

import sys

import matplotlib

import framemill

matplotlib.use("Agg")


def main(dataset: str, output: str) -> None:
    """Keeps the half of the clips with the most motion and plots the motion of kept and rejected clips."""
    print(framemill.curate(from_=dataset, output=output, select={"bands": {"motion": {"min_quantile": 0.5}}}).line())

    clips = framemill.open_dataset(output).ledger("clips").to_pandas()
    print(clips.groupby("state")[["motion", "saturation", "technical"]].mean().round(3))
    print(clips.loc[clips["state"] != "kept", "reason"].value_counts().to_string())

    axes = clips.pivot(columns="state", values="motion").plot.hist(bins=20, alpha=0.6, title="motion by state")
    axes.set_xlabel("mean optical flow, pixels at 320x576 between frames 0.5 s apart")
    axes.figure.savefig(f"{output}/motion.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
