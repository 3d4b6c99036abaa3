"""Nodes as feature discovery, clouds and mistakes label them, and what is free on them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.nodes import SeenGpuPod, SeenNode, Taint, cpu_type, node_types, quantity, read_gpu_pod, read_node

GIB, MIB = 1 << 30, 1 << 20
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


@pytest.mark.parametrize(
    ("labels", "annotations", "memory_mib", "origin"),
    [
        pytest.param(A100, {}, 81920, "label nvidia.com/gpu.memory", id="the label says it"),
        pytest.param(without(A100, "nvidia.com/gpu.memory"), {}, 81920, "table of products", id="the table knows it"),
        pytest.param(
            {"cloud.google.com/gke-accelerator": "nvidia-l4"}, {}, 23034, "table of products", id="a cloud names it"
        ),
        pytest.param(
            {"karpenter.k8s.aws/instance-gpu-memory": "23028"}, {}, 23028, "label karpenter", id="a cloud sizes it"
        ),
        pytest.param(
            A100 | {"nvidia.com/gpu.memory": "40960"}, {}, None, "contradict each other", id="labels contradict"
        ),
        pytest.param(
            A100 | {"nvidia.com/gpu.memory": "40960"},
            {"wattmark.dev/gpu-memory-mib": "40960"},
            40960,
            "annotation",
            id="a person settles a contradiction",
        ),
        pytest.param(A100, {"wattmark.dev/gpu-memory-mib": "80G"}, None, "no whole number", id="an odd annotation"),
        pytest.param(A100 | {"nvidia.com/gpu.memory": "lots"}, {}, 81920, "table", id="an odd label, a known product"),
        pytest.param({"nvidia.com/gpu.memory": "0"}, {}, None, "no whole number of MiB", id="an odd label alone"),
        pytest.param({"nvidia.com/gpu.product": "NVIDIA-Z9"}, {}, None, "does not list", id="an unknown product"),
        pytest.param({}, {}, None, "no label nvidia.com/gpu.memory", id="no label at all"),
        pytest.param(
            A100 | {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb", "nvidia.com/gpu.memory": "9728"},
            {},
            9728,
            "label nvidia.com/gpu.memory",
            id="slices of one size: the label speaks of a slice",
        ),
        pytest.param(
            {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"},
            {},
            None,
            "no label",
            id="slices of one size without label: the table speaks of whole GPUs",
        ),
    ],
)
def test_the_memory_of_one_gpu(
    labels: dict[str, str], annotations: dict[str, str], memory_mib: int | None, origin: str
) -> None:
    offer = only_type(node(labels, annotations=annotations)).offer
    assert offer.memory_bytes == (None if memory_mib is None else memory_mib * MIB)
    assert origin in offer.memory_from


@pytest.mark.parametrize(
    ("changes", "shared"),
    [
        pytest.param({}, False, id="whole GPUs"),
        pytest.param({"nvidia.com/gpu.replicas": "1"}, False, id="one replica"),
        pytest.param({"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "mps"}, True, id="MPS"),
        pytest.param({"nvidia.com/gpu.replicas": "4"}, True, id="time slices of an older plugin"),
        pytest.param({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-SHARED"}, True, id="the product says so"),
    ],
)
def test_whether_a_gpu_is_shared(changes: dict[str, str], shared: bool) -> None:
    kind = only_type(node(A100 | changes))
    assert kind.offer.shared is shared
    assert kind.name.endswith("-shared") is shared
    assert kind.offer.memory_bytes == 80 * GIB


def test_each_mig_profile_is_a_type_of_its_own() -> None:
    labels = A100 | {
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-1g.10gb.memory": "9728",
        "nvidia.com/mig-3g.40gb.memory": "40192",
        "nvidia.com/mig-3g.40gb.product": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb",
    }
    allocatable = {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "4", "nvidia.com/mig-3g.40gb": "1"}
    kinds = {k.name: k.offer for k in node_types([read_node(node(labels, allocatable))], ())}
    assert set(kinds) == {
        "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb-10GiB-x4",
        "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb-39GiB-x1",
    }
    assert {o.memory_bytes for o in kinds.values() if o} == {9728 * MIB, 40192 * MIB}
    assert {o.capability for o in kinds.values() if o} == {(8, 0)}


def test_a_slice_without_memory_label_is_not_guessed_from_its_name() -> None:
    assert only_type(node(A100, {"nvidia.com/mig-1g.10gb": "7"})).offer.memory_bytes is None


def test_an_amd_gpu_has_memory_and_no_compute_capability() -> None:
    offer = only_type(
        node({"amd.com/gpu.vram": "192G", "amd.com/gpu.product-name": "MI300X"}, {"amd.com/gpu": 8})
    ).offer
    assert (offer.product, offer.memory_bytes, offer.capability, offer.count) == ("MI300X", 192 * GIB, None, 8)


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


def test_where_the_memory_was_read_makes_no_other_type() -> None:
    assert len(only_type(node(name="a"), node(without(A100, "nvidia.com/gpu.memory"), name="b")).members) == 2


@pytest.mark.parametrize(
    ("fields", "ready", "cordoned", "taints"),
    [
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


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("16Gi", 16 * GIB), ("500m", 0.5), ("2k", 2000), ("1Ki", 1024), ("1.5G", 1.5e9), ("3e2", 300), ("1E", 1e18),
        (7, 7), ("", None), ("ki", None), ("1ki", None), ("-1", None), (None, None), (True, None), ([], None),
    ],
)  # fmt: skip
def test_quantities(value: object, number: float | None) -> None:
    assert quantity(value) == number


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["8", "9e99", "NoSchedule"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
LABELS = st.dictionaries(
    st.sampled_from([*A100, "nvidia.com/gpu.replicas", "nvidia.com/mig-1g.10gb.memory", "amd.com/gpu.vram"]),
    JSON | st.sampled_from(["1", "81920", "NVIDIA-A100-SXM4-80GB", "x" * 63]),
)
ALLOCATABLE = st.dictionaries(
    st.sampled_from(["memory", "nvidia.com/gpu", "nvidia.com/mig-1g.10gb", "amd.com/gpu"]), JSON
)


@given(
    bodies=st.lists(st.builds(node, labels=LABELS, allocatable=ALLOCATABLE, name=JSON, taints=JSON, conditions=JSON))
)
def test_odd_nodes_never_raise_and_every_type_has_a_name_of_its_own(bodies: list[dict[str, Any]]) -> None:
    kinds = node_types([read_node(body) for body in bodies], ())
    names = [kind.name for kind in kinds]
    assert len(names) == len(set(names))
    assert all(len(name) <= 128 for name in names)


@given(body=st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON, "status": JSON}))
def test_bodies_of_any_shape_never_raise(body: dict[str, Any]) -> None:
    assert isinstance(read_node(body), SeenNode)
    read_gpu_pod(body)
