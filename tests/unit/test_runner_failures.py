"""Failures are typed, say what to do, and show nothing that is secret or unprintable."""

import pytest

from wattmark.api.report import RunFailure
from wattmark_runner.cpus import quota_of, usable_cpus
from wattmark_runner.failures import RunError, failure_of, past_deadline
from wattmark_runner.text import clean


class OutOfMemoryError(RuntimeError):
    """As PyTorch's, by name."""


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        pytest.param(
            OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), RunFailure.DEVICE_OUT_OF_MEMORY,
            ("3.00 GiB allocated, 4.00 GiB reserved", "batchSizePerDevice", "Tried to allocate"),
            id="no device memory: the peak before it and what to lower",
        ),
        pytest.param(
            RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), RunFailure.DEVICE_OUT_OF_MEMORY,
            ("batchSizePerDevice",), id="a library's lack of device memory is the same",
        ),
        pytest.param(
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), RunFailure.HOST_OUT_OF_MEMORY,
            ("host memory", "resources.memory"), id="no host memory",
        ),
        pytest.param(
            RunError(RunFailure.MODEL_NOT_LOADABLE, "it is\na pickle"), RunFailure.MODEL_NOT_LOADABLE,
            ("it is a pickle",), id="a failure of ours is told as it is, on one line",
        ),
        pytest.param(
            ZeroDivisionError("division by zero"), RunFailure.RUNNER_ERROR,
            ("ZeroDivisionError while measuring: division by zero",), id="anything else by its name and place",
        ),
    ],
)  # fmt: skip
def test_failure(error: Exception, reason: RunFailure, words: tuple[str, ...]) -> None:
    failure = failure_of(error, "while measuring", 3 * 2**30, 4 * 2**30, ())
    assert failure.reason is reason
    assert all(word in failure.message for word in words), failure.message


def test_a_token_never_shows() -> None:
    error = OSError("401 for https://hub/model?token=hf_secret")
    assert "hf_secret" not in failure_of(error, "while loading", None, None, ("hf_secret",)).message


def test_a_message_is_bounded() -> None:
    assert len(failure_of(ValueError("x" * 10_000), "while loading", None, None, ()).message) == 512


def test_a_deadline_names_the_field_that_sets_it() -> None:
    assert "deadlines.runningSeconds" in past_deadline(30).message


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        pytest.param("a\nb\t c\r\n", 99, "a b c", id="lines become one"),
        pytest.param("\x1b[1;31mred\x1b[0m\x1bM", 99, "red", id="terminal sequences go"),
        pytest.param("a\x00b\x7fc\x9bd", 99, "abcd", id="control characters go"),
        pytest.param("a\u202eb\u2066c\ufeffd", 99, "abcd", id="bidi controls go"),
        pytest.param("a\ud800b", 99, "ab", id="half a surrogate pair, which no UTF-8 can hold, goes"),
        pytest.param("abcdefgh", 6, "abc...", id="what is too long is cut, and shows it"),
        pytest.param("abcdefgh", 2, "ab", id="where there is no room to show it, it is only cut"),
        pytest.param("größer", 99, "größer", id="letters stay"),
    ],
)
def test_clean(text: str, limit: int, shown: str) -> None:
    assert clean(text, limit) == shown


@pytest.mark.parametrize(
    ("maximum", "period", "cpus"),
    [
        pytest.param("200000", "100000", 2.0, id="two CPUs"),
        pytest.param("150000", "100000", 1.5, id="one and a half"),
        pytest.param("max", "100000", None, id="no limit in version 2"),
        pytest.param("-1", "100000", None, id="no limit in version 1"),
        pytest.param("100000", "0", None, id="nonsense is no limit"),
    ],
)
def test_quota(maximum: str, period: str, cpus: float | None) -> None:
    assert quota_of(maximum, period) == cpus


@pytest.mark.parametrize(
    ("asked", "cpus"),
    [
        pytest.param("1", 1, id="one thread is asked for"),
        pytest.param("100000", None, id="more than there are CPUs"),
        pytest.param("0", 1, id="none"),
        pytest.param("4,2", None, id="what is no single number"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_usable_cpus(monkeypatch: pytest.MonkeyPatch, asked: str, cpus: int | None) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    without = usable_cpus()
    assert without >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert usable_cpus() == (cpus or without)
