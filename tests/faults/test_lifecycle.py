"""A BenchmarkJob's life on the real cluster: run once, deleted, created anew, suspended, resumed.

Its Pods are real and its runner is a stand-in: what is tried here ends or waits before anything is measured.
"""

import time

import pytest
from tests.e2e.conftest import OPERATOR_USER
from tests.e2e.reach import Body
from tests.e2e.space import Space, condition, ended, holds, idle_pod, of_run, outcome, results
from tests.faults.operators import Operator
from tests.faults.runs import nowhere, standing_in

pytestmark = pytest.mark.slow

HOLD = "wattmark.dev/test-holds"
STILL_SECONDS = 5.0  # how long nothing is to happen


@pytest.fixture(scope="module", autouse=True)
def started(operator: Operator) -> None:
    operator.start()


def test_deleting_it_while_it_waits_removes_job_and_pod(space: Space) -> None:
    space.start("waits", nowhere())
    pod = space.pod("waits").body["metadata"]["name"]
    space.says("waits", "Running", "Unschedulable")
    space.api.delete(space.benchmark_path("waits"))
    space.jobs.gone("waits-run")
    space.pods.gone(pod)


def test_deleting_it_while_it_runs_removes_job_and_pod(space: Space) -> None:
    space.start("runs", standing_in("good.600"))
    pod = space.running("runs").body["metadata"]["name"]
    space.api.delete(space.benchmark_path("runs"))
    space.jobs.gone("runs-run")
    space.pods.gone(pod)


def test_a_namesake_never_shows_the_figures_of_the_run_before_it(space: Space) -> None:
    first = space.start("again", standing_in("good"))["metadata"]["uid"]
    before = space.end("again", first)
    assert outcome(before) == "Measured", before["status"]
    old_job = before["status"]["job"]["uid"]
    space.api.patch(space.job_path("again"), {"metadata": {"finalizers": [HOLD]}})
    space.api.delete(space.benchmark_path("again"))
    space.jobs.wait("the old Job is going", lambda s: bool(s.body["metadata"].get("deletionTimestamp")))
    second = space.start("again", standing_in("good"))["metadata"]["uid"]
    space.says("again", "Running", "WaitingForOldRun", second)
    time.sleep(STILL_SECONDS)
    held = space.benchmarks.newest("again")
    assert held is not None
    assert not [held["status"][k] for k in ("results", "attempts", "job") if held["status"].get(k)]
    space.api.patch(space.job_path("again"), {"metadata": {"finalizers": None}})
    after = space.end("again", second)
    assert outcome(after) == "Measured", after["status"]
    assert after["status"]["job"]["uid"] != old_job
    assert results(after) != results(before)
    shown = [s.body for s in space.benchmarks.of("again") if s.body["metadata"]["uid"] == second]
    assert all(results(body) is None for body in shown if not ended(body))
    old_pods = {a["podUid"] for a in before["status"]["attempts"]}
    assert not [a for body in shown for a in body.get("status", {}).get("attempts", []) if a["podUid"] in old_pods]


def _strangers_job(name: str, labels: dict[str, str]) -> Body:
    template = {"metadata": {"labels": labels}, "spec": idle_pod("Never")}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": f"{name}-run", "labels": labels},
        "spec": {"suspend": True, "template": template},
    }


@pytest.mark.parametrize(
    ("name", "labelled"),
    [
        pytest.param("plain", False, id="a Job of that name without our labels"),
        pytest.param("marked", True, id="a Job of that name with our labels, but of no BenchmarkJob"),
    ],
)
def test_a_strangers_job_is_neither_adopted_nor_touched(space: Space, name: str, labelled: bool) -> None:
    labels = {"wattmark.dev/kind": "BenchmarkJob", "wattmark.dev/name": name} if labelled else {"colour": "blue"}
    # The admission policies leave such a label to the operator, so it takes the operator's rights to put it there.
    there = space.api.impersonating(OPERATOR_USER).create(space.jobs_path, _strangers_job(name, labels))
    before = space.jobs.wait(  # the Job controller has said that it is suspended
        f"{name}-run settled",
        lambda s: s.body["metadata"]["uid"] == there["metadata"]["uid"] and holds(s.body, "Suspended"),
    ).body
    space.start(name, standing_in("good"))
    failed = space.end(name)
    assert outcome(failed) == "NameConflict"
    assert f"Job {name}-run exists and is not this BenchmarkJob's" in condition(failed, "Failed")["message"]
    assert results(failed) is None
    assert "job" not in failed["status"]
    space.api.delete(space.benchmark_path(name))
    space.benchmarks.gone(name)
    time.sleep(STILL_SECONDS / 2)
    assert space.jobs.newest(f"{name}-run") == before
    assert space.api.get(space.job_path(name)) is not None


def test_a_strangers_pod_is_neither_read_nor_touched(space: Space, standin: str) -> None:
    uid = space.start("forged", nowhere())["metadata"]["uid"]
    own = space.pod("forged").body
    space.says("forged", "Running", "Unschedulable")
    forgery = _forged_pod(own, uid, standin)
    creator = space.api.impersonating("system:serviceaccount:kube-system:job-controller")
    status, answer = creator.ask("POST", space.pods_path, forgery)
    assert status == 201, answer
    space.pods.wait(
        "the forged Pod's report",
        lambda s: s.body["metadata"]["name"] == "forged-run-00000" and s.body["status"]["phase"] == "Succeeded",
    )
    time.sleep(STILL_SECONDS)
    after = space.benchmarks.newest("forged")
    assert after is not None
    assert condition(after, "Running")["reason"] == "Unschedulable"
    assert {a["podUid"] for a in after["status"].get("attempts", [])} <= {own["metadata"]["uid"]}
    space.api.delete(space.benchmark_path("forged"))
    space.pods.gone(own["metadata"]["name"])
    assert space.pods.newest("forged-run-00000") is not None


def _forged_pod(own: Body, uid: str, image: str) -> Body:
    """A Pod with the labels of a run's own, that reports its own figures for that very run, and has another owner."""
    code = (
        "import json,os;"
        f"r={{'schemaVersion':1,'runUid':'{uid}','podUid':os.environ['POD'],"
        "'failure':{'reason':'RunnerError','message':'forged'}};"
        "open('/dev/termination-log','w').write(json.dumps(r))"
    )
    container = own["spec"]["containers"][0]
    field = {"fieldRef": {"fieldPath": "metadata.uid"}}
    labels = {
        k: v for k, v in own["metadata"]["labels"].items() if k.startswith(("wattmark.dev/", "app.kubernetes.io/"))
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "forged-run-00000", "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": own["spec"]["securityContext"],
            "containers": [
                {
                    "name": container["name"],
                    "image": image,
                    "imagePullPolicy": container["imagePullPolicy"],
                    "command": ["python3", "-c", code],
                    "env": [{"name": "POD", "valueFrom": field}],
                    "securityContext": container["securityContext"],
                }
            ],
        },
    }


def test_a_run_that_is_suspended_from_the_start_begins_when_resumed(space: Space) -> None:
    space.start("held", standing_in("good", suspend=True))
    space.says("held", "Suspended", "Suspended")
    time.sleep(STILL_SECONDS / 2)
    assert space.jobs.of("held-run") == []
    space.api.patch(space.benchmark_path("held"), {"spec": {"suspend": False}})
    done = space.end("held")
    assert outcome(done) == "Measured", done["status"]
    assert condition(done, "Suspended")["reason"] == "Resumed"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("good", id="it answers SIGTERM"),
        pytest.param("starting", id="it has only begun to start"),
    ],
)
def test_a_run_that_is_suspended_while_it_runs_stops_and_begins_anew(space: Space, end: str) -> None:
    name = f"paused-{end}"
    space.start(name, standing_in(f"{end}.8"))
    first = space.running(name).body["metadata"]
    space.says(name, "Running", "Running")
    space.api.patch(space.benchmark_path(name), {"spec": {"suspend": True}})
    space.pods.gone(first["name"])
    space.says(name, "Suspended", "Suspended")
    suspended = space.api.get(space.job_path(name))
    assert suspended is not None
    assert suspended["spec"]["suspend"] is True
    job = suspended["metadata"]["uid"]
    time.sleep(STILL_SECONDS / 2)
    assert [s for s in space.pods.all() if of_run(s, name) and s.body["metadata"]["uid"] != first["uid"]] == []
    space.api.patch(space.benchmark_path(name), {"spec": {"suspend": False}})
    done = space.end(name)
    assert outcome(done) == "Measured", done["status"]
    assert done["status"]["job"]["uid"] == job
    print(f"\nattempts: {done['status']['attempts']}")
    assert done["status"]["attempts"][-1]["outcome"] == "Succeeded"
    assert done["status"]["attempts"][0]["podUid"] == first["uid"]
