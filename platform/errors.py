"""The three ways a job can end badly, each with the exit status the command line gives it."""


class FramemillError(Exception):
    """The work failed. The message is one line for the person who asked for it."""

    exit_status = 1


class PendingError(FramemillError):
    """Something that may still succeed did not: the same command goes on from there."""


class RequestError(FramemillError):
    """The request was wrong. The message names the key, what it was, and what it may be."""

    exit_status = 2
