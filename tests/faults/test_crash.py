"""The operator is killed before and after each of its writes; what it would have done is done, and done once."""

import time

import pytest
from tests.e2e.space import Space
from tests.faults.operators import Operator
from tests.faults.proxy import Fault, Proxy
from tests.faults.runs import one_of_each, standing_in

pytestmark = pytest.mark.slow

# What the operator writes for one run that is scheduled at once, in order: the prediction, the Job, Running, the
# result, the Job's time to live (where one is asked for), and the Event that tells of the end.
WRITES = [
    ("PATCH", "status"),
    ("POST", "jobs"),
    ("PATCH", "status"),
    ("PATCH", "status"),
    ("PATCH", "NAME-run"),
    ("POST", "events"),
]
KILLS = [
    pytest.param(number, fault, id=f"{method} {what} ({number}), {'before' if fault is Fault.KILL_BEFORE else 'after'}")
    for number, (method, what) in enumerate(WRITES, 1)
    for fault in (Fault.KILL_BEFORE, Fault.KILL_AFTER)
]


@pytest.fixture(scope="module")
def started(operator: Operator) -> Operator:
    print(f"\nan operator is ready {operator.start():.1f} s after its process was started")
    return operator


def _expired(space: Space, name: str) -> None:
    """Wait for the last of the writes."""
    space.jobs.wait(
        f"{name}-run has its time to live",
        lambda s: s.body["metadata"]["name"] == f"{name}-run" and s.body["spec"].get("ttlSecondsAfterFinished") == 3600,
    )


def test_a_run_takes_six_writes(space: Space, proxy: Proxy, started: Operator) -> None:
    space.start("reference", standing_in("good.1", ttlSecondsAfterFinished=3600))
    done = space.end("reference")
    _expired(space, "reference")
    one_of_each(space, done)
    time.sleep(2)
    writes = [(w.method, w.path.rsplit("/", 1)[1].replace("reference", "NAME")) for w in proxy.numbered("reference")]
    print("\nwrites of one run: " + ", ".join(f"{method} {what}" for method, what in writes))
    print(f"reads since the operator's start: {dict(proxy.reads)}")
    assert writes == WRITES


@pytest.mark.parametrize(("number", "fault"), KILLS)
def test_after_a_kill_there_is_one_job_one_pod_one_result(
    space: Space, proxy: Proxy, started: Operator, number: int, fault: Fault
) -> None:
    name = f"{fault.name.lower().replace('_', '-')}-{number}"
    proxy.faults[name, number] = fault
    space.start(name, standing_in("good.1", ttlSecondsAfterFinished=3600))
    started.killed()
    again = started.start()
    done = space.end(name)
    _expired(space, name)
    one_of_each(space, done)
    writes = [w.path.rsplit("/", 1)[1] for w in proxy.numbered(name)]
    print(f"\nrestarted within {again:.1f} s; writes: {', '.join(writes)}")
    assert started.complaints() == []
