"""GPUs as the cluster offers them: really scheduled on the real node, reckoned with on simulated ones.

No GPU is there: the real node only says that it offers some. So a run that gets one ends by saying that it sees none.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.fleet import SIMULATED, Gpu, NodeType
from tests.cluster.fleet import node as simulated_node
from tests.e2e.reach import Api, Body, Recorder
from tests.e2e.space import OURS, TINY_CPU, Space, condition, idle_pod, outcome, results, tiny

pytestmark = pytest.mark.slow

GPU = "nvidia.com/gpu"
# A product that no other test's nodes have, so that what else happens to the fleet changes no answer here.
PRODUCT = Gpu("NVIDIA-TEST-48GB", "ampere", "8.6", 49140)
KIND = NodeType("test-gpu", PRODUCT, gpus=2, nodes=2, cpu=16, memory_gib=64)
SIMULATED_TOO = [{"key": SIMULATED, "operator": "Exists"}]
LARGE = {"model": {"id": "meta-llama/Llama-3.1-70B"}, "runtime": {"precision": "bf16"}}


@pytest.fixture(scope="module")
def real_node(api: Api, release: str) -> str:
    nodes = api.get(f"/api/v1/nodes?labelSelector=!{SIMULATED}")
    assert nodes is not None
    return f"/api/v1/nodes/{nodes['items'][0]['metadata']['name']}"


def _offer(api: Api, node: str, count: int | None) -> None:
    value = None if count is None else str(count)
    api.patch(f"{node}/status", {"status": {"capacity": {GPU: value}, "allocatable": {GPU: value}}})


def test_a_need_above_every_node_type_is_refused_before_any_pod_exists(space: Space, real_node: str) -> None:
    _offer(space.api, real_node, None)
    space.start("too-large", {**LARGE, "placement": {"tolerations": SIMULATED_TOO}})
    body = space.end("too-large")
    said = condition(body, "Failed")
    print(f"\n{said['reason']}: {said['message']}")
    assert outcome(body) == "DoesNotFit"
    assert "fits none of" in said["message"]
    assert condition(body, "ModelFits")["status"] == "False"
    verdicts = {answer["verdict"] for answer in body["status"]["predictions"]}
    assert verdicts == {"DoesNotFit"}
    assert (space.jobs.of("too-large-run"), space.pods.all(), results(body)) == ([], [], None)


@pytest.fixture(scope="module")
def offered(space: Space, real_node: str) -> Iterator[str]:
    """The real node with one GPU that is not there."""
    _offer(space.api, real_node, 1)
    yield real_node
    _offer(space.api, real_node, None)


def test_of_two_runs_for_one_gpu_one_waits_and_both_say_that_there_is_none(space: Space, offered: str) -> None:
    spec = tiny(resources={"gpusPerNode": 1, "cpu": TINY_CPU, "memory": "1Gi"})
    for name in ("first", "second"):
        space.start(name, spec)
    ends = {name: space.end(name) for name in ("first", "second")}
    for name, body in ends.items():
        assert outcome(body) == "DeviceUnavailable", body["status"]
        assert results(body) is None
        assert body["status"]["attempts"][0]["outcome"] == "DeviceUnavailable"
        assert body["status"]["gpuSeconds"] > 0
        (container,) = space.pod(name).body["spec"]["containers"]
        assert container["resources"]["limits"][GPU] == container["resources"]["requests"][GPU] == "1"
        print(f"\n{name}: {condition(body, 'Failed')['message']}")
    waited = [condition(s.body, "Running") for n in ends for s in space.benchmarks.of(n)]
    told = [c["message"] for c in waited if c.get("reason") == "Unschedulable"]
    assert told, "one of them waited"
    assert all(f"Insufficient {GPU}" in message for message in told)
    print(told[0])


CHECK = {
    "apiVersion": "wattmark.dev/v1alpha1",
    "kind": "ModelCheck",
    "metadata": {"name": "fleet"},
    "spec": {
        "model": {"id": "meta-llama/Llama-3.1-8B"},
        "workload": {
            "type": "Inference",
            "inference": {"batchSizePerDevice": 1, "input": {"text": {"inputTokens": 512, "outputTokens": 64}}},
        },
        "runtime": {"precision": "bf16"},
        "placement": {"tolerations": SIMULATED_TOO},
    },
}


@pytest.fixture(scope="module")
def checks(space: Space) -> Iterator[Recorder]:
    """A question that is asked throughout, and the answers to it."""
    path = f"{OURS}/namespaces/{space.namespace}/modelchecks"
    recorder = Recorder(space.api, path)
    space.api.create(path, CHECK)
    yield recorder
    recorder.stop()
    for number in (1, 2):
        space.api.delete(f"/api/v1/nodes/simulated-{KIND.name}-{number}")


def _answer(body: Body) -> dict[str, Any]:
    """What the newest answer says of our kind of node; empty where it does not know it."""
    kinds = body.get("status", {}).get("nodeTypes", [])
    return next((kind for kind in kinds if PRODUCT.product in kind["nodeType"]), {})


def _says(checks: Recorder, since: int, **wanted: Any) -> int:
    """Wait for an answer, after the version `since`, that says all this of our kind of node; returns its version."""
    found = checks.wait(
        f"an answer with {wanted}",
        lambda s: s.version > since and {k: _answer(s.body).get(k) for k in wanted} == wanted,
        30,
    )
    print(f"\n{found.body['status']['summary']}: {_answer(found.body).get('message')}")
    return found.version


def _add(space: Space, number: int) -> None:
    """Add a simulated node, which kwok makes Ready."""
    there = space.api.create("/api/v1/nodes", simulated_node(KIND, number))
    name = there["metadata"]["name"]
    space.api.patch(f"/api/v1/nodes/{name}/status", {"status": simulated_node(KIND, number)["status"]})


def _hold(space: Space, count: int) -> None:
    """A Pod of somebody else's that takes GPUs of the first of our nodes."""
    pod = {
        **idle_pod(**{GPU: str(count)}),
        "tolerations": [*SIMULATED_TOO, {"key": GPU, "operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/hostname": f"simulated-{KIND.name}-1"},
    }
    space.api.create(
        space.pods_path, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "neighbour"}, "spec": pod}
    )


def test_the_answer_follows_the_fleet(space: Space, checks: Recorder) -> None:
    asked = checks.wait("an answer", lambda s: condition(s.body, "Evaluated").get("status") == "True", 30)
    assert _answer(asked.body) == {}
    _add(space, 1)
    now = _says(checks, asked.version, verdict="Fits", fitsNow="Fits", nodes=1, freeGpus=2, simulated=True)
    _add(space, 2)
    now = _says(checks, now, nodes=2, freeGpus=4)
    space.api.delete(f"/api/v1/nodes/simulated-{KIND.name}-2")
    now = _says(checks, now, nodes=1, freeGpus=2)
    one = {"status": {"capacity": {GPU: "1"}, "allocatable": {GPU: "1"}}}
    space.api.patch(f"/api/v1/nodes/simulated-{KIND.name}-1/status", one)
    now = _says(checks, now, verdict="Fits", fitsNow="Fits", freeGpus=1)
    _hold(space, 1)
    now = _says(checks, now, verdict="Fits", fitsNow="DoesNotFit", freeGpus=0)
    space.api.delete(f"{space.pods_path}/neighbour", gracePeriodSeconds=0)
    now = _says(checks, now, verdict="Fits", fitsNow="Fits", freeGpus=1)
    space.api.patch(f"/api/v1/nodes/simulated-{KIND.name}-1", {"spec": {"unschedulable": True}})
    now = _says(checks, now, nodes=0, cordonedNodes=1)
    space.api.delete(f"/api/v1/nodes/simulated-{KIND.name}-1")
    checks.wait("an answer without it", lambda s: s.version > now and _answer(s.body) == {}, 30)
    writes = [s for s in checks.of("fleet") if s.kind == "MODIFIED"]
    print(f"{len(writes)} status patches; the last: {json.dumps(writes[-1].body['status']['summary'])}")
