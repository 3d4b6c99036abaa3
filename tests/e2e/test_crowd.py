"""Twenty BenchmarkJobs at once on one node: all end with figures, and then nothing happens."""

import math
import time
from typing import Any

import pytest
from tests.e2e.reach import Body
from tests.e2e.space import TINY_CPU, Space, outcome, results, runs, states

pytestmark = pytest.mark.slow

CROWD = [f"crowd-{number:02}" for number in range(20)]
STILL_SECONDS = 5.0  # how long nothing is to happen


@pytest.fixture(scope="module")
def crowd(space: Space) -> dict[str, Body]:
    """Twenty BenchmarkJobs, submitted at once, once all have ended."""
    begun = time.monotonic()
    for name in CROWD:
        space.start(name)
    found = {name: space.end(name, seconds=420) for name in CROWD}
    print(f"\ntwenty at once: all ended after {time.monotonic() - begun:.0f} s")
    return found


def test_twenty_at_once_all_end_with_figures(space: Space, crowd: dict[str, Body]) -> None:
    assert {name: outcome(body) for name, body in crowd.items()} == dict.fromkeys(CROWD, "Measured")
    assert all(results(body) for body in crowd.values())
    writes = [len(states(space.benchmarks.of(name))) - 1 for name in CROWD]
    print(f"\nstatus patches a run, progress apart: {sorted(writes)}, {sum(writes) / len(writes):.1f} on average")
    pods = {s.body["metadata"]["uid"] for s in space.pods.all() if s.body["metadata"]["name"].startswith("crowd-")}
    assert len(pods) == len(CROWD)


def test_of_twenty_only_as_many_run_at_once_as_fit(space: Space, crowd: dict[str, Body]) -> None:
    node = space.api.get(f"/api/v1/nodes/{crowd[CROWD[0]]['status']['environment']['node']}")
    assert node is not None
    fit = math.floor(_cores(node["status"]["allocatable"]["cpu"]) / _cores(TINY_CPU))
    running: set[str] = set()
    most = 0
    for sight in space.pods.all():
        name = sight.body["metadata"]["name"]
        if name.startswith("crowd-") and sight.kind != "DELETED" and runs(sight.body):
            running.add(name)
        else:
            running.discard(name)
        most = max(most, len(running))
    print(f"\nat most {most} ran at once; the node has room for {fit} at {TINY_CPU}, less what else asks for CPU there")
    assert 1 <= most <= fit


def _cores(quantity: Any) -> float:
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_nothing_is_written_while_nothing_changes(space: Space, crowd: dict[str, Body]) -> None:
    time.sleep(1)  # the Job controller's last words about the last run
    before = {s.body["metadata"]["name"]: s.version for s in space.benchmarks.all() if s.kind != "DELETED"}
    events = len(space.events.all())
    time.sleep(2 * STILL_SECONDS)
    after = {s.body["metadata"]["name"]: s.version for s in space.benchmarks.all() if s.kind != "DELETED"}
    assert after == before
    assert [s.body["reason"] for s in space.events.all()[events:] if "wattmark" in str(s.body.get("source"))] == []


def test_deleting_a_finished_run_removes_job_and_pod(space: Space, crowd: dict[str, Body]) -> None:
    pod = crowd["crowd-00"]["status"]["attempts"][-1]["podName"]
    assert space.pods.newest(pod) is not None
    space.api.delete(space.benchmark_path("crowd-00"))
    space.jobs.gone("crowd-00-run")
    space.pods.gone(pod)
