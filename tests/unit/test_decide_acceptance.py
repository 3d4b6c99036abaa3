"""A report is believed only if it is whole, strict JSON, within bounds, and of this very run."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.seen import OTHER_POD, OTHER_RUN, POD, RUN, failure, wire
from tests.unit.traced import QUESTION, TRACE
from tests.unit.traced import report as trace_report

from wattmark.api.conditions import Reason
from wattmark.api.report import REPORT_LIMIT_BYTES, Report
from wattmark.api.trace import TraceReport
from wattmark.decide.acceptance import Rejected, accept, accept_trace


def changed(path: str, value: Any) -> str:
    """The ordinary report with the value at a path changed; None removes it."""
    report = wire()
    *way, last = path.split(".")
    inner: Any = report
    for step in way:
        inner = inner[step]
    if value is None:
        inner.pop(last, None)
    else:
        inner[last] = value
    return json.dumps(report)


def literally(path: str, literal: str) -> str:
    """The ordinary report with a literal that no JSON encoder would write."""
    return changed(path, "HERE").replace('"HERE"', literal)


MALFORMED, NOT_FINITE = Reason.REPORT_MALFORMED, Reason.REPORT_NOT_FINITE
TOO_LARGE, ANOTHER = Reason.REPORT_TOO_LARGE, Reason.REPORT_OF_ANOTHER_RUN
WHOLE = json.dumps(wire())
PADDED = WHOLE + " " * (REPORT_LIMIT_BYTES - len(WHOLE))
MISSING = {"field": "energy.gpuJoules", "reason": "NoGpu", "message": "no GPU"}
DEVICE = {"index": 0}

REFUSED = [
    pytest.param(PADDED + " ", TOO_LARGE, id="a byte more than the kubelet keeps"),
    pytest.param("é" * (REPORT_LIMIT_BYTES // 2 + 1), TOO_LARGE, id="the limit counts bytes, not characters"),
    pytest.param(PADDED[1:] + " ", TOO_LARGE, id="exactly the limit without a head was cut by the kubelet"),
    pytest.param("", MALFORMED, id="nothing at all"),
    pytest.param("CUDA error", MALFORMED, id="not JSON"),
    pytest.param(WHOLE[:-1], MALFORMED, id="JSON without its end"),
    pytest.param(WHOLE + WHOLE, MALFORMED, id="two reports"),
    pytest.param("[" * 4000, MALFORMED, id="nesting deeper than any parser goes"),
    pytest.param('{"results":' * 360, MALFORMED, id="nested objects without end"),
    pytest.param("[]", MALFORMED, id="a list"),
    pytest.param("null", MALFORMED, id="null"),
    pytest.param('"\\ud800"', MALFORMED, id="half of a surrogate pair, escaped"),
    pytest.param("\ud800", MALFORMED, id="half of a surrogate pair, bare"),
    pytest.param(literally("results.windowSeconds", "NaN"), NOT_FINITE, id="NaN"),
    pytest.param(literally("results.windowSeconds", "Infinity"), NOT_FINITE, id="Infinity"),
    pytest.param(literally("results.windowSeconds", "-Infinity"), NOT_FINITE, id="minus Infinity"),
    pytest.param(literally("results.windowSeconds", "1e999"), NOT_FINITE, id="a number that overflows to infinity"),
    pytest.param(literally("results.iterations", "1e999"), MALFORMED, id="infinity where a whole number is wanted"),
    pytest.param(literally("results.iterations", "9" * 400), MALFORMED, id="a whole number of 400 digits"),
    pytest.param(changed("results.windowSeconds", -1.0), MALFORMED, id="a negative duration"),
    pytest.param(changed("results.iterations", -1), MALFORMED, id="a negative count"),
    pytest.param(changed("results.memory", {"hostPeakBytes": -1}), MALFORMED, id="negative bytes"),
    pytest.param(changed("results.memory", {"hostPeakBytes": 2**54}), MALFORMED, id="more bytes than a bound allows"),
    pytest.param(changed("results.iterations", "5"), MALFORMED, id="digits in a string are no number"),
    pytest.param(changed("results.iterations", True), MALFORMED, id="true is not 1"),
    pytest.param(changed("results.iterations", 5.5), MALFORMED, id="half an iteration"),
    pytest.param(changed("schemaVersion", 2), MALFORMED, id="a schema of another release"),
    pytest.param(changed("schemaVersion", None), MALFORMED, id="no schema version"),
    pytest.param(changed("results.throughput", None), MALFORMED, id="figures without throughput"),
    pytest.param(changed("results.speed", 5), MALFORMED, id="a field that is not in the schema"),
    pytest.param(WHOLE.replace('"runUid"', '"run_uid"'), MALFORMED, id="Python's name of a field"),
    pytest.param(WHOLE[:-1] + ',"runUid":"x"}', MALFORMED, id="a field named twice"),
    pytest.param(changed("failure", {"reason": "RunnerError", "message": ""}), MALFORMED, id="figures and a failure"),
    pytest.param(changed("results", None), MALFORMED, id="neither figures nor a failure"),
    pytest.param(changed("environment", None), MALFORMED, id="figures without environment"),
    pytest.param(changed("steadiness", None), MALFORMED, id="figures without steadiness"),
    pytest.param(changed("unavailable", [MISSING, MISSING]), MALFORMED, id="one figure missing twice"),
    pytest.param(changed("results.devices", [DEVICE, DEVICE]), MALFORMED, id="one device twice"),
    pytest.param(changed("environment.device", "x" * 129), MALFORMED, id="a text longer than its bound"),
    pytest.param(failure("Bored"), MALFORMED, id="a failure of no known kind"),
    pytest.param(changed("runUid", OTHER_RUN), ANOTHER, id="the report of another run"),
    pytest.param(changed("podUid", OTHER_POD), ANOTHER, id="the report of another Pod of this run"),
    pytest.param(changed("podUid", None), ANOTHER, id="a report that names no Pod"),
]


@pytest.mark.parametrize(("message", "reason"), REFUSED)
def test_what_is_not_believed(message: str, reason: Reason) -> None:
    answer = accept(message, RUN, POD)
    assert isinstance(answer, Rejected), answer
    assert answer.reason is reason, answer.message
    assert answer.message.isprintable() and len(answer.message) < 512


def test_an_ordinary_report_is_believed() -> None:
    answer = accept(WHOLE, RUN, POD)
    assert isinstance(answer, Report)
    assert answer.wire() == wire()


def test_a_report_of_exactly_the_limit_is_whole() -> None:
    assert isinstance(accept(PADDED, RUN, POD), Report)


def test_without_a_cluster_there_is_no_pod_to_be_of() -> None:
    assert isinstance(accept(changed("podUid", None), RUN, None), Report)


def test_a_failure_is_a_report() -> None:
    answer = accept(failure("DeviceOutOfMemory"), RUN, POD)
    assert isinstance(answer, Report) and answer.results is None


def test_accepted_text_is_safe_to_show() -> None:
    told = "line\nof\x1b[31m a log\u202e\u2028 with \x00 in it"
    answer = accept(failure("RunnerError", told), RUN, POD)
    assert isinstance(answer, Report) and answer.failure is not None
    assert answer.failure.message == "line of [31m a log  with   in it"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
PATHS = ["schemaVersion", "runUid", "results", "results.latencySeconds", "results.devices", "unavailable", "failure"]


@given(st.text())
def test_no_text_raises(message: str) -> None:
    accept(message, RUN, POD)


@given(st.sampled_from(PATHS), JSON)
def test_no_odd_value_raises_or_leaves_a_figure_that_is_not_finite(path: str, value: Any) -> None:
    answer = accept(changed(path, value), RUN, POD)
    if isinstance(answer, Report) and answer.results is not None:
        assert all(math.isfinite(n) for n in numbers(answer.results.wire()))


def numbers(value: Any) -> list[float]:
    """Every number in a JSON value."""
    if isinstance(value, dict):
        return [n for item in value.values() for n in numbers(item)]
    if isinstance(value, list):
        return [n for item in value for n in numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def retraced(**changes: Any) -> str:
    """The ordinary trace's report with fields of the trace changed."""
    return trace_report(trace={**TRACE.wire(), **changes})


MEMORY = TRACE.wire()["memory"]
TRACES_REFUSED = [
    pytest.param("", MALFORMED, id="nothing at all"),
    pytest.param(WHOLE, MALFORMED, id="the report of a run"),
    pytest.param(" " * (REPORT_LIMIT_BYTES + 1), TOO_LARGE, id="more than the kubelet keeps"),
    pytest.param(retraced(parameterCount="HERE").replace('"HERE"', "1e999"), MALFORMED, id="infinite parameters"),
    pytest.param(retraced(parameterCount="HERE").replace('"HERE"', "NaN"), NOT_FINITE, id="NaN"),
    pytest.param(retraced(parameterCount=-1), MALFORMED, id="a negative count"),
    pytest.param(retraced(memory=MEMORY[:2]), MALFORMED, id="a kind of GPU is missing"),
    pytest.param(retraced(memory=[*MEMORY, MEMORY[0]]), MALFORMED, id="a kind of GPU twice"),
    pytest.param(
        retraced(memory=[{**MEMORY[0], "components": MEMORY[0]["components"] * 2}, *MEMORY[1:]]),
        MALFORMED,
        id="a component twice",
    ),
    pytest.param(trace_report(trace=None), MALFORMED, id="neither a trace nor a failure"),
    pytest.param(trace_report(failure={"reason": "RunnerError", "message": ""}), MALFORMED, id="a trace and a failure"),
    pytest.param(trace_report(schemaVersion=2), MALFORMED, id="a schema of another release"),
    pytest.param(trace_report(question="other"), ANOTHER, id="of another question"),
    pytest.param(trace_report(runUid=OTHER_RUN), ANOTHER, id="of another ModelCheck"),
    pytest.param(trace_report(podUid=OTHER_POD), ANOTHER, id="of another Pod"),
    pytest.param(trace_report(podUid=None), ANOTHER, id="of no Pod"),
]


@pytest.mark.parametrize(("message", "reason"), TRACES_REFUSED)
def test_a_trace_is_refused(message: str, reason: Reason) -> None:
    answer = accept_trace(message, RUN, POD, QUESTION)
    assert isinstance(answer, Rejected) and answer.reason is reason, answer


def test_a_trace_of_this_question_is_accepted() -> None:
    answer = accept_trace(trace_report(), RUN, POD, QUESTION)
    assert isinstance(answer, TraceReport) and answer.trace == TRACE
