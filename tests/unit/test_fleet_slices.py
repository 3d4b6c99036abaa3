"""ResourceSlices as GPU drivers write them (tests/unit/slices, one object a file), and odd ones."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_fleet_nodes import A100, JSON, node

from wattmark.fleet.nodes import NodeType, node_types, read_node
from wattmark.fleet.offers import MIB
from wattmark.fleet.slices import SeenSlice, claimable, read_slice

SLICES = Path(__file__).parent / "slices"
ORIGIN = "ResourceSlice of gpu.nvidia.com"


def body(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SLICES / f"{name}.yaml").read_text(encoding="utf-8"))
    return loaded


def seen(found: dict[str, Any]) -> SeenSlice:
    read = read_slice(found)
    assert read is not None
    return read


PCIE = "NVIDIA-A100-80GB-PCIe"
READ: list[Any] = [
    ("nvidia", {("nvidia.com/gpu", 2, "NVIDIA-A100-PCIE-40GB", 40960)}),
    (
        "nvidia-mig",  # the GPU that is cut is not offered whole
        {
            ("nvidia.com/gpu", 1, PCIE, 81920),
            ("nvidia.com/mig-1g.10gb", 3, f"{PCIE}-MIG-1g.10gb", 9728),
            ("nvidia.com/mig-1g.10gb.me", 1, f"{PCIE}-MIG-1g.10gb.me", 9728),
        },
    ),
    ("nvidia-mig-dynamic", {("nvidia.com/gpu", 1, "NVIDIA-A100-SXM4-80GB", 81920)}),
    ("amd-partitions", {("amd.com/gpu", 2, "AMD_Instinct_MI300X_OAM", 98296)}),
]


@pytest.mark.parametrize(("name", "found"), READ, ids=[name for name, _ in READ])
def test_a_slice_offers_its_devices_by_kind(name: str, found: set[Any]) -> None:
    offers = seen(body(name)).offers
    assert {(o.resource, o.count, o.product, (o.memory_bytes or 0) // MIB) for o in offers} == found
    assert all(o.claimed and not o.shared for o in offers)


def test_every_slice_object_is_tried() -> None:
    assert {path.stem for path in SLICES.iterdir()} == {name for name, _ in READ}


def test_capability_driver_and_cuda_version_are_read() -> None:
    (offer,) = seen(body("nvidia")).offers
    assert (offer.capability, offer.driver, offer.cuda, offer.memory_from) == ((8, 0), "580", (13, 0), ORIGIN)


def changed(**changes: Any) -> dict[str, Any]:
    """A slice of one A100 of 40 GB, whose device or spec is changed; attributes and capacity entry by entry."""
    found = body("nvidia")
    device = found["spec"]["devices"][0]
    for name, value in changes.items():
        if name in ("attributes", "capacity"):
            device[name].update(value)
        elif name in ("driver", "nodeName", "pool"):
            found["spec"][name] = value
        else:
            device[name] = value
    found["spec"]["devices"] = [device]
    return found


CHANGES: list[Any] = [
    pytest.param(
        {"capacity": {"memory": {"value": "0"}}}, 40960, "the table of products", id="a driver without figures"
    ),
    pytest.param(
        {"capacity": {"memory": {}}, "attributes": {"productName": {"string": "NVIDIA Z9"}}},
        None,
        f"{ORIGIN} tells no memory",
        id="nor is the product known",
    ),
    pytest.param(
        {"capacity": {"memory": {"value": "80Gi"}}}, None, "contradict each other", id="another card's memory"
    ),
    pytest.param({"capacity": {"memory": {"value": -4}}}, 40960, "the table of products", id="less than nothing"),
    pytest.param({"attributes": {"productName": {"int": 4}}}, 40960, ORIGIN, id="a product that is no name"),
    pytest.param(
        {"attributes": {"productName": {"string": "\x1b[31mA" + "x" * 500}}}, 40960, ORIGIN, id="a hostile name"
    ),
]


@pytest.mark.parametrize(("changes", "memory_mib", "words"), CHANGES)
def test_memory_that_cannot_be_told_is_unknown_with_the_reason(
    changes: dict[str, Any], memory_mib: int | None, words: str
) -> None:
    (offer,) = seen(changed(**changes)).offers
    assert offer.memory_bytes == (None if memory_mib is None else memory_mib * MIB)
    assert words in offer.memory_from and len(offer.product) <= 64 and "\x1b" not in offer.product


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"taints": [{"key": "gone", "effect": "NoExecute"}]}, id="a device that is tainted"),
        pytest.param({"attributes": {"type": {"string": "vfio"}}}, id="a device for virtual machines"),
        pytest.param({"attributes": {"type": {"string": "mig"}, "profile": {"string": "x"}}}, id="no MIG profile"),
        pytest.param({"attributes": {"type": {}}}, id="a device that does not say what it is"),
    ],
)
def test_what_no_run_can_use_is_not_offered(changes: dict[str, Any]) -> None:
    assert seen(changed(**changes)).offers == ()


@pytest.mark.parametrize(
    "changes", [{"driver": "compute-domain.nvidia.com"}, {"nodeName": None}, {"driver": 4}], ids=str
)
def test_slices_of_other_drivers_or_of_no_node_are_left_out(changes: dict[str, Any]) -> None:
    assert read_slice(changed(**changes)) is None


def test_a_device_for_several_claims_at_once_is_shared() -> None:
    (offer,) = seen(changed(allowMultipleAllocations=True)).offers
    assert offer.shared


def test_attributes_may_bear_their_driver_s_name() -> None:
    found = changed()
    device = found["spec"]["devices"][0]
    for part in ("attributes", "capacity"):
        device[part] = {f"gpu.nvidia.com/{name}": value for name, value in device[part].items() if "/" not in name}
    assert seen(found).offers == seen(changed()).offers


def pool(generation: int, parts: int) -> dict[str, Any]:
    return {"name": "a", "generation": generation, "resourceSliceCount": parts}


POOLS: list[Any] = [
    pytest.param([pool(1, 1)], 1, id="one slice"),
    pytest.param([pool(1, 2), pool(1, 2)], 2, id="two slices of one pool"),
    pytest.param([pool(1, 2)], 0, id="a pool of which a slice is still to come"),
    pytest.param([pool(1, 1), pool(2, 1)], 1, id="only the newest generation counts"),
    pytest.param([pool(1, 1), pool(2, 2)], 0, id="and it alone, even before it is whole"),
    pytest.param([{}], 1, id="a pool that says nothing of itself"),
]


@pytest.mark.parametrize(("pools", "count"), POOLS)
def test_a_pool_is_read_whole(pools: list[dict[str, Any]], count: int) -> None:
    found = claimable([seen(changed(pool=one)) for one in pools])
    assert sum(offer.count for offers in found.values() for offer in offers) == count


def kinds(nodes: list[dict[str, Any]], *slices: dict[str, Any]) -> dict[str, NodeType]:
    found = node_types(map(read_node, nodes), (), [seen(one) for one in slices])
    return {kind.name: kind for kind in found}


def bare(labels: dict[str, str] | None = None, **allocatable: str) -> dict[str, Any]:
    return node(labels or {}, {"memory": "64Gi"} | {f"nvidia.com/{k}": v for k, v in allocatable.items()})


def test_gpus_that_can_only_be_claimed_make_a_type_of_their_own_and_what_is_free_is_not_known() -> None:
    (kind,) = kinds([bare()], body("nvidia")).values()
    assert kind.name == "NVIDIA-A100-PCIE-40GB-40GiB-x2-claimed"
    assert [(m.node.name, m.free) for m in kind.members] == [("a", None)]


def test_slices_of_nodes_that_are_gone_say_nothing() -> None:
    assert kinds([node(name="other")], body("nvidia")).keys() == {"NVIDIA-A100-SXM4-80GB-80GiB-x8"}


BOTH: list[Any] = [
    pytest.param({}, "nvidia", 40960, ORIGIN, id="no label at all: the slice tells"),
    pytest.param(
        {"nvidia.com/gpu.memory": "40536"}, "nvidia", 40536, "label nvidia.com/gpu.memory", id="the label comes first"
    ),
    pytest.param({"nvidia.com/gpu.memory": "81920"}, "nvidia", None, "contradict each other", id="the label disagrees"),
    pytest.param(
        {"nvidia.com/mig.config.state": "pending"}, "nvidia", None, "being reconfigured", id="about to be another"
    ),
    pytest.param({"nvidia.com/gpu.count": "1"}, "nvidia", None, "gpu.count says 1", id="fewer GPUs than are offered"),
]


@pytest.mark.parametrize(("labels", "name", "memory_mib", "words"), BOTH)
def test_a_node_that_offers_a_gpu_both_ways_has_it_once(
    labels: dict[str, str], name: str, memory_mib: int | None, words: str
) -> None:
    (kind,) = kinds([bare(labels, gpu="2")], body(name)).values()
    assert kind.offer is not None and not kind.offer.claimed
    assert (kind.offer.count, kind.offer.product) == (2, "NVIDIA-A100-PCIE-40GB")
    assert kind.offer.memory_bytes == (None if memory_mib is None else memory_mib * MIB)
    assert words in kind.offer.memory_from
    assert (kind.offer.capability, kind.offer.driver, kind.members[0].free) == ((8, 0), "580", 2)


def test_what_a_person_stated_stands_above_a_slice() -> None:
    stated = bare({}, gpu="2") | {"metadata": {"name": "a", "annotations": {"wattmark.dev/gpu-memory-mib": "39000"}}}
    (kind,) = kinds([stated], body("nvidia")).values()
    assert kind.offer is not None
    assert (kind.offer.memory_bytes, kind.offer.memory_from) == (39000 * MIB, "annotation wattmark.dev/gpu-memory-mib")


def test_gpus_of_two_products_in_the_slices_leave_the_memory_of_the_node_unknown() -> None:
    mixed = body("nvidia")
    mixed["spec"]["devices"][1]["attributes"]["productName"] = {"string": "NVIDIA L4"}
    mixed["spec"]["devices"][1]["capacity"]["memory"] = {"value": "23034Mi"}
    (kind,) = kinds([bare({}, gpu="2")], mixed).values()
    assert kind.offer is not None and kind.offer.memory_bytes is None
    assert "contradict each other" in kind.offer.memory_from
    assert {kind.offer.count for kind in kinds([bare()], mixed).values() if kind.offer} == {1}


def test_slices_of_a_profile_are_told_by_claim_and_by_request_once() -> None:
    allocatable = {"gpu": "1", "mig-1g.10gb": "3"}
    found = kinds(
        [node(name="b", labels={}, allocatable={f"nvidia.com/{k}": v for k, v in allocatable.items()})],
        body("nvidia-mig"),
    )
    assert {(k.offer.resource, k.offer.count, k.offer.claimed) for k in found.values() if k.offer} == {
        ("nvidia.com/gpu", 1, False), ("nvidia.com/mig-1g.10gb", 3, False), ("nvidia.com/mig-1g.10gb.me", 1, True),
    }  # fmt: skip


def test_a_node_with_labels_and_no_slice_is_as_it_was() -> None:
    (alone,) = kinds([node(A100)]).values()
    (beside,) = kinds([node(A100)], changed(nodeName="other")).values()
    assert alone.offer == beside.offer


DEVICES = st.lists(
    st.dictionaries(
        st.sampled_from(["name", "attributes", "capacity", "taints", "consumesCounters", "allowMultipleAllocations"]),
        JSON
        | st.dictionaries(
            st.sampled_from(["type", "productName", "memory", "driverVersion", "parentUUID", "uuid", "profile"]),
            JSON
            | st.dictionaries(
                st.sampled_from(["string", "version", "value"]),
                JSON | st.sampled_from(["gpu", "mig", "1g.10gb", "580.1.2", "1.", "9e99", "80Gi", "\u202e"]),
            ),
        ),
    ),
    max_size=4,
)


@given(
    devices=DEVICES | JSON,
    driver=st.sampled_from(["gpu.nvidia.com", "gpu.amd.com"]) | JSON,
    pool=JSON | st.dictionaries(st.sampled_from(["name", "generation", "resourceSliceCount"]), JSON),
)
def test_odd_slices_never_raise_and_what_they_leave_open_has_a_reason(devices: Any, driver: Any, pool: Any) -> None:
    odd = deepcopy(body("nvidia"))
    odd["spec"] |= {"devices": devices, "driver": driver, "pool": pool}
    read = read_slice(odd)
    for offer in () if read is None else read.offers:
        assert offer.memory_from and (offer.memory_bytes is None or offer.memory_bytes > 0)
    for kind in node_types([read_node(bare(gpu="2"))], (), [] if read is None else [read]):
        assert len(kind.name) <= 128


@given(found=st.fixed_dictionaries({}, optional={"metadata": JSON, "spec": JSON}))
def test_bodies_of_any_shape_never_raise(found: dict[str, Any]) -> None:
    read_slice(found)
