"""Nodes as feature discovery, clouds and mistakes label them, and what is free on them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.fleet.gpus import gpu_product
from wattmark.fleet.nodes import (
    AssumedNodes,
    SeenGpuPod,
    SeenNode,
    Taint,
    cpu_type,
    node_types,
    read_gpu_pod,
    read_node,
    with_assumed,
)

GIB = 1 << 30
A100: dict[str, str] = {
    "kubernetes.io/arch": "amd64",
    "nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB",
    "nvidia.com/gpu.memory": "81920",
    "nvidia.com/gpu.compute.major": "8",
    "nvidia.com/gpu.compute.minor": "0",
    "nvidia.com/cuda.driver-version.major": "580",
}
EIGHT = {"cpu": "96", "memory": "512Gi", "nvidia.com/gpu": "8"}
READY = [{"type": "Ready", "status": "True"}]


def node(
    labels: dict[str, str] = A100, allocatable: dict[str, Any] = EIGHT, name: str = "a", **fields: Any
) -> dict[str, Any]:
    """A Node body; `fields` are annotations, taints, unschedulable, conditions."""
    return {
        "metadata": {"name": name, "labels": labels, "annotations": fields.get("annotations", {})},
        "spec": {k: fields[k] for k in ("taints", "unschedulable") if k in fields},
        "status": {"allocatable": allocatable, "conditions": fields.get("conditions", READY)},
    }


def only_type(*bodies: dict[str, Any]) -> Any:
    (kind,) = node_types([read_node(body) for body in bodies], ())
    return kind


def without(labels: dict[str, str], *names: str) -> dict[str, str]:
    return {k: v for k, v in labels.items() if k not in names}


def test_alike_nodes_are_one_type_and_others_are_told_apart() -> None:
    bodies = [
        node(name="a"),
        node(name="b"),
        node(A100 | {"nvidia.com/cuda.driver-version.major": "535"}, name="c"),
        node(A100, {"nvidia.com/gpu": "7"}, name="d"),
        node(A100 | {"wattmark.dev/simulated": "true"}, name="e"),
    ]
    kinds = {k.name: [m.node.name for m in k.members] for k in node_types(map(read_node, bodies), ())}
    assert kinds == {
        "NVIDIA-A100-SXM4-80GB-80GiB-x8-driver580": ["a", "b"],
        "NVIDIA-A100-SXM4-80GB-80GiB-x8-driver535": ["c"],
        "NVIDIA-A100-SXM4-80GB-80GiB-x7": ["d"],
        "simulated-NVIDIA-A100-SXM4-80GB-80GiB-x8": ["e"],
    }


def test_a_type_that_is_there_is_not_assumed_beside_itself() -> None:
    a100, h100 = gpu_product("A100-80GB"), gpu_product("H100-SXM")
    assert a100 is not None and h100 is not None
    there = node_types([read_node(node())], ())
    wanted = [AssumedNodes(a100, 8), AssumedNodes(a100, 4), AssumedNodes(h100, 8), AssumedNodes(h100, 8)]
    assert [(k.name, k.assumed, len(k.members)) for k in with_assumed(there, wanted)] == [
        ("NVIDIA-A100-SXM4-80GB-80GiB-x8", False, 1),
        ("NVIDIA-A100-SXM4-80GB-80GiB-x4", True, 0),
        ("NVIDIA-H100-80GB-HBM3-80GiB-x8", True, 0),
    ]


def test_where_the_memory_was_read_is_told_alike_whichever_node_comes_first() -> None:
    bodies = [node(name="a"), node(without(A100, "nvidia.com/gpu.memory"), name="b")]
    assert {only_type(*order).offer.memory_from for order in (bodies, bodies[::-1])} == {"label nvidia.com/gpu.memory"}


def test_where_the_memory_was_read_makes_no_other_type() -> None:
    assert len(only_type(node(name="a"), node(without(A100, "nvidia.com/gpu.memory"), name="b")).members) == 2


@pytest.mark.parametrize(
    ("fields", "ready", "cordoned", "taints"),
    [
        pytest.param(
            {"taints": [{"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}]},
            True,
            True,
            (),
            id="a node that its autoscaler removes takes no Pods: as good as cordoned",
        ),
        pytest.param({}, True, False, (), id="a ready node"),
        pytest.param({"conditions": [{"type": "Ready", "status": "Unknown"}]}, False, False, (), id="a silent node"),
        pytest.param({"conditions": []}, False, False, (), id="a node that never reported"),
        pytest.param(
            {
                "unschedulable": True,
                "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}],
            },
            True,
            True,
            (),
            id="a cordoned node: its taint is not counted again",
        ),
        pytest.param(
            {
                "taints": [
                    {"key": "team", "value": "a", "effect": "NoSchedule"},
                    {"key": "x", "effect": "PreferNoSchedule"},
                ]
            },
            True,
            False,
            (Taint("team", "a", "NoSchedule"),),
            id="taints that keep Pods away, not those that only ask",
        ),
    ],
)
def test_the_state_of_a_node(fields: dict[str, Any], ready: bool, cordoned: bool, taints: tuple[Taint, ...]) -> None:
    seen = read_node(node(**fields))
    assert (seen.ready, seen.cordoned, seen.taints) == (ready, cordoned, taints)


def pod(*containers: dict[str, Any], node: str = "a", phase: str = "Running", init: Any = ()) -> dict[str, Any]:
    spec = {"nodeName": node, "containers": list(containers), "initContainers": list(init)}
    return {"spec": spec, "status": {"phase": phase}}


def gpus(count: object, resource: str = "nvidia.com/gpu", **more: Any) -> dict[str, Any]:
    return {"resources": {"limits": {resource: count, "cpu": "1"}}, **more}


@pytest.mark.parametrize(
    ("body", "requests"),
    [
        pytest.param(pod(gpus("2"), gpus("1")), {"nvidia.com/gpu": 3}, id="containers add up"),
        pytest.param(pod(gpus("1"), init=[gpus("4")]), {"nvidia.com/gpu": 4}, id="an init container runs before them"),
        pytest.param(
            pod(gpus("1"), init=[gpus("2", restartPolicy="Always")]), {"nvidia.com/gpu": 3}, id="a sidecar beside them"
        ),
        pytest.param(pod(gpus("1", "nvidia.com/mig-1g.10gb")), {"nvidia.com/mig-1g.10gb": 1}, id="a slice"),
        pytest.param(pod(gpus("1"), phase="Succeeded"), None, id="a finished Pod takes nothing"),
        pytest.param(pod(gpus("1"), node=""), None, id="a waiting Pod takes nothing yet"),
        pytest.param(pod({"resources": {"limits": {"cpu": "4"}}}), None, id="a Pod without GPUs"),
        pytest.param(pod(gpus("many")), None, id="an odd request"),
        pytest.param({}, None, id="no Pod at all"),
    ],
)
def test_what_a_pod_takes(body: dict[str, Any], requests: dict[str, int] | None) -> None:
    found = read_gpu_pod(body)
    assert (None if found is None else dict(found.requests)) == requests


def test_free_is_what_no_pod_requested_and_unknown_without_pods() -> None:
    seen = [read_node(node(name=name)) for name in ("a", "b")]
    taken = [SeenGpuPod("a", {"nvidia.com/gpu": 3}), SeenGpuPod("a", {"nvidia.com/gpu": 4}), SeenGpuPod("z", {})]
    assert [m.free for kind in node_types(seen, taken) for m in kind.members] == [1, 8]
    assert [m.free for kind in node_types(seen, None) for m in kind.members] == [None, None]


def test_runs_without_gpu_have_every_real_node() -> None:
    simulated = node(A100 | {"wattmark.dev/simulated": "true"}, name="s")
    kind = cpu_type([read_node(node({}, {"memory": "8Gi"}, name="plain")), read_node(simulated)])
    assert [(m.node.name, m.node.memory_bytes) for m in kind.members] == [("plain", 8 * GIB)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["8", "9e99", "NoSchedule"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MORE_LABELS = """
nvidia.com/gpu.count nvidia.com/gpu.replicas nvidia.com/gpu.sharing-strategy nvidia.com/mig.config.state
nvidia.com/mig-1g.10gb.memory nvidia.com/mig-1g.10gb.replicas amd.com/gpu.vram amd.com/gpu.device-id
beta.amd.com/gpu.vram.64G cloud.google.com/gke-accelerator cloud.google.com/gke-gpu-partition-size
cloud.google.com/gke-max-shared-clients-per-gpu node.kubernetes.io/instance-type karpenter.k8s.aws/instance-gpu-memory
"""
LABELS = st.dictionaries(
    st.sampled_from([*A100, *MORE_LABELS.split()]),
    JSON
    | st.sampled_from([*["0", "1", "81920", "NVIDIA-A100-SXM4-80GB", "mps", "pending", "74a1", "g5.xlarge"], "x" * 63]),
)
ALLOCATABLE = st.dictionaries(
    st.sampled_from(
        ["memory", "nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "nvidia.com/mig-1g.10gb.shared", "amd.com/gpu"]
    ),
    JSON,
)


@given(
    bodies=st.lists(
        st.builds(node, labels=LABELS, allocatable=ALLOCATABLE, name=JSON, taints=JSON, conditions=JSON), max_size=4
    )
)
def test_odd_nodes_never_raise_and_every_type_has_a_name_of_its_own(bodies: list[dict[str, Any]]) -> None:
    kinds = node_types([read_node(body) for body in bodies], ())
    names = [kind.name for kind in kinds]
    assert len(names) == len(set(names))
    assert all(len(name) <= 128 for name in names)
    for kind in kinds:
        assert kind.offer is not None and kind.offer.memory_from
        if kind.offer.memory_bytes is not None:
            assert kind.offer.memory_bytes > 0
            assert any(_told_by(member.node, kind.offer.memory_from) for member in kind.members)


def _told_by(node: SeenNode, origin: str) -> bool:
    """Whether the node has what its memory is said to be read from: nothing is a silent guess."""
    label = origin.removeprefix("label ").partition(",")[0]
    return label in node.labels if origin.startswith("label ") else origin.startswith("the table of products")


@given(body=st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON, "status": JSON}))
def test_bodies_of_any_shape_never_raise(body: dict[str, Any]) -> None:
    assert isinstance(read_node(body), SeenNode)
    read_gpu_pod(body)
