"""What the operator holds of the cluster, and whom a change wakes."""

from typing import Any, cast

import pytest
from tests.unit.seen import JOB, OTHER_RUN, RUN
from tests.unit.test_observe import OWNER, job, pod

from wattmark.cluster.client import Client
from wattmark.identity import BENCHMARK_JOB, MODEL_CHECK, Key
from wattmark.settings import Settings
from wattmark.world import Wake, World, object_path, version

BERT = Key(BENCHMARK_JOB, "team", "bert")
LABELS = {"wattmark.dev/kind": BENCHMARK_JOB, "wattmark.dev/name": "bert"}


class Woken:
    """A world without a cluster, and what it woke."""

    def __init__(self, **settings: Any) -> None:
        self.keys: list[tuple[Key, bool]] = []
        self.fleets = 0
        self.learnt: list[str] = []
        wake = Wake(lambda key, urgent: self.keys.append((key, urgent)), self._fleet, self.learnt.append)
        self.world = World(cast("Client", None), Settings("runner:1", **settings), wake)

    def _fleet(self) -> None:
        self.fleets += 1


def body(resource_version: str, uid: str = RUN) -> dict[str, Any]:
    return {"metadata": {"name": "bert", "uid": uid, "resourceVersion": resource_version, "managedFields": []}}


def versioned(found: dict[str, Any], resource_version: int, **metadata: Any) -> dict[str, Any]:
    return {**found, "metadata": {**found["metadata"], "resourceVersion": str(resource_version), **metadata}}


SIGHTS = [
    pytest.param(["5"], [True], id="a first sight is news"),
    pytest.param(["5", "5"], [True, False], id="the same again is not"),
    pytest.param(["5", "3"], [True, False], id="nor is what is older"),
    pytest.param(["9", "10"], [True, True], id="versions are numbers, not words"),
]


@pytest.mark.parametrize(("versions", "news"), SIGHTS)
def test_what_is_news(versions: list[str], news: list[bool]) -> None:
    world = Woken().world
    assert [world.see(BERT, body(v)) for v in versions] == news
    held = world.body(BERT)
    assert held is not None
    assert "managedFields" not in held["metadata"]


def test_a_finished_object_reads_as_it_was_seen() -> None:
    world = Woken().world
    finished = {**body("5"), "status": {"completionTime": "2026-01-01T00:00:00Z", "summary": {"model": "bärt"}}}
    world.see(BERT, finished)
    assert world.body(BERT) == finished
    assert world.uid(BERT) == RUN
    assert not world.see(BERT, body("4"))


def test_an_object_is_forgotten_by_its_uid_and_its_successor_is_not() -> None:
    world = Woken().world
    world.see(BERT, body("5"))
    world.see(BERT, body("9", OTHER_RUN))
    assert not world.forget(BERT, RUN) and world.uid(BERT) == OTHER_RUN
    assert world.forget(BERT, OTHER_RUN) and world.uid(BERT) is None
    assert world.forget(BERT, OTHER_RUN)


def test_a_job_wakes_its_owner_and_urgently_when_it_fails() -> None:
    woken = Woken()
    woken.world.jobs.put(versioned(job(), 1))
    woken.world.jobs.put(versioned(job("FailureTarget"), 2))
    stranger = job(ownerReferences=[{**OWNER, "kind": "CronJob"}])
    woken.world.jobs.put(versioned(stranger, 3, name="other-run"))
    assert woken.keys == [(BERT, False), (BERT, True)]


def test_a_pod_wakes_the_run_of_its_label_and_urgently_when_it_ends() -> None:
    woken = Woken()
    woken.world.pods.put(versioned(pod(), 1))
    woken.world.pods.put(versioned(pod(phase="Failed"), 2))
    assert woken.keys == [(BERT, False), (BERT, True)]
    assert [p.phase for p in woken.world.pods_of(BERT)] == ["Failed"]
    woken.world.pods._take(versioned(pod(), 3), deleted=True)
    assert woken.world.pods_of(BERT) == ()


def test_what_traces_wakes_its_modelcheck_and_not_a_benchmarkjob_of_that_name() -> None:
    woken, check = Woken(), Key(MODEL_CHECK, "team", "bert")
    owner = {**OWNER, "kind": MODEL_CHECK}
    woken.world.jobs.put(versioned(job(ownerReferences=[owner]), 1, name="bert-trace"))
    woken.world.pods.put(versioned(pod(), 2, labels=LABELS | {"wattmark.dev/kind": MODEL_CHECK}))
    assert woken.keys == [(check, False), (check, False)]
    assert len(woken.world.pods_of(check)) == 1 and woken.world.pods_of(BERT) == ()


def test_a_pod_with_a_label_of_no_kind_of_ours_is_nobodys() -> None:
    woken = Woken()
    woken.world.pods.put(versioned(pod(), 1, labels=LABELS | {"wattmark.dev/kind": "Other"}))
    assert woken.keys == []


def test_a_pod_whose_label_is_edited_leaves_its_old_run() -> None:
    world = Woken().world
    world.pods.put(versioned(pod(), 1))
    world.pods.put(versioned(pod(), 2, labels=LABELS | {"wattmark.dev/name": "other"}))
    assert world.pods_of(BERT) == ()
    assert len(world.pods_of(Key(BENCHMARK_JOB, "team", "other"))) == 1


OWN = [
    pytest.param(RUN, {}, True, id="a Pod of the run's Job"),
    pytest.param(OTHER_RUN, {}, False, id="a Pod of an earlier namesake's Job"),
    pytest.param(RUN, {"ownerReferences": []}, False, id="a Pod that nobody owns"),
    pytest.param(RUN, {"labels": LABELS | {"wattmark.dev/kind": MODEL_CHECK}}, False, id="a Pod that traces"),
    pytest.param(RUN, {"labels": LABELS | {"wattmark.dev/name": "other"}}, False, id="a Pod of no run that is there"),
]


@pytest.mark.parametrize(("uid", "metadata", "own"), OWN)
def test_only_pods_of_the_runs_themselves_are_listened_to(uid: str, metadata: dict[str, Any], own: bool) -> None:
    world = Woken().world
    world.see(BERT, body("5", uid))
    world.jobs.put(versioned(job(), 1))
    world.pods.put(versioned(pod(), 2, **metadata))
    assert bool(world.own_pods()) == own
    assert all(p.owner_uid == JOB for p in world.own_pods())


def test_nodes_and_pods_with_gpus_wake_all_whose_answer_rests_on_them() -> None:
    woken = Woken()
    woken.world.nodes.put({"metadata": {"name": "node-1", "resourceVersion": "1"}})
    assert (woken.fleets, woken.keys) == (1, [])
    requests = {"resources": {"requests": {"nvidia.com/gpu": "1"}}}
    taking = {
        "metadata": {"namespace": "x", "name": "y", "resourceVersion": "1"},
        "spec": {"nodeName": "node-1", "containers": [requests]},
    }
    woken.world.gpu_pods.put(taking)
    assert woken.fleets == 2
    spec = {"driver": "gpu.nvidia.com", "nodeName": "node-1", "devices": [{"name": "gpu-0"}]}
    woken.world.slices.put({"metadata": {"name": "slice", "resourceVersion": "2"}, "spec": spec})
    assert (woken.fleets, woken.world.fleet_version) == (3, 3)


def test_a_watch_of_what_is_not_served_is_not_silent() -> None:
    world = Woken().world
    for reflector in world.reflectors:
        reflector.last_heard = 900.0
    world.slices.last_heard, world.slices.absent = 0.0, True
    assert world.silence_seconds(1000.0) == 100.0


READ = [
    pytest.param({}, ["jobs", "pods", "nodes", "resourceslices", "pods"], id="all of the cluster by default"),
    pytest.param(
        {"read_all_pods": False}, ["jobs", "pods", "nodes", "resourceslices"], id="without the Pods of others"
    ),
    pytest.param({"read_nodes": False}, ["jobs", "pods"], id="without nodes"),
]


@pytest.mark.parametrize(("settings", "resources"), READ)
def test_only_what_the_settings_allow_is_read(settings: dict[str, Any], resources: list[str]) -> None:
    paths = [r._path for r in Woken(**settings).world.reflectors]
    assert [path.rsplit("/", 1)[1] for path in paths] == resources


def test_one_namespace_is_read_where_one_is_served() -> None:
    jobs, pods, *_ = Woken(namespace="team").world.reflectors
    assert (jobs._path, pods._path) == ("/apis/batch/v1/namespaces/team/jobs", "/api/v1/namespaces/team/pods")


def test_paths_and_versions() -> None:
    assert object_path(BERT, "status") == "/apis/wattmark.dev/v1alpha1/namespaces/team/benchmarkjobs/bert/status"
    assert object_path(Key(MODEL_CHECK, "a", "b")) == "/apis/wattmark.dev/v1alpha1/namespaces/a/modelchecks/b"
    assert version(body("12")) == 12 and version(body("odd")) == 0
