"""Child processes for work that may hang or crash.

Native decoders crash on some files and never return on others. Each worker has one child process, sends it the name and
arguments of a function, and starts a new child after a crash. Parent and child share only a pipe: the child is a new
interpreter, since forking a process with threads is unsafe."""

from __future__ import annotations

import contextlib
import fcntl
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from types import TracebackType
from typing import Any

RENEW_AFTER = 100
"""Number of calls after which a child is replaced, since decoders leak memory."""
_EXIT_S = 5.0
"""Timeout in seconds for the exit status of a child that has closed its pipe."""
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from framemill.platform.child_process import serve; serve({work}, {lifeline})"
)


class ChildTimeout(Exception):
    """The child process sent nothing within the timeout and was killed."""


class ChildCrashed(Exception):
    """The child process was killed by a signal (`signal` is its number) or exited by itself (`signal` is None)."""

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class ChildProcess:
    """Runs functions by name in a child process, one at a time.

    The first call starts the child. The child is replaced after `renew_after` calls and never outlives its parent, even
    if the parent is killed. Use the object as a context manager, or call `close`.

    Args:
        renew_after: number of calls after which the child is replaced.
    """

    def __init__(self, renew_after: int = RENEW_AFTER) -> None:
        self.renew_after = renew_after
        self.calls = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._lifeline: int | None = None

    def call(self, function: str, *arguments: Any, timeout: float | None) -> Any:
        """Calls a function in the child process and returns its result.

        Args:
            function: "module:name". If it returns an iterator, the items are sent one by one and returned as a list.
            arguments: positional arguments; they and the result are pickled.
            timeout: maximum time in seconds before the result, or before each item of an iterator; None: no limit.

        Raises:
            ChildTimeout: the child sent nothing for `timeout` seconds.
            ChildCrashed: the child died; the message names the signal.
            Exception: the exception that the function raised.
        """
        if self._process is None or self.calls >= self.renew_after:
            self._renew()
        assert self._pipe is not None
        self.calls += 1
        items: list[Any] = []
        try:
            self._pipe.send((function, arguments))
            while True:
                if not self._pipe.poll(timeout):
                    raise ChildTimeout(f"no answer for {timeout:g} s")
                kind, value = self._pipe.recv()
                if kind != "item":
                    break
                items.append(value)
        # OSError: the child died while it was sending an answer.
        except (EOFError, OSError) as error:
            raise self._death() from error
        except BaseException:  # after a timeout or Ctrl-C, no later call may read the outstanding answer
            self.close()
            raise
        if kind == "error":
            raise value
        return items if kind == "end" else value

    @property
    def pid(self) -> int | None:
        """Process id of the child; None if no child is running."""
        return self._process.pid if self._process else None

    def close(self) -> None:
        """Kills the child, if one is running."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def _renew(self) -> None:
        self.close()
        self._pipe, child_end = Pipe()
        lifeline, self._lifeline = os.pipe()
        program = _PROGRAM.format(path=sys.path, work=child_end.fileno(), lifeline=lifeline)
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[child_end.fileno(), lifeline],
            start_new_session=True,  # Ctrl-C in a terminal must reach only the parent, which then ends the child
        )
        child_end.close()
        os.close(lifeline)
        self.calls = 0

    def _death(self) -> ChildCrashed:
        assert self._process is not None
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        self.close()
        if code < 0:
            return ChildCrashed(f"killed by {signal.Signals(-code).name}", -code)
        return ChildCrashed(f"left with exit status {code}")

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def serve(work: int, lifeline: int) -> None:
    """Answers requests from a pipe until the pipe closes; runs in the child.

    Args:
        work: file descriptor of the pipe for requests and answers.
        lifeline: file descriptor of a pipe whose other end the parent has open.
    """
    _end_with_parent(lifeline)
    pipe = Connection(work)
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        _answer(pipe, function, arguments)


def _answer(pipe: Connection, function: str, arguments: tuple[Any, ...]) -> None:
    """Calls a function and sends its result, its items, or the exception that it raises."""
    module, _, name = function.partition(":")
    try:
        result = getattr(importlib.import_module(module), name)(*arguments)
        if not isinstance(result, Iterator):
            pipe.send(("result", result))
            return
        for item in result:
            pipe.send(("item", item))
        pipe.send(("end", None))
    except Exception as error:
        try:
            pipe.send(("error", error))
        except ConnectionError:
            return
        except Exception:  # an exception that cannot be pickled
            pipe.send(("error", RuntimeError(f"{type(error).__name__}: {error}")))


def _end_with_parent(lifeline: int) -> None:
    """Makes the kernel end this process when the other end of the pipe `lifeline` closes because the parent died.

    SIGIO's default action ends a process even if native code never returns to Python. PR_SET_PDEATHSIG would fire too
    early: it fires when the thread that started the child exits, and Ray's threads are short-lived.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    try:
        closed = os.read(lifeline, 1) == b""
    except BlockingIOError:
        closed = False
    if closed:  # the parent died before SIGIO was enabled
        os._exit(1)
