"""Motion scores in captions (SANA-Video, section 3.5)."""


def with_motion(caption: str, score: float | None) -> str:
    """Returns the caption followed by ` motion score: {int}.`, or unchanged if there is no score.

    The score is the mean optical flow in pixels at 320x576 between frames 0.5 s apart.
    """
    return caption if score is None else f"{caption} motion score: {int(score)}."
