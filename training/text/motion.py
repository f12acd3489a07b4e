"""How much motion a video has, told to the model in words (SANA-Video, section 3.5)."""


def with_motion(caption: str, score: float | None) -> str:
    """The caption with ` motion score: {int}.` behind it, or as it is where there is no score.

    The score is the mean optical flow in pixels at 320x576 between frames half a second apart.
    """
    return caption if score is None else f"{caption} motion score: {int(score)}."
