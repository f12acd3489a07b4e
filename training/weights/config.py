"""Keys of `framemill convert`. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.errors import RequestError


@dataclass
class ConvertConfig:
    """Config of `framemill convert`."""

    input: str = key(help="run directory, checkpoint, diffusers folder, or an original .pth of SANA-Video")
    output: str = key(help="folder to write, or a file whose name ends in .pth")
    to: str = key(
        "auto",
        "format to write; auto: original for an output named .pth, checkpoint from a diffusers folder, diffusers from "
        "anything else",
        choices=("auto", "checkpoint", "diffusers", "original"),
    )
    heads: int = key(
        0, "attention heads of an original .pth that does not record them; 0: SANA-Video's number at its width"
    )

    def validate(self) -> None:
        """Checks the number of heads.

        Raises:
            RequestError: it is negative.
        """
        if self.heads < 0:
            raise RequestError(f"heads={self.heads}: must be at least 0")
