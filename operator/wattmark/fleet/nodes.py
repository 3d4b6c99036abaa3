"""Nodes and the Pods on them -> kinds of node with GPUs, and what is free. Total: odd input never raises.

Whatever cannot be told from a node is None, with the reason beside it; nothing is guessed.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import NamedTuple

from wattmark.fleet.gpus import GpuProduct
from wattmark.fleet.offers import MEMORY_ANNOTATION, MIB, MOST_BYTES, Offer, gpu_count, is_gpu, offer_of, offers
from wattmark.fleet.slices import SeenSlice, claimable
from wattmark.held import Labels, same, shared
from wattmark.identity import SIMULATED_LABEL
from wattmark.observe import Body, items, mapping, quantity, text

# Taints of a node that an autoscaler is about to remove: it takes no Pods, as if it were cordoned.
LEAVING = ("ToBeDeletedByClusterAutoscaler", "karpenter.sh/disrupted", "karpenter.sh/disruption")


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint that keeps Pods away which do not tolerate it."""

    key: str
    value: str
    effect: str

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


@dataclass(frozen=True, slots=True)
class SeenNode:
    """A Node, as far as decisions read it; memory and disk are bytes that Pods can have, 0 where it does not tell.

    `stated` is the annotation in which a person says the memory of its GPUs.
    """

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
    stated: str | None = None


@dataclass(frozen=True, slots=True)
class SeenGpuPod:
    """What a Pod that is not finished takes of its node's GPUs: counts by resource name."""

    node: str
    requests: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Member:
    """A node of a type; `free` is how many of its GPUs no Pod has requested.

    None where Pods may not be read, and for GPUs that Pods get by claim: that no Pod tells.
    """

    node: SeenNode
    free: int | None


@dataclass(frozen=True, slots=True)
class NodeType:
    """Nodes that are alike in what they offer; `offer` is None for nodes seen without their GPUs.

    `assumed` tells that there are none now, and that an autoscaler would add them.
    """

    name: str
    offer: Offer | None
    simulated: bool
    members: tuple[Member, ...]
    assumed: bool = False


@dataclass(frozen=True, slots=True)
class AssumedNodes:
    """A kind of node to reckon with although none may be there: an autoscaler adds them when a Pod asks."""

    product: GpuProduct
    gpus: int


def read_node(body: Body) -> SeenNode:
    """What a Node offers and says of itself."""
    metadata, spec, status = mapping(body.get("metadata")), mapping(body.get("spec")), mapping(body.get("status"))
    labels = _labels(mapping(metadata.get("labels")))
    allocatable = mapping(status.get("allocatable"))
    conditions, taints = items(status.get("conditions")), _taints(spec)
    stated = mapping(metadata.get("annotations")).get(MEMORY_ANNOTATION)
    found = offers(labels, allocatable, stated)
    return SeenNode(
        name=intern(text(metadata.get("name"))),
        labels=Labels(labels),
        taints=same(tuple(taint for taint in taints if taint.key not in LEAVING)),
        ready=any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions),
        cordoned=spec.get("unschedulable") is True or any(taint.key in LEAVING for taint in taints),
        simulated=labels.get(SIMULATED_LABEL) == "true",
        arch=intern(labels.get("kubernetes.io/arch", "")),
        memory_bytes=int(min(quantity(allocatable.get("memory")) or 0, MOST_BYTES)),
        disk_bytes=int(min(quantity(allocatable.get("ephemeral-storage")) or 0, MOST_BYTES)),
        offers=same(found, tuple(offer.memory_from for offer in found)),
        stated=None if stated is None else intern(text(stated)),
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


def node_types(
    nodes: Iterable[SeenNode], pods: Iterable[SeenGpuPod] | None, slices: Iterable[SeenSlice] = ()
) -> tuple[NodeType, ...]:
    """Kinds of node that offer GPUs, by name. `pods` is None where other Pods may not be read."""
    claims = claimable(slices)
    taken: dict[tuple[str, str], int] = defaultdict(int)
    for pod in pods or ():
        for resource, count in pod.requests.items():
            taken[pod.node, resource] += count
    groups: dict[_Alike, list[Member]] = defaultdict(list)
    told: dict[_Alike, Offer] = {}
    for node in nodes:
        for offer in _offered(node, claims.get(node.name, ())):
            known = pods is not None and not offer.claimed
            free = max(0, offer.count - taken[node.name, offer.resource]) if known else None
            alike = _Alike(offer, node.arch, node.simulated)
            groups[alike].append(Member(node, free))
            # The answer says where the memory was read: of a mixed lot the same, whichever node comes first.
            if alike not in told or offer.memory_from < told[alike].memory_from:
                told[alike] = offer
    return tuple(NodeType(name, told[alike], alike.simulated, tuple(groups[alike])) for name, alike in _named(groups))


def with_assumed(kinds: tuple[NodeType, ...], assumed: Iterable[AssumedNodes]) -> tuple[NodeType, ...]:
    """The kinds of node that are there, and those that are assumed beside them."""
    there = {_Alike(kind.offer, "", kind.simulated).name for kind in kinds if kind.offer is not None}
    more = {
        NodeType(name, offer, False, (), assumed=True)
        for one in assumed
        for offer in (offer_of(one.product, one.gpus),)
        if (name := _Alike(offer, "", simulated=False).name) not in there
    }
    return (*kinds, *sorted(more, key=lambda kind: kind.name))


def cpu_type(nodes: Iterable[SeenNode]) -> NodeType:
    """All nodes that are real, as places for runs without a GPU."""
    return NodeType("cpu", None, False, tuple(Member(node, None) for node in nodes if not node.simulated))


def _offered(node: SeenNode, claims: tuple[Offer, ...]) -> tuple[Offer, ...]:
    """A node's GPUs, those that Pods can request and those that they can only claim; none of them twice."""
    if not claims or not node.offers:
        return node.offers or claims
    requested = offers(node.labels, {offer.resource: offer.count for offer in node.offers}, node.stated, claims)
    names = {offer.resource for offer in requested}
    return (*requested, *(offer for offer in claims if offer.resource not in names))


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
        suffix = f"{'-shared' if offer.shared else ''}{'-claimed' if offer.claimed else ''}"
        return f"{prefix}{offer.product or 'unlabelled'}-{memory}-x{offer.count}{suffix}"

    @property
    def details(self) -> tuple[str, ...]:
        """What can tell types of the same name apart."""
        offer = self.offer
        return (
            offer.resource.rpartition("/")[2],
            "" if offer.capability is None else f"cc{offer.capability[0]}.{offer.capability[1]}",
            f"driver{offer.driver}" if offer.driver else "",
            "" if offer.cuda is None else f"cuda{offer.cuda[0]}.{offer.cuda[1]}",
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
    return {name: gpu_count(value) for name, value in asked.items() if is_gpu(name)}
