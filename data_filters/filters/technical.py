"""The filter `technical`: quality without a network, from sharpness, exposure, contrast and colourfulness."""

from __future__ import annotations

import cv2
import numpy as np

from framemill.data_filters.filters.clip_frames import ClipFrames

BLACK_LUMA, WHITE_LUMA = 16, 239
"""Pixels with 8-bit luma at most BLACK_LUMA or at least WHITE_LUMA are clipped: their detail is lost."""
_WEIGHTS = {"sharpness": 0.4, "exposure": 0.3, "contrast": 0.2, "colourfulness": 0.1}
"""Weights of the parts in the score `technical`."""
_HALF_SHARP = 150.0
"""Variance of the Laplacian (8-bit luma, 320 pixels) at which sharpness is 0.5."""
_FULL_CONTRAST = 60.0
"""Standard deviation of 8-bit luma at which contrast is 1."""
_FULL_COLOUR = 80.0
"""Hasler and Suesstrunk's M at which colourfulness is 1; their paper calls images "highly" colourful above 59 and
"extremely" colourful above 82."""


class Technical:
    """`technical`: 0..1, the weighted mean 0.4 sharpness + 0.3 exposure + 0.2 contrast + 0.1 colourfulness.

    Each part is 0..1, a mean over frames 0.5 s apart, and also a column of the clips table:

    - sharpness: v / (v + 150), where v is the variance of the Laplacian of luma
    - exposure: (1 - m^2)(1 - c), where m is the distance of the mean luma from mid-grey, scaled to 0..1, and c
      is the share of clipped pixels
    - contrast: s / 60, at most 1, where s is the standard deviation of luma
    - colourfulness: M / 80, at most 1, where M is the measure of Hasler and Suesstrunk (2003)

    `brightness` is the mean luma, 0..255. `technical` does not measure aesthetic quality.
    """

    def score(self, clip: ClipFrames) -> dict[str, float]:
        """Returns the clip's scores by column."""
        parts = [self._frame_scores(frame) for frame in clip.samples]
        means = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
        return {"technical": sum(weight * means[name] for name, weight in _WEIGHTS.items()), **means}

    def _frame_scores(self, rgb: np.ndarray) -> dict[str, float]:
        luma = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        variance = float(cv2.Laplacian(luma, cv2.CV_32F).var())
        brightness = float(luma.mean())
        off_middle = brightness / 127.5 - 1
        clipped = float(((luma <= BLACK_LUMA) | (luma >= WHITE_LUMA)).mean())
        return {
            "sharpness": variance / (variance + _HALF_SHARP),
            "exposure": (1 - off_middle**2) * (1 - clipped),
            "contrast": min(1.0, float(luma.std()) / _FULL_CONTRAST),
            "colourfulness": min(1.0, _colourfulness(rgb) / _FULL_COLOUR),
            "brightness": brightness,
        }


def _colourfulness(rgb: np.ndarray) -> float:
    """Returns M of Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), 0 (grey) to about 110."""
    red, green, blue = (rgb[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, 0.5 * (red + green) - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
