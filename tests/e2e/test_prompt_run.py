"""A run on a node with room for it: so many writes, none when it is applied again, and figures that outlive the Job."""

import json
import time

import pytest
from tests.e2e.conftest import Tool
from tests.e2e.reach import Body
from tests.e2e.space import Space, benchmark, of_run, outcome, results, states, tiny

pytestmark = pytest.mark.slow

STILL_SECONDS = 5.0  # how long nothing is to happen


@pytest.fixture(scope="module")
def settled(space: Space, kubectl: Tool) -> Body:
    """A run that was applied by kubectl, on a node with room for it, and has ended."""
    _apply(space, kubectl)
    return space.end("settled")


def _apply(space: Space, kubectl: Tool) -> str:
    manifest = json.dumps(benchmark("settled", tiny()))
    return kubectl("--namespace", space.namespace, "apply", "--filename", "-", stdin=manifest)


def test_a_prompt_run_is_written_three_times(space: Space, settled: Body) -> None:
    sights = space.benchmarks.of("settled")
    versions = states(sights)
    progress = len(sights) - len(versions)
    uid = settled["metadata"]["uid"]
    space.events.wait("the Event of the end", lambda s: s.body["involvedObject"].get("uid") == uid)
    told = [s for s in space.events.all() if s.body["involvedObject"].get("uid") == uid]
    jobs = [s for s in space.jobs.of("settled-run") if s.kind == "ADDED"]
    print(f"\n{len(versions) - 1} status patches, {progress} more of progress, {len(jobs)} Job, {len(told)} Event")
    print(f"phases: {[s.get('phase') for s in versions]}")
    assert outcome(settled) == "Measured"
    assert [s.get("phase") for s in versions] == [None, "Pending", "Running", "Completed"]
    assert len(jobs) == 1
    assert len(told) <= 2
    assert "results" not in versions[1] | versions[2]
    assert versions[1]["predictions"], "the prediction stands before the run"


def test_applying_it_again_runs_nothing_again(space: Space, kubectl: Tool, settled: Body) -> None:
    assert "unchanged" in _apply(space, kubectl)
    time.sleep(STILL_SECONDS)
    assert space.benchmarks.newest("settled") == settled  # to the resource version
    assert len({s.body["metadata"]["uid"] for s in space.pods.all() if of_run(s, "settled")}) == 1
    assert len({s.body["metadata"]["uid"] for s in space.jobs.of("settled-run")}) == 1


def test_a_finished_run_keeps_its_figures_when_its_job_expires(space: Space, settled: Body) -> None:
    space.api.patch(space.benchmark_path("settled"), {"spec": {"ttlSecondsAfterFinished": 1}})
    space.jobs.gone("settled-run")
    pod = space.pod("settled").body["metadata"]["name"]
    space.pods.gone(pod)
    time.sleep(STILL_SECONDS)
    after = space.benchmarks.newest("settled")
    assert after is not None
    assert results(after) == results(settled)
    assert after["status"]["observedGeneration"] == after["metadata"]["generation"] == 2
    assert after["status"]["phase"] == "Completed"
    assert [s.kind for s in space.jobs.of("settled-run")][-1] == "DELETED"
