"""Answers that are lost, refused or late, and watches that break: every run converges on the same end."""

import time

import pytest
from tests.e2e.space import Space, condition
from tests.faults.operators import Operator
from tests.faults.proxy import Fault, Proxy
from tests.faults.runs import nowhere, one_of_each, standing_in
from tests.faults.test_crash import WRITES

pytestmark = pytest.mark.slow

SPOILED = {
    f"{fault.name.lower()}-{number}": (number, fault)
    for number in range(1, len(WRITES) + 1)
    for fault in (Fault.LOST, Fault.CONFLICT, Fault.THROTTLED, Fault.BROKEN)
}


@pytest.fixture(scope="module")
def started(operator: Operator) -> Operator:
    operator.start()
    return operator


@pytest.fixture(scope="module")
def spoiled(space: Space, proxy: Proxy, started: Operator) -> float:
    """All runs, started at once, each with one write of its own spoiled; the seconds until all had ended."""
    begun = time.monotonic()
    for name, (number, fault) in SPOILED.items():
        proxy.faults[name, number] = fault
        # Long enough to be seen running, however late the operator is: each run has all six writes.
        space.start(name, standing_in("good.3", ttlSecondsAfterFinished=3600))
    for name in SPOILED:
        space.end(name)
    print(f"\n{len(SPOILED)} runs, each with a spoiled write, ended within {time.monotonic() - begun:.1f} s")
    return time.monotonic() - begun


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_write_changes_nothing_in_the_end(
    space: Space, proxy: Proxy, started: Operator, spoiled: float, name: str
) -> None:
    number, fault = SPOILED[name]
    done = space.end(name)
    assert proxy.spoilt(name, number) is fault
    space.jobs.wait(
        f"{name}-run has its time to live",
        lambda s: s.body["metadata"]["name"] == f"{name}-run" and s.body["spec"].get("ttlSecondsAfterFinished") == 3600,
    )
    one_of_each(space, done)
    assert started.complaints() == []


def test_watches_that_break_in_the_middle_of_a_line_are_taken_up_again(
    space: Space, proxy: Proxy, started: Operator, spoiled: float
) -> None:
    space.start("cut", standing_in("good.3"))
    space.says("cut", "Running", "Running")
    watches = proxy.reads["WATCH"]
    broken = proxy.cut_watches()
    space.start("after-the-cut", standing_in("good"))
    for name in ("cut", "after-the-cut"):
        one_of_each(space, space.end(name))
    print(f"\n{broken} watches were broken, {proxy.reads['WATCH'] - watches} begun since")
    assert broken >= 4  # both kinds of ours, Jobs and Pods, and Nodes
    assert started.complaints() == []


def test_a_deletion_that_no_watch_told_of_is_found(
    space: Space, proxy: Proxy, started: Operator, spoiled: float
) -> None:
    space.start("stays", nowhere())
    pod = space.pod("stays").body["metadata"]["name"]
    assert condition(space.says("stays", "Running", "Unschedulable").body, "Running")
    proxy.cut_watches()
    space.api.delete(space.job_path("stays"), propagationPolicy="Background")
    space.pods.gone(pod)
    gone = space.end("stays")
    assert condition(gone, "Failed")["reason"] == "JobDeleted"
