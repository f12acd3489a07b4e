"""The errors of a job, each with the exit status that the command line returns for it."""


class FramemillError(Exception):
    """The work failed. The message is one line for the user.

    Args:
        args: the message.
        file: path or URI of the weight file at fault, or the name of the network that a library does not have; empty:
            the error is about neither.
    """

    exit_status = 1

    def __init__(self, *args: object, file: str = "") -> None:
        super().__init__(*args)
        self.file = file


class PendingError(FramemillError):
    """Something failed that may succeed later; the same command goes on where this one stopped."""


class RequestError(FramemillError):
    """The request was wrong. The message names the key, what it was, and what it must be."""

    exit_status = 2
