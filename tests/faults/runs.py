"""Runs of the stand-in, and what must be true of each, whatever happened to the operator meanwhile."""

from typing import Any

from tests.e2e.reach import Body
from tests.e2e.space import Space, ended, of_run, outcome, results, tiny

PHASES = [None, "Pending", "Running", "Completed"]


def standing_in(end: str, **changes: Any) -> Body:
    """A spec whose Pod ends as the stand-in's table says under this id."""
    small = {"gpusPerNode": 0, "cpu": "50m", "memory": "64Mi"}
    return tiny(end, resources=small, preflight={"policy": "Off"}, **changes)


def nowhere() -> Body:
    """A spec whose Pod no node takes."""
    return standing_in("good", placement={"nodeSelector": {"wattmark.dev/nowhere": "true"}})


def one_of_each(space: Space, done: Body) -> None:
    """One Job, one Pod, one result, and never a step back."""
    name, uid = done["metadata"]["name"], done["metadata"]["uid"]
    jobs = {s.body["metadata"]["uid"] for s in space.jobs.of(f"{name}-run")}
    pods = {s.body["metadata"]["uid"] for s in space.pods.all() if of_run(s, name)}
    versions = [s.body for s in space.benchmarks.of(name)]
    told = [s for s in space.events.all() if s.body["involvedObject"].get("uid") == uid and s.kind == "ADDED"]
    assert outcome(done) == "Measured", done["status"]
    assert (len(jobs), len(pods)) == (1, 1)
    assert jobs == {done["status"]["job"]["uid"]}
    assert [a["podUid"] for a in done["status"]["attempts"]] == list(pods)
    assert done["status"]["results"]["throughput"] == {"samplesPerSecond": 20.0}
    assert all(results(body) is None for body in versions if not ended(body))
    phases = [body.get("status", {}).get("phase") for body in versions]
    assert phases == sorted(phases, key=PHASES.index)
    assert len(told) <= 1
