"""A need against the kinds of node: the verdict on each, and the check that decided, in words."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

from wattmark.api.answers import BytesEstimate, Need, NodeTypeAnswer, Source, Verdict
from wattmark.api.placement import ResourcesSpec
from wattmark.estimate import Gpu, Unknown, exceedance
from wattmark.fit.checks import CHECKS, GIB, HOST_MEMORY, MEMORY_UNKNOWN, Asked, Case, Ground, gib, on_each
from wattmark.fit.landing import ground, places, tainted
from wattmark.fleet.nodes import Member, NodeType
from wattmark.fleet.offers import AMD
from wattmark.observe import quantity

ORDER = (Verdict.FITS, Verdict.FITS_TIGHT, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT)
MEMORY = "Memory"
SHARED = "SharedGpu"  # the reason of a verdict that only others on the same GPU keep from Fits


@dataclass(frozen=True, slots=True)
class Judgement:
    """What comes out for one kind of node, whatever the number of its nodes."""

    verdict: Verdict
    reason: str
    message: str
    need: BytesEstimate | None
    offered: int | None
    on_cpu: bool

    @property
    def about_memory(self) -> bool:
        """Whether memory decides where the workload lies: with less of a need it would fit."""
        return self.reason in (MEMORY, SHARED) or (self.reason == HOST_MEMORY and self.on_cpu)

    @property
    def sure(self) -> bool:
        """Whether even the high end of the need fits."""
        return self.verdict is Verdict.FITS or (self.verdict is Verdict.FITS_TIGHT and self.reason == SHARED)


def gpu_of(kind: NodeType | Ground) -> Gpu | None:
    """The GPU that the need is reckoned for."""
    return None if kind.offer is None else Gpu(kind.offer.capability, kind.offer.product)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The verdict on each kind of node, best first; and what each has to give, for whoever asks for something else."""

    answers: tuple[NodeTypeAnswer, ...]
    grounds: tuple[Ground, ...]


def compare(asked: Asked, kinds: Iterable[NodeType]) -> Comparison:
    """The verdict on each node type: those it fits first, the smallest GPU before larger ones."""
    known = tuple(kinds)
    landings = [places(asked, kind) for kind in known]
    grounds = tuple(ground(asked, kind, landing) for kind, landing in zip(known, landings, strict=True))
    judged = judgements(asked, grounds)
    found = [_answer(asked, *one) for one in zip(known, landings, judged, strict=True)]
    found.sort(key=lambda a: (ORDER.index(a.verdict), a.offered_bytes or 0, a.node_type))
    return Comparison(tuple(found), grounds)


def judgements(asked: Asked, grounds: Iterable[Ground]) -> tuple[Judgement, ...]:
    """The judgement on each kind of node."""
    return tuple(_judge(case) for case in _cases(asked, grounds))


def surely_fit(asked: Asked, grounds: Iterable[Ground]) -> list[Ground]:
    """The kinds of node on which even the high end of the need fits, the smallest GPU first.

    Of those that are equally large, to a GiB, the one with the most: for that one, too, `roomiest` is asked what fits.
    """
    known = tuple(grounds)
    judged = zip(known, judgements(asked, known), strict=True)
    found = [(one.offered or 0, ground) for ground, one in judged if one.sure]
    found.sort(key=lambda one: (round(one[0] / GIB), -one[0]))
    return [ground for _, ground in found]


def roomiest(asked: Asked, grounds: Iterable[Ground]) -> tuple[Ground, int] | None:
    """The kind of node with the most to offer of those that nothing but memory speaks against, and how much that is."""
    offers = [(offered, one) for one in grounds if (offered := offered_by(one, asked.resources)) is not None]
    # The first of equal ones; the others need not be judged.
    for offered, one in sorted(offers, key=itemgetter(0), reverse=True):
        if judgements(asked, (one,))[0].about_memory:
            return one, offered
    return None


def offered_by(ground: Ground, resources: ResourcesSpec) -> int | None:
    """A GPU's memory; without GPUs the host memory that one node or the limit gives. None where it is not known."""
    if ground.offer is not None:
        return ground.offer.memory_bytes
    largest, limit = ground.host_bytes, quantity(resources.memory)
    return (largest if limit is None else min(largest, int(limit))) or None


def _cases(asked: Asked, grounds: Iterable[Ground]) -> Iterator[Case]:
    """The question to each kind of node; the need is reckoned once for each kind of GPU."""
    needs: dict[Gpu | None, Need | Unknown] = {}
    for one in grounds:
        gpu = gpu_of(one)
        if gpu not in needs:
            needs[gpu] = asked.need(gpu)
        yield Case(asked, one, needs[gpu])


def _judge(case: Case) -> Judgement:
    """The verdict on one kind of node, by the first check that objects for certain, else by the room there is."""
    objections = [objection for check in CHECKS if (objection := check(case))]
    # What certainly does not fit outweighs what cannot be told.
    deciding = next((o for o in objections if not o.unknown), objections[0] if objections else None)
    need, offered = _compared(case)
    if deciding is None:
        verdict, reason, message = _room(case, need, offered)
    else:
        verdict = Verdict.UNKNOWN if deciding.unknown else Verdict.DOES_NOT_FIT
        reason, message = deciding.reason, deciding.message
        # Whoever follows the message would meet it next.
        following = {o.reason: o.message for o in objections if o is not deciding}
        if MEMORY in following:
            message = f"{message}; besides, it {following[MEMORY]}"
        elif deciding.unknown and MEMORY_UNKNOWN in following:
            message = f"{message}; besides, {following[MEMORY_UNKNOWN]}"
    return Judgement(verdict, reason, message[:1024], need, offered, on_cpu=case.ground.offer is None)


def _answer(asked: Asked, kind: NodeType, landing: tuple[Member, ...], judged: Judgement) -> NodeTypeAnswer:
    usable = [m for m in landing if m.node.ready and not m.node.cordoned]
    free = [m.free for m in usable if m.free is not None]
    need, offered, gpu = judged.need, judged.offered, kind.offer
    risky = gpu is not None and not gpu.shared
    batch = length = None
    if asked.most is not None and judged.about_memory and offered is not None:
        batch, length = asked.most(gpu_of(kind), offered)
    return NodeTypeAnswer(
        node_type=kind.name,
        verdict=judged.verdict,
        fits_now=_now(asked, kind, judged.verdict, usable),
        reason=judged.reason,
        message=judged.message,
        need_bytes=need,
        offered_bytes=offered,
        offered_from=None if gpu is None or offered is None else gpu.memory_from,
        headroom_bytes=None if need is None or offered is None else offered - need.likely,
        out_of_memory_probability=round(exceedance(need, offered), 4) if risky and need and offered else None,
        largest_batch_size_per_device=batch,
        longest_input_tokens=length,
        nodes=len(usable),
        cordoned_nodes=sum(m.node.ready and m.node.cordoned for m in kind.members),
        not_ready_nodes=sum(not m.node.ready for m in kind.members),
        tainted_nodes=tainted(asked, kind),
        free_gpus=None if gpu is None or len(free) < len(usable) else sum(free),
        simulated=kind.simulated,
        assumed=kind.assumed,
        source=Source.CLOSED_FORM if need is None else need.source,
    )


def _compared(case: Case) -> tuple[BytesEstimate | None, int | None]:
    """The need and what is offered to hold it."""
    offer = case.ground.offer
    # What is known of CUDA says nothing of ROCm.
    need = None if isinstance(case.need, Unknown) or (offer and offer.resource == AMD) else case.need
    size = None if need is None else need.host_bytes if offer is None else need.required_bytes
    return size, offered_by(case.ground, case.asked.resources)


def _room(case: Case, need: BytesEstimate | None, offered: int | None) -> tuple[Verdict, str, str]:
    """The verdict where no check objects: which end of the need fits."""
    if need is None or offered is None:
        return Verdict.UNKNOWN, MEMORY_UNKNOWN, "no node tells how much memory it can give"
    said = f"needs {gib(need.low)} to {gib(need.high)} GiB of {gib(offered)} GiB{on_each(case)}"
    if need.high > offered:
        how = "most likely it does not fit" if need.likely > offered else "the upper end does not fit"
        return Verdict.FITS_TIGHT, MEMORY, f"{said}: {how}"
    if case.ground.offer is not None and case.ground.offer.shared:
        takes = "which other Pods on the same GPU may take"
        if case.ground.offer.limited:
            takes = "the share to which MPS limits each process; a Pod of several processes may take more"
        return Verdict.FITS_TIGHT, SHARED, f"{said}, {takes}"
    return Verdict.FITS, MEMORY, said


def _now(asked: Asked, kind: NodeType, verdict: Verdict, usable: list[Member]) -> Verdict:
    """The verdict with what is free: a node must be there, and have as many GPUs free as the run takes."""
    if not usable:
        return Verdict.DOES_NOT_FIT  # whatever is not known of the type: of one that is only assumed nothing is there
    if verdict in (Verdict.DOES_NOT_FIT, Verdict.UNKNOWN):
        return verdict
    if kind.offer is None or any(m.free is None for m in usable):
        return Verdict.UNKNOWN
    wanted = asked.resources.gpus_per_node
    return verdict if any((m.free or 0) >= wanted for m in usable) else Verdict.DOES_NOT_FIT
