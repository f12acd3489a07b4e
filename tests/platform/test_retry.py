"""Which errors of a child process are final for its item, and which leave it pending."""

from __future__ import annotations

import signal

import pytest

from framemill.platform.child_process import ChildCrashed, ChildProcess
from framemill.platform.retry import RetryLater, call_with_retry, retry_storage_errors
from tests.support.console import START_S


def test_a_result_and_an_exception_come_back_at_the_first_attempt() -> None:
    with ChildProcess() as child:
        assert call_with_retry(child, "math:hypot", 3.0, 4.0, timeout=START_S) == 5.0
        pid = call_with_retry(child, "os:getpid", timeout=START_S)
        with pytest.raises(ZeroDivisionError):
            call_with_retry(child, "operator:truediv", 1, 0, timeout=START_S)
        assert call_with_retry(child, "os:getpid", timeout=START_S) == pid, "an exception costs no child"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_of_the_system_may_pass(number: signal.Signals) -> None:
    with ChildProcess() as child, pytest.raises(RetryLater, match=f"killed by {number.name}"):
        call_with_retry(child, "signal:raise_signal", number, timeout=START_S)


def test_a_crash_in_every_attempt_is_final() -> None:
    with ChildProcess() as child, pytest.raises(ChildCrashed, match="SIGSEGV"):
        call_with_retry(child, "ctypes:string_at", 0, timeout=START_S)


def test_silence_in_every_attempt_may_pass() -> None:
    with ChildProcess() as child:
        child.call("os:getpid", timeout=START_S)
        with pytest.raises(RetryLater, match=r"^time limit: no answer for 0.2 s$"):
            call_with_retry(child, "time:sleep", 60, timeout=0.2)
        assert call_with_retry(child, "math:sqrt", 4.0, timeout=START_S) == 2.0, "the next call has a child"


def test_storage_may_answer_later() -> None:
    with pytest.raises(RetryLater, match=r"^storage: Input/output error$"), retry_storage_errors():
        raise OSError(5, "Input/output error")
    with pytest.raises(RetryLater, match=r"^it is no longer there$"), retry_storage_errors():
        raise FileNotFoundError(2, "No such file or directory")
    with pytest.raises(ValueError), retry_storage_errors():
        raise ValueError("no error of storage")
