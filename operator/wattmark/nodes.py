"""Nodes and the Pods on them -> kinds of node with GPUs, and what is free. Total: odd input never raises.

Whatever cannot be told from a node is None, with the reason beside it; nothing is guessed.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from sys import intern
from typing import NamedTuple

from wattmark.api.schema import GROUP
from wattmark.gpus import gpu_product
from wattmark.held import Labels, same, shared
from wattmark.identity import SIMULATED_LABEL
from wattmark.observe import Body, items, mapping, text

MIB = 1 << 20
# What no node has: keeps odd input within what status can hold.
MOST_GPUS, MOST_BYTES = 1 << 12, 1 << 53
MEMORY_ANNOTATION = f"{GROUP}/gpu-memory-mib"
# A product's memory differs a little between drivers and with ECC; beyond this the labels speak of different cards.
AGREEMENT = 0.1
NVIDIA, NVIDIA_SHARED, AMD = "nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu"
_MIG = re.compile(r"nvidia\.com/(mig-[0-9]+g\.[0-9]+gb(?:\.me)?)")
_SUFFIX = re.compile(r"(-SHARED|-MIG-[0-9]+g\.[0-9]+gb(\.me)?)+$")
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|[MGTPE]i?|[eE][0-9]{1,2})?")
_FACTORS: Mapping[str, float] = {"": 1.0, "m": 1e-3, "k": 1e3, "Ki": 1024.0} | {
    prefix + i: base**power for power, prefix in enumerate("MGTPE", 2) for i, base in (("", 1000.0), ("i", 1024.0))
}


def quantity(value: object) -> float | None:
    """A Kubernetes quantity as a number; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value < 2**63 else None
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) <= 32 else None
    if match is None:
        return None
    number, suffix = float(match[1]), match[2] or ""
    factor = _FACTORS.get(suffix)
    return number * (10.0 ** int(suffix[1:]) if factor is None else factor)


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint that keeps Pods away which do not tolerate it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True)
class Offer:
    """GPUs of one kind on one node. `memory_bytes` is of one GPU (of one slice with MIG), None with a reason beside it.

    `shared` tells that several Pods use one GPU's whole memory, without a wall between them.
    """

    resource: str
    count: int
    product: str
    memory_bytes: int | None
    memory_from: str = field(compare=False)
    capability: tuple[int, int] | None
    shared: bool
    driver: str


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A Node, as far as decisions read it; memory and disk are bytes that Pods can have, 0 where it does not tell."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    ready: bool
    cordoned: bool
    simulated: bool
    arch: str
    memory_bytes: int
    disk_bytes: int
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class SeenGpuPod:
    """What a Pod that is not finished takes of its node's GPUs: counts by resource name."""

    node: str
    requests: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a type; `free` is how many of its GPUs no Pod has requested, None where Pods may not be read."""

    node: SeenNode
    free: int | None


@dataclass(frozen=True, slots=True)
class NodeType:
    """Nodes that are alike in what they offer; `offer` is None for nodes seen without their GPUs."""

    name: str
    offer: Offer | None
    simulated: bool
    members: tuple[Member, ...]


def read_node(body: Body) -> SeenNode:
    """What a Node offers and says of itself."""
    metadata, spec, status = mapping(body.get("metadata")), mapping(body.get("spec")), mapping(body.get("status"))
    labels = _labels(mapping(metadata.get("labels")))
    allocatable = mapping(status.get("allocatable"))
    conditions = items(status.get("conditions"))
    offers = _offers(labels, allocatable, mapping(metadata.get("annotations")).get(MEMORY_ANNOTATION))
    return SeenNode(
        name=intern(text(metadata.get("name"))),
        labels=Labels(labels),
        taints=same(_taints(spec)),
        ready=any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions),
        cordoned=spec.get("unschedulable") is True,
        simulated=labels.get(SIMULATED_LABEL) == "true",
        arch=intern(labels.get("kubernetes.io/arch", "")),
        memory_bytes=int(min(quantity(allocatable.get("memory")) or 0, MOST_BYTES)),
        disk_bytes=int(min(quantity(allocatable.get("ephemeral-storage")) or 0, MOST_BYTES)),
        offers=same(offers, tuple(offer.memory_from for offer in offers)),
    )


def read_gpu_pod(body: Body) -> SeenGpuPod | None:
    """What a Pod has taken of a node's GPUs; None if it takes none, is finished, or is on no node yet."""
    spec, phase = mapping(body.get("spec")), mapping(body.get("status")).get("phase")
    node = text(spec.get("nodeName"))
    if not node or phase in ("Succeeded", "Failed"):
        return None
    running: dict[str, int] = defaultdict(int)
    starting: dict[str, int] = defaultdict(int)
    for container in items(spec.get("containers")):
        for resource, count in _gpu_requests(container).items():
            running[resource] += count
    for container in items(spec.get("initContainers")):
        for resource, count in _gpu_requests(container).items():
            if container.get("restartPolicy") == "Always":
                running[resource] += count
            else:
                starting[resource] = max(starting[resource], count)
    requests = {name: max(running[name], starting[name]) for name in {*running, *starting}}
    return SeenGpuPod(intern(node), shared(requests)) if any(requests.values()) else None


def node_types(nodes: Iterable[SeenNode], pods: Iterable[SeenGpuPod] | None) -> tuple[NodeType, ...]:
    """Kinds of node that offer GPUs, by name. `pods` is None where other Pods may not be read."""
    taken: dict[tuple[str, str], int] = defaultdict(int)
    for pod in pods or ():
        for resource, count in pod.requests.items():
            taken[pod.node, resource] += count
    groups: dict[_Alike, list[Member]] = defaultdict(list)
    for node in nodes:
        for offer in node.offers:
            free = None if pods is None else max(0, offer.count - taken[node.name, offer.resource])
            groups[_Alike(offer, node.arch, node.simulated)].append(Member(node, free))
    return tuple(NodeType(name, alike.offer, alike.simulated, tuple(groups[alike])) for name, alike in _named(groups))


def cpu_type(nodes: Iterable[SeenNode]) -> NodeType:
    """All nodes that are real, as places for runs without a GPU."""
    return NodeType("cpu", None, False, tuple(Member(node, None) for node in nodes if not node.simulated))


def _taints(spec: Body) -> tuple[Taint, ...]:
    return tuple(
        Taint(text(taint.get("key")), text(taint.get("value")), text(taint.get("effect")))
        for taint in items(spec.get("taints"))
        # Cordoning shows as a taint as well; it is counted by itself.
        if taint.get("effect") in ("NoSchedule", "NoExecute")
        and not text(taint.get("key")).startswith("node.kubernetes.io/")
    )


def _labels(raw: Body) -> dict[str, str]:
    return {k: v for k, v in raw.items() if isinstance(k, str) and isinstance(v, str)}


class _Alike(NamedTuple):
    """What nodes of one type have in common."""

    offer: Offer
    arch: str
    simulated: bool

    @property
    def name(self) -> str:
        """Product, memory and number of GPUs; simulated nodes are called so wherever their type shows."""
        offer = self.offer
        prefix = "simulated-" if self.simulated else ""
        memory = "unknown" if offer.memory_bytes is None else f"{offer.memory_bytes / (1 << 30):.0f}GiB"
        return f"{prefix}{offer.product or 'unlabelled'}-{memory}-x{offer.count}{'-shared' if offer.shared else ''}"

    @property
    def details(self) -> tuple[str, ...]:
        """What can tell types of the same name apart."""
        offer = self.offer
        return (
            offer.resource.rpartition("/")[2],
            "" if offer.capability is None else f"cc{offer.capability[0]}.{offer.capability[1]}",
            f"driver{offer.driver}" if offer.driver else "",
            self.arch,
            "" if offer.memory_bytes is None else f"{offer.memory_bytes // MIB}MiB",
        )


def _named(kinds: Iterable[_Alike]) -> Iterator[tuple[str, _Alike]]:
    """A name for each, of at most 128 characters and its own; those of the same name are told apart by details."""
    same: dict[str, list[_Alike]] = defaultdict(list)
    for kind in kinds:
        same[kind.name[:96]].append(kind)
    used: set[str] = set()
    for short, alike in sorted(same.items()):
        columns = tuple(zip(*(kind.details for kind in alike), strict=True))
        for kind in sorted(alike, key=lambda one: (one.name, one.details)):
            telling = (part for part, column in zip(kind.details, columns, strict=True) if part and len({*column}) > 1)
            name = "-".join((short, *telling))[:120]
            if name in used:
                name = f"{name}-{len(used)}"
            used.add(name)
            yield name, kind


def _gpu_requests(container: Body) -> dict[str, int]:
    resources = mapping(container.get("resources"))
    asked = {**mapping(resources.get("limits")), **mapping(resources.get("requests"))}
    return {name: _count(value) for name, value in asked.items() if _is_gpu(name)}


def _is_gpu(resource: object) -> bool:
    return isinstance(resource, str) and (resource in (NVIDIA, NVIDIA_SHARED, AMD) or bool(_MIG.fullmatch(resource)))


def _count(value: object) -> int:
    return int(min(quantity(value) or 0, MOST_GPUS))


def _offers(labels: Mapping[str, str], allocatable: Body, annotated: object) -> tuple[Offer, ...]:
    found = []
    for resource in sorted(name for name in allocatable if _is_gpu(name)):
        count = _count(allocatable[resource])
        if count:
            slice_of = _MIG.fullmatch(resource)
            read = _amd if resource == AMD else _whole if slice_of is None else _slice
            offer = read(labels, resource, count)
            found.append(_annotated(offer, annotated) if slice_of is None else offer)
    return tuple(found)


def _whole(labels: Mapping[str, str], resource: str, count: int) -> Offer:
    """GPUs as `nvidia.com/gpu`: whole ones, slices of one size (strategy `single`), or shares of one."""
    label = labels.get("nvidia.com/gpu.product", "")
    known = gpu_product(_SUFFIX.sub("", label) or labels.get("cloud.google.com/gke-accelerator", ""))
    size, origin = _megabytes(labels, "nvidia.com/gpu.memory", "karpenter.k8s.aws/instance-gpu-memory")
    sliced = "-MIG-" in label
    if size is not None and known is not None and not sliced:
        table = known.memory_mib * MIB
        if abs(size - table) > AGREEMENT * table:
            origin = (
                f"labels contradict each other: {origin} says {size // MIB} MiB, but a {known.name} "
                f"has {known.memory_mib} MiB; set the annotation {MEMORY_ANNOTATION}"
            )
            size = None
    elif size is None and known is not None and not sliced:
        size, origin = known.memory_mib * MIB, "the table of products"
    shared = (
        resource == NVIDIA_SHARED
        or label.endswith("-SHARED")
        or labels.get("nvidia.com/gpu.replicas", "1") not in ("0", "1")
    )
    return Offer(
        resource=resource,
        count=count,
        product=label or (known.name if known else ""),
        memory_bytes=size,
        memory_from=origin,
        capability=_capability(labels) or (known.capability if known else None),
        shared=shared,
        driver=_driver(labels),
    )


def _slice(labels: Mapping[str, str], resource: str, count: int) -> Offer:
    """Slices of one MIG profile; a slice is a GPU of its own and cannot be pooled with another."""
    size, origin = _megabytes(labels, f"{resource}.memory")
    product = labels.get(f"{resource}.product") or labels.get("nvidia.com/gpu.product", "")
    known = gpu_product(_SUFFIX.sub("", product))
    profile = resource.rpartition("/")[2]
    return Offer(
        resource=resource,
        count=count,
        product=product if "-MIG-" in product else f"{product or 'unlabelled'}-{profile.replace('mig', 'MIG')}",
        memory_bytes=size,
        memory_from=origin,
        capability=_capability(labels) or (known.capability if known else None),
        shared=labels.get(f"{resource}.replicas", "1") not in ("0", "1"),
        driver=_driver(labels),
    )


def _amd(labels: Mapping[str, str], resource: str, count: int) -> Offer:
    """GPUs of AMD's device plugin; its labels give memory as a quantity and no CUDA compute capability."""
    size, origin = None, "no label amd.com/gpu.vram"
    for label in ("amd.com/gpu.vram", "beta.amd.com/gpu.vram"):
        # Written as 192G for what is 192 GiB.
        match = re.fullmatch(r"([0-9]{1,6})Gi?", labels.get(label, ""))
        if match:
            size, origin = int(match[1]) << 30, label
            break
    product = labels.get("amd.com/gpu.product-name") or labels.get("beta.amd.com/gpu.product-name", "")
    return Offer(resource, count, product or "AMD", size, origin, None, shared=False, driver="")


def _annotated(offer: Offer, annotated: object) -> Offer:
    if annotated is None:
        return offer
    if (
        isinstance(annotated, str)
        and annotated.isascii()
        and annotated.isdecimal()
        and 0 < int(annotated[:12]) < 1 << 24
    ):
        return replace(offer, memory_bytes=int(annotated) * MIB, memory_from=f"annotation {MEMORY_ANNOTATION}")
    return replace(offer, memory_bytes=None, memory_from=f"annotation {MEMORY_ANNOTATION} is no whole number of MiB")


def _megabytes(labels: Mapping[str, str], *names: str) -> tuple[int | None, str]:
    """The first label that is there, in bytes, with its name; or None with the reason."""
    for name in names:
        value = labels.get(name)
        if value is None:
            continue
        if value.isascii() and value.isdecimal() and 0 < int(value[:12]) < 1 << 24:
            return int(value) * MIB, f"label {name}"
        return None, f"label {name} is no whole number of MiB"
    return None, f"no label {names[0]}, and the table of products does not list the GPU"


def _capability(labels: Mapping[str, str]) -> tuple[int, int] | None:
    major, minor = labels.get("nvidia.com/gpu.compute.major", ""), labels.get("nvidia.com/gpu.compute.minor", "")
    if re.fullmatch("[0-9]{1,2}", major) and re.fullmatch("[0-9]{1,2}", minor):
        return int(major), int(minor)
    return None


def _driver(labels: Mapping[str, str]) -> str:
    """The driver's major version: what decides which CUDA runs."""
    full = labels.get("nvidia.com/cuda.driver-version.major") or labels.get("nvidia.com/cuda.driver.major", "")
    return full if re.fullmatch("[0-9]{1,5}", full) else ""
