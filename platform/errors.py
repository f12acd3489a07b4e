"""The errors of a job, each with the exit status that the command line returns for it."""


class FramemillError(Exception):
    """The work failed. The message is one line for the user."""

    exit_status = 1


class PendingError(FramemillError):
    """Something failed that may succeed later; the same command goes on where this one stopped."""


class RequestError(FramemillError):
    """The request was wrong. The message names the key, what it was, and what it must be."""

    exit_status = 2
