"""One sentence about a clip from what was measured of it: the caption where nobody wrote one.

A small model is conditioned on it, so it says what a picture can show: brightness, colours and where they are,
detail, and how the picture moves.
"""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

BRIGHTNESS = ((45, "very dark"), (85, "dark"), (150, "softly lit"), (195, "bright"), (256, "very bright"))
"""Below a mean luma (0..255): the word."""
SPEED = (
    (0.7, "stays still"),
    (4.0, "moves very slowly"),
    (20.0, "moves slowly"),
    (45.0, "moves steadily"),
    (90.0, "moves quickly"),
    (float("inf"), "moves very quickly"),
)
"""Below a motion score (pixels at 320x576 in half a second): the words."""
HUES = (
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
"""Below an OpenCV hue (0..179): the name."""
GREY_S, BLACK_V, WHITE_V, BROWN_V = 45, 40, 205, 150
"""OpenCV saturation under which a pixel has no hue; values of black, white, and of an orange that is a brown."""
DETAIL = ((0.25, "soft"), (0.7, "clear"), (1.01, "finely detailed"))
"""Below a sharpness (0..1): the word."""
ONE_WAY = 0.5
"""A clip moves in a direction where its mean flow is this share of the flow's mean length."""


def describe(clip: ClipFrames, scores: dict[str, float]) -> str:
    """For example "A bright, clear wide picture, blue above and green below; it moves quickly to the left." """
    middle = clip.frames[len(clip.frames) // 2]
    luma = float(np.mean([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).mean() for frame in clip.samples]))
    words = [word_below(BRIGHTNESS, luma)]
    if "sharpness" in scores:
        words.append(word_below(DETAIL, scores["sharpness"]))
    sentence = f"A {', '.join(words)} {shape(clip)} picture, {colours(middle)}"
    return with_movement(f"{sentence}.", scores) if "motion" in scores else f"{sentence}."


def with_movement(sentence: str, scores: dict[str, float]) -> str:
    """The sentence with how the picture moves at its end: networks know that only after the pass."""
    return f"{sentence.removesuffix('.')}; it {movement(scores)}."


def colours(rgb: np.ndarray) -> str:
    """The dominant colour, or those above and below where they differ; and that of the middle where it is another."""
    height, width = rgb.shape[:2]
    above, below = dominant(rgb[: height // 2]), dominant(rgb[height // 2 :])
    middle = dominant(rgb[height // 3 : -(height // 3), width // 3 : -(width // 3)])
    words = f"mostly {above}" if above == below else f"{above} above and {below} below"
    return words if middle in (above, below) else f"{words}, with {middle} in the middle"


def dominant(rgb: np.ndarray) -> str:
    """The name of the colour that most pixels have."""
    hue, saturation, value = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV))
    names = [*dict.fromkeys(name for _, name in HUES), "brown", "grey", "black", "white"]
    code = np.array([names.index(name) for _, name in HUES])[np.searchsorted([h for h, _ in HUES], hue, side="right")]
    code[(code == names.index("orange")) & (value < BROWN_V)] = names.index("brown")
    grey = saturation < GREY_S
    code[grey] = names.index("grey")
    code[grey & (value >= WHITE_V)] = names.index("white")
    code[value < BLACK_V] = names.index("black")
    return names[int(np.argmax(np.bincount(code.ravel(), minlength=len(names))))]


def movement(scores: dict[str, float]) -> str:
    """How fast the picture moves, and where to if most of it goes one way."""
    amount, x, y = scores["motion"], scores["motion_x"], scores["motion_y"]
    words = word_below(SPEED, amount)
    if words == SPEED[0][1] or np.hypot(x, y) < ONE_WAY * amount:
        return words
    if abs(x) >= abs(y):
        return f"{words} to the {'right' if x > 0 else 'left'}"
    return f"{words} {'down' if y > 0 else 'up'}"


def shape(clip: ClipFrames) -> str:
    ratio = clip.width / clip.height
    return "tall" if ratio < 0.8 else "square" if ratio <= 1.25 else "wide"


def word_below(scale: tuple[tuple[float, str], ...], value: float) -> str:
    return next((word for limit, word in scale if value < limit), scale[-1][1])
