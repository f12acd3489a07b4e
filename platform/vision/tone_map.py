"""Tone mapping of HDR frames (PQ and HLG, ITU-R BT.2100) to standard dynamic range, BT.709.

1. The transfer function gives linear light in units of the reference white, 203 cd/m2 (ITU-R BT.2408, table 1). HLG is
   shown as on a display of 1000 cd/m2, with the system gamma 1.2 of BT.2100.
2. The primaries are converted from BT.2020 to BT.709 (ITU-R BT.2087); colours outside BT.709 are clipped.
3. The largest of R, G and B is compressed by the Mobius curve of FFmpeg's vf_tonemap.c: unchanged below KNEE, and 1 at
   PEAK. R, G and B are scaled alike, so that hues stay.
4. The display gamma 2.4 of ITU-R BT.1886 is inverted.

Every step is a table or float32 arithmetic in a fixed order, so equal frames give equal results.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""HDR transfer functions by number in ITU-T H.273, table 3."""
WHITE = 203.0
"""Luminance of the reference white, cd/m2."""
_HLG_PEAK, _HLG_GAMMA = 1000.0, 1.2
"""Luminance (cd/m2) and system gamma of the display for which HLG is converted."""
PEAK = 1000.0 / WHITE
"""Light that becomes 1, the largest value of standard range; brighter light is clipped."""
KNEE = 0.5
"""Light below which nothing is compressed."""
_GAMMA = 2.4
_FROM_BT2020 = np.array(
    [[1.660491, -0.587641, -0.072850], [-0.124550, 1.132900, -0.008349], [-0.018151, -0.100579, 1.118730]], np.float32
)
"""Matrix from linear BT.2020 to linear BT.709, inverse of the matrix in BT.2087."""
_LUMA_BT2020 = np.array([[0.2627, 0.6780, 0.0593]], np.float32)
_STEPS = 8192
"""Entries of the tables of output codes and of the curve, over the square root of their argument."""


def tone_map(rgb: np.ndarray, transfer: str) -> np.ndarray:
    """Returns an HDR frame in standard dynamic range as uint8 (H, W, 3) RGB, BT.709.

    Args:
        rgb: uint16 (H, W, 3), non-linear RGB with BT.2020 primaries, full range.
        transfer: "PQ" or "HLG".
    """
    light = _light_table(transfer)[rgb]
    if transfer == "HLG":
        # BT.2100, table 5: light of the display = light of the scene * luminance of the scene ** (gamma - 1).
        luminance = cv2.transform(light, _LUMA_BT2020)
        gain = np.power(np.maximum(luminance, 1e-9), _HLG_GAMMA - 1) * (_HLG_PEAK / WHITE)
        light *= gain[..., None]
    light = np.maximum(cv2.transform(light, _FROM_BT2020), 0)
    largest = light.max(axis=2)
    light *= _gain_table()[_table_index(largest, PEAK)][..., None]
    return _code_table()[_table_index(light, 1.0)]


def compressed(light: np.ndarray) -> np.ndarray:
    """Returns light after the Mobius curve, in units of the reference white: 1 for PEAK and more."""
    a = -(KNEE**2) * (PEAK - 1) / (KNEE**2 - 2 * KNEE + PEAK)
    b = (KNEE**2 - 2 * KNEE * PEAK + PEAK) / (PEAK - 1)
    scale = (b**2 + 2 * b * KNEE + KNEE**2) / (b - a)
    light = np.minimum(light, PEAK)
    return np.where(light <= KNEE, light, scale * (light + a) / (light + b))


def _table_index(light: np.ndarray, largest: float) -> np.ndarray:
    """Returns the indices of light, 0 to `largest`, in a table over its square root."""
    return (np.sqrt(np.minimum(light, largest) / np.float32(largest)) * np.float32(_STEPS - 1) + 0.5).astype(np.int32)


@functools.cache
def _gain_table() -> np.ndarray:
    """Returns the factor of the Mobius curve, float32 (_STEPS,), over the square root of light / PEAK."""
    light = np.maximum(np.linspace(0, 1, _STEPS) ** 2 * PEAK, 1e-12)
    return (compressed(light) / light).astype(np.float32)


@functools.cache
def _code_table() -> np.ndarray:
    """Returns the 8-bit codes of light, uint8 (_STEPS,), over the square root of light."""
    light = np.linspace(0, 1, _STEPS) ** 2
    return np.round(255 * light ** (1 / _GAMMA)).astype(np.uint8)


@functools.cache
def _light_table(transfer: str) -> np.ndarray:
    """Returns linear light by 16-bit code, float32 (65536,).

    For PQ, in units of the reference white (BT.2100, table 4); for HLG, light of the scene, 0 to 1 (table 5).
    """
    code = np.arange(65536) / 65535
    if transfer == "PQ":
        m1, m2 = 2610 / 16384, 2523 / 4096 * 128
        c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        power = code ** (1 / m2)
        return (10000 / WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
