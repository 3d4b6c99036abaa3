"""The GPUs of nodes as operators, clouds and mistakes label them (tests/unit/nodes, one Node object a file)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from wattmark.api.placement import GpuSpec
from wattmark.fleet.nodes import read_node
from wattmark.fleet.offers import MIB, Offer, is_gpu, offers

NODES = Path(__file__).parent / "nodes"


def seen(name: str) -> tuple[Offer, ...]:
    return read_node(yaml.safe_load((NODES / f"{name}.yaml").read_text(encoding="utf-8"))).offers


TABLE, LABEL = "the table of products", "label nvidia.com/gpu.memory"
WHOLE: list[tuple[str, int, str, int, str]] = [
    ("gpu-operator", 8, "NVIDIA-A100-SXM4-80GB", 81920, LABEL),
    ("gpu-operator-b200", 8, "NVIDIA-B200", 183359, LABEL),
    ("mig-single", 56, "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb", 4864, LABEL),
    ("gke", 2, "NVIDIA-L4", 23034, f"{TABLE}, by the cloud's label"),
    ("eks", 4, "NVIDIA-A10G", 23028, f"{TABLE}, by the cloud's label"),
    ("aks", 2, "NVIDIA-A100-80GB-PCIe", 81920, f"{TABLE}, by the cloud's label"),
    ("aks-amd", 8, "AMD-Instinct-MI300X", 196592, f"{TABLE}, by the cloud's label"),
    ("karpenter", 1, "NVIDIA-L40S", 45776, "label karpenter.k8s.aws/instance-gpu-memory"),
    ("amd", 8, "AMD_Instinct_MI300X_OAM", 192 * 1024, "label amd.com/gpu.vram"),
    ("amd-old", 8, "AMD", 64 * 1024, "label beta.amd.com/gpu.vram.64G"),
    ("memory-0-known", 4, "NVIDIA-L4", 23034, TABLE),
    ("stated", 2, "", 49140, "annotation wattmark.dev/gpu-memory-mib"),
    ("old-driver", 2, "NVIDIA-A100-PCIE-40GB", 40960, LABEL),
]


@pytest.mark.parametrize(("name", "count", "product", "memory_mib", "origin"), WHOLE, ids=[w[0] for w in WHOLE])
def test_a_node_offers_its_gpus_for_one_pod_each(
    name: str, count: int, product: str, memory_mib: int, origin: str
) -> None:
    (offer,) = seen(name)
    assert (offer.count, offer.product, offer.memory_bytes, offer.memory_from, offer.shared) == (
        count, product, memory_mib * MIB, origin, False,
    )  # fmt: skip


UNKNOWN = [
    ("mig-pending", "MIG is being reconfigured: label nvidia.com/mig.config.state is pending"),
    ("gke-mig", "label cloud.google.com/gke-gpu-partition-size says slices of 1g.5gb, and none says their memory"),
    ("two-products", "nvidia.com/gpu.count says 8, and it offers 16"),
    ("memory-0", "label nvidia.com/gpu.memory is no whole number of MiB, and the table of products does not list"),
    ("contradicting", "label nvidia.com/gpu.memory says 23034 MiB, the table of products, by the cloud's label 81559"),
    ("no-labels", "no label nvidia.com/gpu.memory, and the table of products does not list the GPU"),
    ("count-alone", "no label nvidia.com/gpu.memory, and the table of products does not list the GPU"),
    ("garbage", "label nvidia.com/gpu.memory is no whole number of MiB, and the table of products does not list"),
    ("amd-two-sizes", "sources contradict each other"),
]


@pytest.mark.parametrize(("name", "words"), UNKNOWN, ids=[name for name, _ in UNKNOWN])
def test_memory_that_cannot_be_told_is_unknown_with_the_reason(name: str, words: str) -> None:
    (offer,) = seen(name)
    assert offer.memory_bytes is None and words in offer.memory_from and len(offer.memory_from) < 300


def test_numbers_that_are_none_say_nothing() -> None:
    (offer,) = seen("garbage")
    assert (offer.resource, offer.count) == ("nvidia.com/gpu", 4)
    assert (offer.capability, offer.driver, offer.cuda, offer.shared) == (None, "", None, False)


SHARED = [
    ("time-slicing", "nvidia.com/gpu", 4, 15360),
    ("time-slicing-renamed", "nvidia.com/gpu.shared", 8, 23028),
    ("gke-time-sharing", "nvidia.com/gpu", 3, 15360),
    ("mps", "nvidia.com/gpu", 10, 46068 / 10),
]


@pytest.mark.parametrize(("name", "resource", "count", "memory_mib"), SHARED, ids=[name for name, *_ in SHARED])
def test_a_shared_gpu_offers_all_its_memory_and_with_mps_a_share(
    name: str, resource: str, count: int, memory_mib: float
) -> None:
    (offer,) = seen(name)
    assert (offer.resource, offer.count, offer.shared) == (resource, count, True)
    assert offer.memory_bytes == int(memory_mib * MIB)
    assert offer.limited is (name == "mps")


def test_each_mig_profile_is_an_offer_of_its_own() -> None:
    found = {o.resource: (o.count, o.product, o.memory_bytes and o.memory_bytes // MIB) for o in seen("mig-mixed")}
    h100 = "NVIDIA-H100-80GB-HBM3"
    assert found == {
        "nvidia.com/gpu": (1, h100, 81559),
        "nvidia.com/mig-1g.10gb": (3, f"{h100}-MIG-1g.10gb", 9984),
        "nvidia.com/mig-1g.10gb.me": (1, f"{h100}-MIG-1g.10gb.me", 9984),
        "nvidia.com/mig-3g.40gb": (1, f"{h100}-MIG-3g.40gb", 40448),
    }
    assert {o.capability for o in seen("mig-mixed")} == {(9, 0)}


def test_slices_can_be_shared_as_well() -> None:
    shared, whole = seen("mig-mixed-large")
    assert (shared.resource, shared.count, shared.shared, shared.memory_bytes) == (
        "nvidia.com/mig-1g.12gb.shared", 8, True, 11136 * MIB,
    )  # fmt: skip
    assert (whole.resource, whole.count, whole.shared, whole.memory_bytes) == (
        "nvidia.com/mig-7g.141gb", 1, False, 143112 * MIB,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "driver", "cuda"),
    [("gpu-operator", "580", (13, 0)), ("old-driver", "535", (12, 2)), ("gke", "", None), ("amd", "", None)],
)
def test_driver_and_cuda_version_are_read_from_labels(name: str, driver: str, cuda: tuple[int, int] | None) -> None:
    (offer,) = seen(name)
    assert (offer.driver, offer.cuda) == (driver, cuda)


PROFILES = [
    "1g.5gb", "1g.10gb", "1g.10gb.me", "1g.12gb", "1g.18gb", "1g.23gb.me", "1g.24gb-me", "1g.24gb.gfx",
    "1g.24gb.me.all", "2g.35gb", "3g.40gb", "4g.90gb", "7g.141gb", "7g.180gb", "1g.10gb.shared",
]  # fmt: skip


@pytest.mark.parametrize("profile", PROFILES)
def test_every_mig_profile_is_read_and_can_be_asked_for(profile: str) -> None:
    resource = f"nvidia.com/mig-{profile}"
    assert is_gpu(resource)
    assert GpuSpec.model_validate({"resourceName": resource}).resource_name == resource


@pytest.mark.parametrize(
    "resource", ["nvidia.com/mig-", "nvidia.com/mig-0g.5gb", "nvidia.com/mig-1g.5gb.", "cpu", None]
)
def test_other_resources_are_no_gpus(resource: Any) -> None:
    assert not is_gpu(resource)


CHANGES: list[Any] = [
    pytest.param({}, 40960, id="one card's labels agree"),
    pytest.param({"nvidia.com/gpu.memory": "40536"}, 40536, id="an older driver shows a little less"),
    pytest.param({"nvidia.com/gpu.memory": "81920"}, None, id="the size of another card"),
    pytest.param({"node.kubernetes.io/instance-type": "p4d.24xlarge"}, 40960, id="the cloud agrees"),
    pytest.param({"node.kubernetes.io/instance-type": "g4dn.xlarge"}, None, id="the cloud disagrees"),
    pytest.param({"karpenter.k8s.aws/instance-gpu-memory": "40960"}, 40960, id="the autoscaler agrees"),
    pytest.param({"nvidia.com/gpu.count": "4"}, None, id="fewer GPUs labelled than there are"),
    pytest.param({"nvidia.com/gpu.count": "9"}, 40960, id="more GPUs labelled: one has failed"),
    pytest.param({"nvidia.com/mig.config.state": "rebooting"}, None, id="being reconfigured"),
    pytest.param({"nvidia.com/mig.config.state": "failed"}, 40960, id="a reconfiguration that is over"),
]


@pytest.mark.parametrize(("changes", "memory_mib"), CHANGES)
def test_labels_that_contradict_each_other_say_nothing(changes: dict[str, str], memory_mib: int | None) -> None:
    labels = {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB", "nvidia.com/gpu.memory": "40960"}
    (offer,) = offers(labels | changes, {"nvidia.com/gpu": "8"}, None)
    assert offer.memory_bytes == (None if memory_mib is None else memory_mib * MIB)
    (settled,) = offers(labels | changes, {"nvidia.com/gpu": "8"}, "40000")
    reconfigured = changes.get("nvidia.com/mig.config.state") == "rebooting"
    assert settled.memory_bytes == (None if reconfigured else 40000 * MIB)


ODD: list[Any] = [
    pytest.param(
        {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.memory": "lots"}, None, 23034, TABLE, id="words"
    ),
    pytest.param({"nvidia.com/gpu.memory": "9" * 30}, None, None, "no whole number", id="more than there is"),
    pytest.param({"nvidia.com/gpu.memory": "23034"}, "80G", None, "annotation", id="an annotation of words"),
    pytest.param(
        {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"},
        None,
        None,
        "speaks of whole GPUs",
        id="a slice",
    ),
    pytest.param({"nvidia.com/gpu.product": "NVIDIA-Z9"}, None, None, "does not list", id="a product nobody knows"),
]


@pytest.mark.parametrize(("labels", "annotated", "memory_mib", "words"), ODD)
def test_odd_labels(labels: dict[str, str], annotated: str | None, memory_mib: int | None, words: str) -> None:
    (offer,) = offers(labels, {"nvidia.com/gpu": "1"}, annotated)
    assert offer.memory_bytes == (None if memory_mib is None else memory_mib * MIB)
    assert words in offer.memory_from


def test_a_slice_without_memory_label_is_not_guessed_from_its_name() -> None:
    (offer,) = offers({"nvidia.com/gpu.memory": "81920"}, {"nvidia.com/mig-1g.10gb": "7"}, "81920")
    assert (offer.memory_bytes, offer.memory_from) == (None, "no label nvidia.com/mig-1g.10gb.memory")


def test_every_node_object_is_tried() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    assert [path.stem for path in NODES.iterdir() if f'"{path.stem}"' not in source] == []
