"""A descriptor sentence for a clip, made from its scores and colours; the caption of clips without other captions.

Small models are conditioned on the sentence, so it names visible properties: brightness, colours and their positions,
detail, and motion.
"""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

_BRIGHTNESS = ((45, "very dark"), (85, "dark"), (150, "softly lit"), (195, "bright"), (256, "very bright"))
"""(upper limit of the mean luma, 0..255; words)."""
_SPEED = (
    (0.7, "stays still"),
    (4.0, "moves very slowly"),
    (20.0, "moves slowly"),
    (45.0, "moves steadily"),
    (90.0, "moves quickly"),
    (float("inf"), "moves very quickly"),
)
"""(upper limit of the score `motion`, pixels at 320x576 in half a second; words)."""
_HUES = (
    (8, "red"),
    (20, "orange"),
    (33, "yellow"),
    (85, "green"),
    (100, "teal"),
    (130, "blue"),
    (155, "purple"),
    (172, "pink"),
    (180, "red"),
)
"""(upper limit of OpenCV's hue, 0..179; name)."""
_GREY_SATURATION, _BLACK_VALUE, _WHITE_VALUE, _BROWN_VALUE = 45, 40, 205, 150
"""Limits in OpenCV's HSV: a pixel with saturation below GREY_SATURATION has no hue; a pixel with value below
BLACK_VALUE is black; a pixel without hue is white from WHITE_VALUE; an orange pixel with value below BROWN_VALUE is
brown."""
_DETAIL = ((0.25, "soft"), (0.7, "clear"), (1.01, "finely detailed"))
"""(upper limit of the score `sharpness`, 0..1; words)."""
_DIRECTED_SHARE = 0.5
"""Minimum ratio of the length of the mean flow to the mean length of the flow for a clip to have a direction."""


def describe(clip: ClipFrames, scores: dict[str, float]) -> str:
    """Returns a sentence about a clip.

    For example "A bright, clear wide picture, blue above and green below; it moves quickly to the left." The sentence
    names the detail only if `scores` has `sharpness`, and the motion only if `scores` has `motion`.

    Args:
        clip: frames of the clip.
        scores: scores of the clip by column.
    """
    middle = clip.frames[len(clip.frames) // 2]
    luma = float(np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in clip.samples]))
    words = [_word_below(_BRIGHTNESS, luma)]
    if "sharpness" in scores:
        words.append(_word_below(_DETAIL, scores["sharpness"]))
    sentence = f"A {', '.join(words)} {_shape(clip)} picture, {_colours(middle)}"
    return with_movement(f"{sentence}.", scores) if "motion" in scores else f"{sentence}."


def with_movement(sentence: str, scores: dict[str, float]) -> str:
    """Returns a sentence of `describe` with the movement appended, for motion scores measured after the decode pass."""
    return f"{sentence.removesuffix('.')}; it {movement(scores)}."


def movement(scores: dict[str, float]) -> str:
    """Returns words for the speed of the motion, and for its direction if it has one."""
    amount, x, y = scores["motion"], scores["motion_x"], scores["motion_y"]
    words = _word_below(_SPEED, amount)
    if words == _SPEED[0][1] or np.hypot(x, y) < _DIRECTED_SHARE * amount:
        return words
    if abs(x) >= abs(y):
        return f"{words} to the {'right' if x > 0 else 'left'}"
    return f"{words} {'down' if y > 0 else 'up'}"


def dominant_colour(rgb: np.ndarray) -> str:
    """Returns the name of the most frequent colour of a frame, uint8 (h, w, 3)."""
    hue, saturation, value = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    names = [*dict.fromkeys(name for _, name in _HUES), "brown", "grey", "black", "white"]
    by_hue = np.array([names.index(name) for _, name in _HUES])
    code = by_hue[np.searchsorted([limit for limit, _ in _HUES], hue, side="right")]
    code[(code == names.index("orange")) & (value < _BROWN_VALUE)] = names.index("brown")
    grey = saturation < _GREY_SATURATION
    code[grey] = names.index("grey")
    code[grey & (value >= _WHITE_VALUE)] = names.index("white")
    code[value < _BLACK_VALUE] = names.index("black")
    return names[int(np.argmax(np.bincount(code.ravel(), minlength=len(names))))]


def _colours(rgb: np.ndarray) -> str:
    """Returns words for the dominant colours of the upper and lower half, and of the middle if it differs from both."""
    height, width = rgb.shape[:2]
    above, below = dominant_colour(rgb[: height // 2]), dominant_colour(rgb[height // 2 :])
    middle = dominant_colour(rgb[height // 3 : -(height // 3), width // 3 : -(width // 3)])
    words = f"mostly {above}" if above == below else f"{above} above and {below} below"
    return words if middle in (above, below) else f"{words}, with {middle} in the middle"


def _shape(clip: ClipFrames) -> str:
    ratio = clip.width / clip.height
    return "tall" if ratio < 0.8 else "square" if ratio <= 1.25 else "wide"


def _word_below(scale: tuple[tuple[float, str], ...], value: float) -> str:
    return next((word for limit, word in scale if value < limit), scale[-1][1])
