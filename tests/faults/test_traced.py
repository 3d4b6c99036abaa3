"""The operator is killed before and after each write for a trace: nothing is traced twice, and it is answered."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.e2e.reach import Body, Recorder, Sight
from tests.e2e.space import OURS, Space, condition, of_run, tiny
from tests.faults.operators import Operator
from tests.faults.proxy import Fault, Proxy

pytestmark = pytest.mark.slow

# What the operator writes for one trace that is scheduled at once, in order: that it goes on, the Job, which Job it is,
# the answer with what was found, the Job's time to live, and the Event that tells of it.
WRITES = [
    ("PATCH", "status"),
    ("POST", "jobs"),
    ("PATCH", "status"),
    ("PATCH", "status"),
    ("PATCH", "NAME-trace"),
    ("POST", "events"),
]
KILLS = [
    pytest.param(number, fault, id=f"{method} {what} ({number}), {'before' if fault is Fault.KILL_BEFORE else 'after'}")
    for number, (method, what) in enumerate(WRITES, 1)
    for fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER)
]
# The stand-in's end -> the reason and words of the message
ENDS = {
    "no-report": ("NoReport", "left no report"),
    "negative": ("ReportMalformed", "the runner's report is malformed"),
    "not-json": ("ReportMalformed", "not JSON"),
    "too-large": ("ReportTooLarge", "exceeds 4096 bytes"),
}


def question(end: str) -> Body:
    """A spec whose Pod ends as the stand-in's table says under this id."""
    plain = tiny(end)
    return {"model": plain["model"], "workload": plain["workload"], "method": "Traced"}


class Checks:
    """The namespace's ModelChecks, watched."""

    def __init__(self, space: Space) -> None:
        self.api, self.path, self.space = space.api, f"{OURS}/namespaces/{space.namespace}/modelchecks", space
        self.seen = Recorder(space.api, self.path)

    def ask(self, name: str, spec: Body) -> None:
        whole = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "ModelCheck", "metadata": {"name": name}, "spec": spec}
        self.api.create(self.path, whole)

    def says(self, name: str, reason: str) -> Body:
        def speaks(sight: Sight) -> bool:
            named = sight.body["metadata"]["name"] == name
            return named and condition(sight.body, "Evaluated").get("reason") == reason

        return self.seen.wait(f"{name} says {reason}", speaks).body

    def expired(self, name: str) -> None:
        """Wait for the last of the writes."""
        self.space.jobs.wait(
            f"{name}-trace has its time to live",
            lambda s: (
                s.body["metadata"]["name"] == f"{name}-trace" and s.body["spec"].get("ttlSecondsAfterFinished") == 600
            ),
        )

    def one_of_each(self, name: str) -> None:
        """One Job, one Pod, and an answer from what that Pod found."""
        jobs = {s.body["metadata"]["uid"] for s in self.space.jobs.of(f"{name}-trace")}
        pods = {s.body["metadata"]["uid"] for s in self.space.pods.all() if of_run(s, name)}
        status: dict[str, Any] = (self.seen.newest(name) or {})["status"]
        assert (len(jobs), len(pods)) == (1, 1)
        assert jobs == {status["trace"]["job"]["uid"]}
        assert status["parameterCount"] == 1000 and status["source"] == "Traced"


@pytest.fixture(scope="module")
def started(operator: Operator) -> Operator:
    operator.start()
    return operator


@pytest.fixture(scope="module")
def checks(space: Space) -> Iterator[Checks]:
    found = Checks(space)
    yield found
    found.seen.stop()


def test_a_trace_takes_six_writes(checks: Checks, proxy: Proxy, started: Operator) -> None:
    checks.ask("reference", question("good.1"))
    checks.says("reference", "Evaluated")
    checks.expired("reference")
    checks.one_of_each("reference")
    time.sleep(2)
    writes = [(w.method, w.path.rsplit("/", 1)[1].replace("reference", "NAME")) for w in proxy.numbered("reference")]
    assert writes == WRITES


@pytest.mark.parametrize(("number", "fault"), KILLS)
def test_after_a_kill_there_is_one_job_one_pod_one_answer(
    checks: Checks, proxy: Proxy, started: Operator, number: int, fault: Fault
) -> None:
    name = f"{fault.name.lower().replace('_', '-')}-{number}"
    proxy.faults[name, number] = fault
    checks.ask(name, question("good.1"))
    started.killed()
    started.start()
    checks.says(name, "Evaluated")
    checks.expired(name)
    checks.one_of_each(name)
    assert started.complaints() == []


@pytest.mark.parametrize("end", ENDS)
def test_a_report_that_is_none_is_told(checks: Checks, started: Operator, end: str) -> None:
    reason, words = ENDS[end]
    checks.ask(end, question(end))
    body = checks.says(end, reason)
    assert words in condition(body, "Evaluated")["message"]
    assert condition(body, "Stalled")["status"] == "True"
    assert body["status"]["trace"]["failure"]["reason"] == reason and "need" not in body["status"]
