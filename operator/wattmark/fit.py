"""A need against the kinds of node: the verdict on each, and the check that decided, in words."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wattmark.api.answers import BytesEstimate, Need, NodeTypeAnswer, Source, Verdict
from wattmark.api.placement import PlacementSpec, ResourcesSpec, Toleration, TolerationOperator
from wattmark.api.workload import Precision
from wattmark.estimate import Gpu, Unknown
from wattmark.identity import SIMULATED_LABEL
from wattmark.nodes import NVIDIA, Member, NodeType, SeenNode, Taint, quantity

GIB = 1 << 30
AMPERE = (8, 0)
NEEDS_AMPERE = (Precision.TF32, Precision.BF16, Precision.BF16_MIXED)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a node type. `need` gives the need on a GPU (None: on a CPU), or why there is none.

    `only_asks` tells that nothing will run: simulated nodes may be asked about, but a run never lands there unless it
    tolerates their taint.
    """

    need: Callable[[Gpu | None], Need | Unknown]
    precision: Precision
    resources: ResourcesSpec
    placement: PlacementSpec
    only_asks: bool

    @property
    def resource(self) -> str:
        """The extended resource that is requested."""
        return self.resources.gpu.resource_name if self.resources.gpu else NVIDIA


@dataclass(frozen=True, slots=True)
class Case:
    """One question to one node type: `places` are the nodes where placement lets the Pod land, ready or not."""

    asked: Asked
    kind: NodeType
    need: Need | Unknown
    places: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """Why it does not fit, or cannot be told (`unknown`)."""

    reason: str
    message: str
    unknown: bool = False


def offers_the_resource(case: Case) -> Objection | None:
    """The node type offers GPUs under the name that is requested."""
    offer = case.kind.offer
    if offer is None or offer.resource == case.asked.resource:
        return None
    return Objection(
        "OtherResource", f"offers {offer.resource}, not {case.asked.resource}; see resources.gpu.resourceName"
    )


def is_an_accepted_product(case: Case) -> Objection | None:
    """The product is one of those listed, if any are."""
    offer, gpu = case.kind.offer, case.asked.resources.gpu
    if offer is None or gpu is None or gpu.products is None or offer.product in gpu.products:
        return None
    return Objection("OtherProduct", f"{offer.product or 'a GPU without label'} is not in resources.gpu.products")


def has_enough_gpus(case: Case) -> Objection | None:
    """One node has as many GPUs as the run takes."""
    offer, wanted = case.kind.offer, case.asked.resources.gpus_per_node
    if offer is None or offer.count >= wanted:
        return None
    return Objection("TooFewGpus", f"{wanted} GPUs per node are asked for; a node of this type has {offer.count}")


def lets_the_pod_land(case: Case) -> Objection | None:
    """Some node carries the selected labels and no taint that is not tolerated.

    Of a run this is not known beforehand: a node that starts loses its taints, an autoscaler adds labelled ones. The
    scheduler will say.
    """
    if case.places or not case.kind.members:
        return None
    selector = case.asked.placement.node_selector or {}
    selected = [m.node for m in case.kind.members if _selected(m.node, selector)]
    if not selected:
        wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
        message = f"no node of this type carries the labels of placement.nodeSelector: {wanted}"
        return Objection("NotSelected", message, unknown=not case.asked.only_asks)
    taints = {str(taint) for node in selected for taint in untolerated(case.asked, node)}
    message = f"taints that placement.tolerations does not tolerate: {', '.join(sorted(taints))}"
    return Objection("Taint", message, unknown=not case.asked.only_asks)


def can_do_the_precision(case: Case) -> Objection | None:
    """The GPU computes in the precision that is asked for."""
    offer, precision = case.kind.offer, case.asked.precision
    if offer is None or precision not in NEEDS_AMPERE:
        return None
    if offer.capability is None:
        return Objection(
            "CapabilityUnknown",
            f"{precision.value} needs compute capability 8.0, and nodes do not tell theirs "
            "(label nvidia.com/gpu.compute.major)",
            unknown=True,
        )
    if offer.capability >= AMPERE:
        return None
    major, minor = offer.capability
    other = "fp32" if precision is Precision.TF32 else precision.value.replace("bf16", "fp16")
    return Objection(
        "Precision", f"{precision.value} needs compute capability 8.0, this GPU has {major}.{minor}; use {other}"
    )


def is_estimated(case: Case) -> Objection | None:
    """There is a need to compare."""
    if isinstance(case.need, Unknown):
        return Objection("NotEstimated", f"the need is not known: {case.need.reason}", unknown=True)
    return None


def has_known_memory(case: Case) -> Objection | None:
    """The GPU's memory is known."""
    offer = case.kind.offer
    if offer is None or offer.memory_bytes is not None:
        return None
    return Objection("MemoryUnknown", f"the GPU's memory is not known: {offer.memory_from}", unknown=True)


def has_the_memory(case: Case) -> Objection | None:
    """Even the low end of the need fits into one GPU."""
    offer = case.kind.offer
    if isinstance(case.need, Unknown) or offer is None or offer.memory_bytes is None:
        return None
    need = case.need.device_bytes
    if need is None or need.low <= offer.memory_bytes:
        return None
    return Objection(
        "Memory",
        f"needs {_gib(need.low)} to {_gib(need.high)} GiB, one GPU has {_gib(offer.memory_bytes)} GiB: "
        f"at least {_gib(need.low - offer.memory_bytes)} GiB short",
    )


def has_the_host_memory(case: Case) -> Objection | None:
    """Some node can give the Pod the host memory that it requests."""
    request, largest = host_request(case), _largest(case)
    if request is None or not largest or request <= largest:
        return None
    return Objection(
        "HostMemory",
        f"the Pod requests {_gib(request)} GiB of host memory, the largest node can give {_gib(largest)} GiB; "
        "see resources.memory",
    )


def asks_for_enough_host_memory(case: Case) -> Objection | None:
    """The limit that is asked for holds at least the low end of the need for host memory."""
    limit = quantity(case.asked.resources.memory)
    need = None if isinstance(case.need, Unknown) else case.need.host_bytes
    if limit is None or need is None or need.low <= limit:
        return None
    return Objection(
        "HostMemory",
        f"the run needs {_gib(need.low)} to {_gib(need.high)} GiB of host memory; "
        f"resources.memory limits it to {_gib(int(limit))} GiB",
    )


CHECKS: tuple[Callable[[Case], Objection | None], ...] = (
    offers_the_resource,
    is_an_accepted_product,
    has_enough_gpus,
    lets_the_pod_land,
    can_do_the_precision,
    has_the_memory,
    has_the_host_memory,
    asks_for_enough_host_memory,
    is_estimated,
    has_known_memory,
)


def answers(asked: Asked, kinds: Iterable[NodeType]) -> tuple[NodeTypeAnswer, ...]:
    """The verdict on each node type: those it fits first, the smallest GPU before larger ones."""
    needs: dict[Gpu | None, Need | Unknown] = {}
    found: list[NodeTypeAnswer] = []
    for kind in kinds:
        gpu = None if kind.offer is None else Gpu(kind.offer.capability)
        if gpu not in needs:
            needs[gpu] = asked.need(gpu)
        found.append(_answer(Case(asked, kind, needs[gpu], _places(asked, kind))))
    order = (Verdict.FITS, Verdict.FITS_TIGHT, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT)
    return tuple(sorted(found, key=lambda a: (order.index(a.verdict), a.offered_bytes or 0, a.node_type)))


def _answer(case: Case) -> NodeTypeAnswer:
    objections = [objection for check in CHECKS if (objection := check(case))]
    # What certainly does not fit outweighs what cannot be told.
    deciding = next((o for o in objections if not o.unknown), objections[0] if objections else None)
    need, offered = _compared(case)
    if deciding is None:
        verdict, reason, message = _room(case, need, offered)
    else:
        verdict = Verdict.UNKNOWN if deciding.unknown else Verdict.DOES_NOT_FIT
        reason, message = deciding.reason, deciding.message
    usable = [m for m in case.places if m.node.ready and not m.node.cordoned]
    free = [m.free for m in usable if m.free is not None]
    return NodeTypeAnswer(
        node_type=case.kind.name,
        verdict=verdict,
        fits_now=_now(case, verdict, usable),
        reason=reason,
        message=message[:1024],
        need_bytes=need,
        offered_bytes=offered,
        headroom_bytes=None if need is None or offered is None else offered - need.likely,
        nodes=len(usable),
        cordoned_nodes=sum(m.node.ready and m.node.cordoned for m in case.kind.members),
        not_ready_nodes=sum(not m.node.ready for m in case.kind.members),
        free_gpus=None if case.kind.offer is None or len(free) < len(usable) else sum(free),
        simulated=case.kind.simulated,
        source=Source.CLOSED_FORM if need is None else need.source,
    )


def _compared(case: Case) -> tuple[BytesEstimate | None, int | None]:
    """The need and what is offered: a GPU's memory; without GPUs the host memory that one node or the limit gives."""
    need = None if isinstance(case.need, Unknown) else case.need
    if case.kind.offer is not None:
        return (None if need is None else need.device_bytes), case.kind.offer.memory_bytes
    largest, limit = _largest(case), quantity(case.asked.resources.memory)
    offered = largest if limit is None else min(largest, int(limit))
    return (None if need is None else need.host_bytes), offered or None


def _largest(case: Case) -> int:
    """The most host memory that one node has for Pods; 0 where no node tells."""
    return max((m.node.memory_bytes for m in case.places), default=0)


def _room(case: Case, need: BytesEstimate | None, offered: int | None) -> tuple[Verdict, str, str]:
    """The verdict where no check objects: which end of the need fits."""
    if need is None or offered is None:
        return Verdict.UNKNOWN, "MemoryUnknown", "no node tells how much memory it can give"
    said = f"needs {_gib(need.low)} to {_gib(need.high)} GiB of {_gib(offered)} GiB"
    offer = case.kind.offer
    if offer is not None and offer.shared:
        return Verdict.FITS_TIGHT, "SharedGpu", f"{said}, which other Pods on the same GPU may take"
    if need.high > offered:
        return Verdict.FITS_TIGHT, "Memory", f"{said}: the upper end does not fit"
    return Verdict.FITS, "Memory", said


def _now(case: Case, verdict: Verdict, usable: list[Member]) -> Verdict:
    """The verdict with what is free: a node must be there, and have as many GPUs free as the run takes."""
    if verdict in (Verdict.DOES_NOT_FIT, Verdict.UNKNOWN):
        return verdict
    if not usable:
        return Verdict.DOES_NOT_FIT
    if case.kind.offer is None or any(m.free is None for m in usable):
        return Verdict.UNKNOWN
    wanted = case.asked.resources.gpus_per_node
    return verdict if any((m.free or 0) >= wanted for m in usable) else Verdict.DOES_NOT_FIT


def host_request(case: Case) -> int | None:
    """Bytes of host memory that the Pod requests: as asked, else the high end of the estimate."""
    asked = quantity(case.asked.resources.memory)
    if asked is not None:
        return int(asked)
    if isinstance(case.need, Unknown) or case.need.host_bytes is None:
        return None
    return case.need.host_bytes.high


def _places(asked: Asked, kind: NodeType) -> tuple[Member, ...]:
    selector = asked.placement.node_selector or {}
    return tuple(m for m in kind.members if _selected(m.node, selector) and not untolerated(asked, m.node))


def _selected(node: SeenNode, selector: dict[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in selector.items())


def untolerated(asked: Asked, node: SeenNode) -> tuple[Taint, ...]:
    """Taints that keep the Pod away; it always tolerates its own GPU resource's."""
    always = set()
    if asked.resources.gpus_per_node:
        always.add(f"{asked.resource.split('/', 1)[0]}/gpu")
    if asked.only_asks:
        always.add(SIMULATED_LABEL)
    return tuple(
        taint
        for taint in node.taints
        if taint.key not in always and not any(_tolerates(t, taint) for t in asked.placement.tolerations or ())
    )


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.key != taint.key or (toleration.effect is not None and toleration.effect.value != taint.effect):
        return False
    return toleration.operator is TolerationOperator.EXISTS or (toleration.value or "") == taint.value


def _gib(size: int) -> str:
    return f"{size / GIB:.1f}"
