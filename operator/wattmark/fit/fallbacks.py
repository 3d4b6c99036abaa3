"""What would make it fit: ranked changes of a spec, each checked like the spec itself before it is offered. Pure."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, reduce
from itertools import chain, islice
from typing import Any, TypeVar
from weakref import ref

from pydantic import ValidationError

from wattmark.api.answers import BytesEstimate, Verdict
from wattmark.api.fallback import MOST_FALLBACKS, Change, Fallback
from wattmark.api.schema import Model
from wattmark.api.training import Optimizer
from wattmark.estimate import Gpu, Unknown
from wattmark.evidence import NO_EXPERIENCE, Experience
from wattmark.fit.checks import Ground
from wattmark.fit.demand import Demand, demand
from wattmark.fit.most import Axis, resized
from wattmark.fit.moves import FREE, MOVES, ON_ALL, PAIRS, PRESERVING, RISING, smaller_batch
from wattmark.fit.proposal import Move, Patch, Proposal
from wattmark.fit.verdicts import gpu_of, judgements, offered_by, surely_fit
from wattmark.models.resolve import Impossible

ENOUGH = 3  # with so many changes that help alone, no two are put together
MOST_PATCH, MOST_MESSAGE = 512, 512  # the bounds of the API's fields
_SEVERITY = list(Change)
_HARMLESS = (Change.ATTENTION, Change.FUSED_OPTIMIZER, Change.HOST_MEMORY, Change.GRADIENT_CHECKPOINTING)
S = TypeVar("S", bound=Model)


@dataclass(frozen=True, slots=True)
class _Question:
    """What does not fit, and where; `text` is spec and model as text, by which `wanted` is compared.

    Earlier runs are compared as a whole, for a change may be of a kind that only a new one speaks of, and referred to
    weakly, for many are replaced when another run ends.
    """

    text: str
    grounds: tuple[Ground, ...]
    experience: ref[Experience]
    wanted: Demand = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A proposal with which it fits, and the kind of node with the smallest GPU on which it does.

    `tried` are the changes of which this is what is left without those that save nothing.
    """

    proposal: Proposal
    ground: Ground
    need: BytesEstimate
    tried: frozenset[Change]


def fallbacks(wanted: Demand, grounds: Iterable[Ground]) -> tuple[Fallback, ...]:
    """At most eight changes with which even the high end of the need fits one of these kinds of node, best first.

    Empty where it fits one as it is, and where of none it is known that it does not.
    """
    text = "\n".join((wanted.spec.model_dump_json(), wanted.config, str(wanted.only_asks)))
    without = replace(wanted, experience=NO_EXPERIENCE)
    return _fallbacks(_Question(text, tuple(grounds), ref(wanted.experience), without))


def with_patch(spec: S, patch: str) -> S:
    """The spec with a fallback's patch; ValidationError or ValueError where that is no spec."""
    return _patched(spec, json.loads(patch)["spec"])


def applied(target: object, patch: object) -> Any:
    """A JSON merge patch applied (RFC 7386, section 2); both stay as they are."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


# The same is asked at each change of the fleet. As many as a cluster's ModelChecks may be, at some kilobytes each.
@lru_cache(512)
def _fallbacks(question: _Question) -> tuple[Fallback, ...]:
    wanted, grounds = replace(question.wanted, experience=question.experience() or NO_EXPERIENCE), question.grounds
    now = judgements(wanted.asked(), grounds)
    short = any(judged.verdict in (Verdict.DOES_NOT_FIT, Verdict.FITS_TIGHT) for judged in now)
    if not short or any(judged.sure for judged in now):
        return ()
    found = _with_one(wanted, grounds)
    if len(_without_surplus(found)) < ENOUGH:
        enough = {fitting.tried for fitting in found}
        found += islice(_in_pairs(wanted, grounds, enough), MOST_FALLBACKS)
    found = [one for one in _without_surplus(found) if len(_text(one.proposal.patch)) <= MOST_PATCH]
    best = sorted(found, key=_rank)[:MOST_FALLBACKS]
    return tuple(_fallback(rank, fitting, wanted) for rank, fitting in enumerate(best, 1))


def _without_surplus(found: Iterable[_Fitting]) -> list[_Fitting]:
    """Those that hold no other one whole: they change more than they must."""
    by_changes: dict[frozenset[Change], _Fitting] = {}
    for fitting in found:
        by_changes.setdefault(frozenset(fitting.proposal.changes), fitting)
    every = [fitting.proposal for fitting in by_changes.values()]
    return [one for one in by_changes.values() if not any(_does_less(other, one.proposal) for other in every)]


def _does_less(less: Proposal, more: Proposal) -> bool:
    """Whether one proposal does nothing that another does not, and is no worse."""
    part = less.patch != more.patch and _both(more.patch, less.patch) == more.patch
    return part and less.changes_result <= more.changes_result


def _rank(fitting: _Fitting) -> tuple[bool, list[int], int, list[int]]:
    """What changes no result first, then lesser changes; of the same ones, with more beside them that change none."""
    order = [_SEVERITY.index(change) for change in fitting.proposal.changes]
    severities = sorted((at for at in order if _SEVERITY[at] not in _HARMLESS), reverse=True)
    return fitting.proposal.changes_result, severities, -len(order) if severities else len(order), order


def _with_one(wanted: Demand, grounds: tuple[Ground, ...]) -> list[_Fitting]:
    """One change each: alone, and on top of those that change no result, first those of them that cost nothing."""
    base, free = _all(PRESERVING, wanted, grounds), _all(FREE, wanted, grounds)
    together = [] if base is None else list(_first(wanted, iter([base]), grounds))
    on_all = {} if base is None else _on_top(wanted, base, MOVES, grounds)
    # What does not fit beside all that changes no result does not fit without it: that only ever saves.
    vain = {move for move, found in on_all.items() if not found}
    if base is not None and not together:
        vain |= set(PRESERVING)
    found = [one for move in MOVES if move not in vain for one in _first(wanted, move(wanted, grounds), grounds)]
    if free is not None and base is not None and free.patch != base.patch:
        if together:
            found += _first(wanted, iter([free]), grounds)
        found += chain(*_on_top(wanted, free, (m for m in MOVES if m not in {*ON_ALL, *vain}), grounds).values())
    return [*found, *together, *chain(*on_all.values())]


def _on_top(
    wanted: Demand, base: Proposal, moves: Iterable[Move], grounds: tuple[Ground, ...]
) -> dict[Move, list[_Fitting]]:
    """What fits with one more change, by which it is; without those that propose nothing there."""
    after = _after(wanted, base)
    if after is None:
        return {}
    more = {move: [_joined(base, one) for one in move(after, grounds)] for move in moves if move not in PRESERVING}
    return {move: list(_first(wanted, iter(every), grounds)) for move, every in more.items() if every}


def _in_pairs(wanted: Demand, grounds: tuple[Ground, ...], enough: Container[frozenset[Change]]) -> Iterator[_Fitting]:
    """Two changes together, beside those that change no result; none of which the first is `enough`."""
    base = _all(PRESERVING, wanted, grounds)
    start = wanted if base is None else _after(wanted, base) or wanted
    for first, second in PAIRS:
        proposals = list(first(start, grounds))
        if not proposals:
            continue
        # The one that saves most; or, where each saves and costs more than the one before, each in turn.
        for one in proposals if first in RISING else proposals[-1:]:
            both = one if base is None else _joined(base, one)
            after = None if frozenset(both.changes) in enough else _after(wanted, both)
            if after is None:
                continue
            if second is smaller_batch:
                both, after = _without_idle_fusion(wanted, both, after, gpu_of(grounds[0]))
            found = list(_first(wanted, (_joined(both, more) for more in second(after, grounds)), grounds))
            yield from found
            if found:
                break


def _all(moves: Iterable[Move], wanted: Demand, grounds: tuple[Ground, ...]) -> Proposal | None:
    """What these moves propose, as one proposal; None where that is nothing."""
    found: Proposal | None = None
    for move in moves:
        for proposal in move(wanted, grounds):
            found = proposal if found is None else _joined(found, proposal)
    return found


def _first(wanted: Demand, proposals: Iterator[Proposal], grounds: tuple[Ground, ...]) -> Iterator[_Fitting]:
    """The first of several that fits, if one does; without its idle parts, where it fits without them."""
    for proposal in proposals:
        after = _after(wanted, proposal)
        # What is not simulated is cheap, and needs no more: most proposals are found too large by it, and most nodes.
        roomy = [] if after is None else _roomy(after, grounds)
        if after is None or not roomy:
            continue
        less, demand = _without_idle(wanted, proposal, after, gpu_of(roomy[0]))
        fitting = None
        if less is not proposal:
            fitting = _fitting(less, demand, _roomy(demand, grounds))
        fitting = fitting or _fitting(proposal, after, roomy)
        if fitting is not None:
            yield replace(fitting, tried=frozenset(proposal.changes))
            return


def _roomy(demand: Demand, grounds: Iterable[Ground]) -> list[Ground]:
    """The kinds of node on which it surely fits as long as nothing is simulated, the smallest GPU first."""
    large = (ground for ground in grounds if _large_enough(demand, ground, simulate=False))
    return surely_fit(demand.asked(simulate=False), large)


def _large_enough(demand: Demand, ground: Ground, *, simulate: bool) -> bool:
    """Whether even the high end of the need is offered: a number, known long before what all checks say is."""
    offered = offered_by(ground, demand.spec.resources)
    return offered is not None and demand.offer_on(gpu_of(ground), simulate=simulate) <= offered


def _fitting(proposal: Proposal, demand: Demand, roomy: Iterable[Ground]) -> _Fitting | None:
    """Check the patched spec as any other: read, resolved, estimated, judged."""
    for ground in roomy:
        if not _large_enough(demand, ground, simulate=True):
            continue
        (judged,) = judgements(demand.asked(), (ground,))
        if judged.sure and judged.need is not None:
            return _Fitting(proposal, ground, judged.need, frozenset(proposal.changes))
    return None


def _without_idle(wanted: Demand, proposal: Proposal, demand: Demand, gpu: Gpu | None) -> tuple[Proposal, Demand]:
    """The proposal without those parts that change no result and without which no more is needed, and its demand.

    They are put together unseen: what one saves elsewhere than at the peak that decides is a change for nothing.
    """
    for part in proposal.parts:
        rest = [other for other in proposal.parts if other is not part]
        if rest and part.changes[0] in _HARMLESS:
            less = reduce(_joined, rest)
            after = _after(wanted, less)
            if after is not None and after.offer_on(gpu, simulate=False) <= demand.offer_on(gpu, simulate=False):
                proposal, demand = less, after
    return proposal, demand


def _without_idle_fusion(
    wanted: Demand, proposal: Proposal, demand: Demand, gpu: Gpu | None
) -> tuple[Proposal, Demand]:
    """The same for the fused optimizer alone, before a batch is sought: one simulation is then of what will be offered.

    It saves as much of any number of samples, and what else is needed grows with them: what it does not save of one it
    does not save of more.
    """
    rest = [part for part in proposal.parts if part.changes[0] is not Change.FUSED_OPTIMIZER]
    less = proposal if len(rest) in (0, len(proposal.parts)) else reduce(_joined, rest)
    after = demand if less is proposal else _after(wanted, less)
    if after is None or _single(after).offer_on(gpu, simulate=False) > _single(demand).offer_on(gpu, simulate=False):
        return proposal, demand
    return less, after


def _single(demand: Demand) -> Demand:
    """The same with one sample."""
    return replace(demand, resolved=resized(demand.resolved, Axis.BATCH, 1))


def _after(wanted: Demand, proposal: Proposal) -> Demand | None:
    """The demand with the proposal; None where that is no spec, or one that the model cannot do."""
    try:
        spec = _patched(wanted.spec, proposal.patch)
    except ValidationError:
        return None
    architecture, config = proposal.model or (wanted.architecture, wanted.config)
    found = demand(spec, architecture, config, only_asks=wanted.only_asks, experience=wanted.experience)
    return None if isinstance(found, Impossible) else found


def _patched(spec: S, patch: Patch) -> S:
    return type(spec).read(applied(spec.wire(), patch))


def _joined(first: Proposal, second: Proposal) -> Proposal:
    """Both, the second on top of the first. Another optimizer takes the place of the fused one."""
    words = dict(zip(first.changes, first.words, strict=True))
    if Change.OPTIMIZER in second.changes or Change.OPTIMIZER_STATES in second.changes:
        words.pop(Change.FUSED_OPTIMIZER, None)
    words |= dict(zip(second.changes, second.words, strict=True))
    return Proposal(
        changes=tuple(words),
        words=tuple(words.values()),
        patch=_both(first.patch, second.patch),
        changes_result=first.changes_result or second.changes_result,
        model=second.model or first.model,
        parts=(*(first.parts or (first,)), *(second.parts or (second,))),
    )


def _both(first: Patch, second: Patch) -> Patch:
    """One merge patch that does what two do one after the other."""
    result = dict(first)
    for key, value in second.items():
        before = result.get(key)
        result[key] = _both(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return result


def _text(patch: Patch) -> str:
    return json.dumps({"spec": patch}, separators=(",", ":"))


def _fallback(rank: int, fitting: _Fitting, wanted: Demand) -> Fallback:
    proposal, gpu = fitting.proposal, gpu_of(fitting.ground)
    before = wanted.need_on(gpu)
    size = None if isinstance(before, Unknown) else before.host_bytes if gpu is None else before.required_bytes
    same = proposal.changes == (Change.NODE_TYPE,)
    said = "; ".join(proposal.words)
    if wanted.resolved.optimizer is Optimizer.ADAMW:
        # It was proposed beside the fused one; what it is compared with is what was asked for.
        said = said.replace(f"instead of {Optimizer.ADAMW_FUSED.value}", f"instead of {Optimizer.ADAMW.value}")
    return Fallback(
        rank=rank,
        changes=list(proposal.changes),
        changes_result=proposal.changes_result,
        patch=_text(proposal.patch),
        message=said[:MOST_MESSAGE],
        node_type=fitting.ground.name,
        need_bytes=fitting.need,
        saved_bytes=None if size is None or same else size.likely - fitting.need.likely,
    )
