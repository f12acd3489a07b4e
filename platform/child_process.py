"""Work that may hang or crash, done in a child process that can be killed.

Native decoders die of some files and loop on others. Each worker keeps one child, sends it a function and its
arguments, and starts another when it is gone. Nothing but the pipe joins the two: no fork of a process full of
threads, no files.
"""

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
FINISH_S = 5.0
PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from framemill.platform.child_process import serve; serve({work}, {lifeline})"
)


class ChildTimeout(Exception):
    """The child sent nothing for as long as it was given, and was killed."""


class ChildCrashed(Exception):
    """The child died of a signal, or left with an exit status; `signal` is None then."""

    def __init__(self, message: str, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class ChildProcess:
    """Runs functions by name in a child process, one at a time.

    The child is started at the first call, renewed after `renew_after` calls (decoders leak), and ends with its
    parent however that ends. Use it as a context manager, or `close` it.
    """

    def __init__(self, renew_after: int = RENEW_AFTER) -> None:
        self.renew_after = renew_after
        self.calls = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe: Connection | None = None
        self._lifeline: int | None = None

    def call(self, function: str, *arguments: Any, timeout: float | None) -> Any:
        """The result of `function` ("module:name").

        Where it returns an iterator, its items are sent one by one and come back as a list; `timeout` is then the
        longest silence between two of them. It counts in seconds.

        Raises:
            ChildTimeout: nothing came for `timeout` seconds.
            ChildCrashed: the child died; the message names the signal.
            Exception: what the function itself raised.
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
        # OSError too: a child that dies in the middle of an answer.
        except (EOFError, OSError) as error:
            raise self._death() from error
        except ChildTimeout:
            self.close()
            raise
        if kind == "error":
            raise value
        return items if kind == "end" else value

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def close(self) -> None:
        """Ends the child at once."""
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
        self._pipe, theirs = Pipe()
        lifeline, self._lifeline = os.pipe()
        program = PROGRAM.format(path=sys.path, work=theirs.fileno(), lifeline=lifeline)
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), lifeline],
            start_new_session=True,  # Ctrl-C in a terminal is for the parent, which then ends the child
        )
        theirs.close()
        os.close(lifeline)
        self.calls = 0

    def _death(self) -> ChildCrashed:
        assert self._process is not None
        try:
            code = self._process.wait(FINISH_S)
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
    """The child's side: does what comes through the pipe until it closes."""
    end_with_parent(lifeline)
    pipe = Connection(work)
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        answer(pipe, function, arguments)


def answer(pipe: Connection, function: str, arguments: tuple[Any, ...]) -> None:
    """Runs one request and sends what it gives, or the exception it raises."""
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


def end_with_parent(lifeline: int) -> None:
    """Has the kernel end this process when the other end of `lifeline` closes, which it does when the parent dies.

    SIGIO's default action ends a process even where native code never returns to Python. PR_SET_PDEATHSIG would fire
    too early: it watches the thread that started the child, and Ray's come and go.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    try:
        closed = os.read(lifeline, 1) == b""
    except BlockingIOError:
        closed = False
    if closed:  # the parent was gone before the kernel was asked
        os._exit(1)
