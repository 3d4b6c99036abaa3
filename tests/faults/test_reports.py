"""Reports that are missing, broken or of another run: real Pods that end so, each with its reason and no figures."""

import pytest
from tests.e2e.reach import Body, Sight
from tests.e2e.space import Space, condition, of_run, outcome, results
from tests.faults.operators import Operator
from tests.faults.runs import one_of_each, standing_in

pytestmark = pytest.mark.slow

# The stand-in's end -> the reason, and words of the message that say what happened or what to do.
ENDS = {
    "no-report": ("NoReport", "exited with code 0 but left no report"),
    "no-report-and-code-3": ("NoReport", "exited with code 3"),
    "not-json": ("ReportMalformed", "not JSON"),
    "half-a-report": ("ReportMalformed", "not JSON"),
    "no-throughput": ("ReportMalformed", "results.throughput.samplesPerSecond"),
    "negative": ("ReportMalformed", "results.throughput.samplesPerSecond"),
    "text-for-a-number": ("ReportMalformed", "results.throughput.samplesPerSecond"),
    "field-twice": ("ReportMalformed", "names a field twice"),
    "too-large": ("ReportTooLarge", "exceeds 4096 bytes"),
    "other-run": ("ReportOfAnotherRun", "of another run"),
    "other-pod": ("ReportOfAnotherRun", "of another run"),
    "nan": ("ReportNotFinite", "NaN"),
    "infinity": ("ReportNotFinite", "Infinity"),
    "huge": ("ReportNotFinite", "results.throughput.samplesPerSecond"),
    "failure-and-code-0": ("ReportMalformed", "exited with code 0 but reports a failure"),
    "figures-and-code-1": ("ReportMalformed", "exited with code 1 but reports figures"),
    "figures-and-failure": ("ReportMalformed", "either results or a failure"),
    "cuda-out-of-memory": ("DeviceOutOfMemory", "lower batchSizePerDevice"),
}


@pytest.fixture(scope="module")
def started(operator: Operator) -> Operator:
    operator.start()
    return operator


@pytest.fixture(scope="module")
def ends(space: Space, started: Operator) -> dict[str, Body]:
    """All of them, started at once, once each has ended; and one that is told to end again and again."""
    space.start("terminated", standing_in("terminated", maxInfrastructureRetries=1))
    for name in ENDS:
        space.start(name, standing_in(name))
    return {name: space.end(name) for name in [*ENDS, "terminated"]}


def _terminal(sight: Sight) -> bool:
    return sight.body["status"].get("phase") in ("Succeeded", "Failed")


@pytest.mark.parametrize("name", ENDS)
def test_a_report_that_is_none_fails_the_run_with_its_reason(space: Space, ends: dict[str, Body], name: str) -> None:
    reason, words = ENDS[name]
    body = ends[name]
    signal = space.pods.wait(f"{name}'s end", lambda s: of_run(s, name) and _terminal(s))
    told = space.says(name, "Failed", reason)
    print(
        f"\n{reason} {1000 * (told.at - signal.at):.0f} ms after its Pod's end: {condition(body, 'Failed')['message']}"
    )
    assert outcome(body) == reason
    assert words in condition(body, "Failed")["message"]
    assert [results(s.body) for s in space.benchmarks.of(name)] == [None] * len(space.benchmarks.of(name))
    (attempt,) = body["status"]["attempts"]
    assert attempt["outcome"] == reason
    assert len({s.body["metadata"]["uid"] for s in space.pods.all() if of_run(s, name)}) == 1, "nothing is tried again"


def test_a_runner_that_is_always_told_to_end_is_tried_within_the_limit(space: Space, ends: dict[str, Body]) -> None:
    body = ends["terminated"]
    assert outcome(body) == "Evicted"
    assert "all 2 attempts" in condition(body, "Failed")["message"]
    assert [a["outcome"] for a in body["status"]["attempts"]] == ["Evicted", "Evicted"]
    assert results(body) is None


def test_a_run_that_ended_while_the_operator_was_away_is_read_when_it_is_back(
    space: Space, started: Operator, ends: dict[str, Body]
) -> None:
    space.start("away", standing_in("good.1"))
    space.pod("away")
    started.stop()
    space.pods.wait("its end", lambda s: of_run(s, "away") and _terminal(s))
    started.start()
    one_of_each(space, space.end("away"))


def test_a_report_that_is_lost_with_its_pod_is_said_to_be_lost(
    space: Space, started: Operator, ends: dict[str, Body]
) -> None:
    space.start("lost", standing_in("good.1"))
    pod = space.running("lost").body["metadata"]["name"]
    started.stop()
    space.pods.wait("its end", lambda s: of_run(s, "lost") and _terminal(s))
    space.api.delete(f"{space.pods_path}/{pod}", gracePeriodSeconds=0)
    space.pods.gone(pod)
    started.start()
    body = space.end("lost")
    assert outcome(body) == "ReportLost"
    assert "run it again" in condition(body, "Failed")["message"]
    assert results(body) is None
    assert started.complaints() == []
