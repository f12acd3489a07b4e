"""The error of an archive that cannot be read."""

from framemill.platform.errors import FramemillError


class ArchiveError(FramemillError):
    """An archive or one of its members cannot be read, and a retry would not help. The message gives the reason."""
