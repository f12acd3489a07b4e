"""framemill status: how far a job's output is, and what it waits for."""

from dataclasses import dataclass

from framemill.platform.config import key
from framemill.platform.progress import say


@dataclass
class StatusConfig:
    path: str = key(help="the output of any job", result=False)


CONFIG = StatusConfig


def run(config: StatusConfig) -> int:
    from framemill.platform.status import status_lines

    for line in status_lines(config.path):
        say(line)
    return 0
