"""Keys of `framemill convert`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class ConvertConfig:
    """Config of `framemill convert`."""

    input: str = key(help="run directory, checkpoint, diffusers folder, or original .pth file of SANA-Video")
    output: str = key(help="output folder; for the original format, output file with the extension .pth")
    to: str = key(
        "auto",
        "output format; auto: original if `output` ends in .pth, checkpoint if `input` is a diffusers folder, "
        "otherwise diffusers",
        choices=("auto", "checkpoint", "diffusers", "original"),
    )
    heads: int = key(
        0,
        "number of attention heads of an original .pth file that does not record the number; 0: SANA-Video's number "
        "for the width of the model",
    )

    def validate(self) -> None:
        """Checks the number of heads.

        Raises:
            RequestError: the number is negative.
        """
        if self.heads < 0:
            raise RequestError(f"heads={self.heads}: must be at least 0")
