"""The error of an archive that cannot be read."""

from framemill.platform.errors import FramemillError


class ArchiveError(FramemillError):
    """An archive, or a member of one, cannot be read, and a retry would not help. The message says why."""
