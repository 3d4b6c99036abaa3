"""Twenty BenchmarkJobs at once on one node: all end with figures, and then nothing happens."""

import time
from typing import Any

import pytest
from tests.e2e.crowd import RUNS, TINY, Crowd
from tests.e2e.reach import Body
from tests.e2e.space import outcome, results, runs, states

pytestmark = pytest.mark.slow

STILL_SECONDS = 10.0  # how long nothing is to happen


def test_twenty_at_once_all_end_with_figures(crowd: Crowd) -> None:
    twenty = [*RUNS, *TINY]
    assert len(twenty) == 20
    assert {name: outcome(crowd.ended[name]) for name in twenty} == dict.fromkeys(twenty, "Measured")
    assert all(results(crowd.ended[name]) for name in twenty)
    writes = [len(states(crowd.space.benchmarks.of(name))) - 1 for name in twenty]
    print(f"\nstatus patches a run, progress apart: {sorted(writes)}, {sum(writes) / len(writes):.1f} on average")
    pods = {s.body["metadata"]["uid"] for s in crowd.space.pods.all() if _of_a_run(s.body)}
    assert len(pods) == len(twenty)


def test_of_twenty_only_as_many_run_at_once_as_fit(crowd: Crowd) -> None:
    node = crowd.space.api.get(f"/api/v1/nodes/{crowd.ended[TINY[0]]['status']['environment']['node']}")
    assert node is not None
    offered = _cores(node["status"]["allocatable"]["cpu"])
    running: dict[str, float] = {}
    most = 0.0
    for sight in crowd.space.pods.all():
        name = sight.body["metadata"]["name"]
        if _of_a_run(sight.body) and sight.kind != "DELETED" and runs(sight.body):
            running[name] = _cores(sight.body["spec"]["containers"][0]["resources"]["requests"]["cpu"])
        else:
            running.pop(name, None)
        most = max(most, sum(running.values()))
    print(
        f"\nat most {most:.1f} cores were asked for at once; the node offers {offered:.1f}, also to what else is there"
    )
    assert 0 < most <= offered


def _of_a_run(pod: Body) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("wattmark.dev/name") in {*RUNS, *TINY})


def _cores(quantity: Any) -> float:
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_nothing_is_written_while_nothing_changes(crowd: Crowd) -> None:
    space = crowd.space
    time.sleep(1)  # the Job controller's last words about the last run
    before = {s.body["metadata"]["name"]: s.version for s in space.benchmarks.all() if s.kind != "DELETED"}
    events = len(space.events.all())
    time.sleep(STILL_SECONDS)
    after = {s.body["metadata"]["name"]: s.version for s in space.benchmarks.all() if s.kind != "DELETED"}
    assert after == before
    assert [s.body["reason"] for s in space.events.all()[events:] if "wattmark" in str(s.body.get("source"))] == []


def test_deleting_a_finished_run_removes_job_and_pod(crowd: Crowd) -> None:
    name, space = TINY[0], crowd.space
    pod = crowd.ended[name]["status"]["attempts"][-1]["podName"]
    assert space.pods.newest(pod) is not None
    space.api.delete(space.benchmark_path(name))
    space.jobs.gone(f"{name}-run")
    space.pods.gone(pod)
