"""A child process that hangs, crashes or outlives its welcome costs one call."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from framemill.platform.child_process import ChildCrashed, ChildProcess, ChildTimeout
from tests.support.console import START_S


def test_results_items_and_exceptions_come_back() -> None:
    with ChildProcess() as child:
        assert child.call("math:hypot", 3.0, 4.0, timeout=START_S) == 5.0
        assert child.call("builtins:iter", [1, 2, 3], timeout=START_S) == [1, 2, 3]
        with pytest.raises(ZeroDivisionError):
            child.call("operator:truediv", 1, 0, timeout=START_S)
        pid = child.call("os:getpid", timeout=START_S)
        assert pid == child.pid != os.getpid()


def test_a_crash_names_its_signal_and_the_next_call_works() -> None:
    with ChildProcess() as child:
        first = child.call("os:getpid", timeout=START_S)
        with pytest.raises(ChildCrashed, match="SIGSEGV"):
            child.call("os:kill", first, signal.SIGSEGV, timeout=START_S)
        assert child.call("os:getpid", timeout=START_S) != first


def test_leaving_is_a_crash() -> None:
    with ChildProcess() as child, pytest.raises(ChildCrashed, match="exit status 3"):
        child.call("os:_exit", 3, timeout=START_S)


def test_a_hang_costs_its_time_limit() -> None:
    with ChildProcess() as child:
        child.call("os:getpid", timeout=START_S)
        started = time.monotonic()
        with pytest.raises(ChildTimeout):
            child.call("time:sleep", 60, timeout=0.5)
        assert time.monotonic() - started < 5
        assert child.call("os:getpid", timeout=START_S)


def test_it_is_renewed() -> None:
    with ChildProcess(renew_after=2) as child:
        pids = [child.call("os:getpid", timeout=START_S) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import threading, time
        from framemill.platform.child_process import ChildProcess
        child = ChildProcess()
        print(child.call("os:getpid", timeout=300), flush=True)
        child.call("time:sleep", 600, timeout=600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + START_S
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_that_dies_in_the_middle_of_an_answer_has_crashed() -> None:
    half_an_answer = textwrap.dedent("""
        import gc, os, signal
        from multiprocessing.connection import Connection
        pipe = next(one for one in gc.get_objects() if isinstance(one, Connection))
        os.write(pipe.fileno(), (1000).to_bytes(4, "big") + b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    with ChildProcess() as child:
        with pytest.raises(ChildCrashed, match="SIGKILL"):
            child.call("builtins:exec", half_an_answer, timeout=START_S)
        assert child.call("os:getpid", timeout=START_S) == child.pid


def test_an_error_of_the_function_is_not_taken_for_its_death() -> None:
    with ChildProcess() as child:
        first = child.call("os:getpid", timeout=START_S)
        with pytest.raises(ConnectionResetError):
            child.call("builtins:exec", "raise ConnectionResetError('the storage')", timeout=START_S)
        assert child.call("os:getpid", timeout=START_S) == first
