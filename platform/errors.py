"""The errors of jobs, with the exit status that the command line returns for each."""


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
    """Work is pending after a transient failure; the same command resumes the work."""


class RequestError(FramemillError):
    """The request was wrong. The message names the key, its value, and what the value must be."""

    exit_status = 2
