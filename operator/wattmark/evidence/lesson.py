"""What earlier runs say of one question on one device, and the need that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from wattmark.api.answers import BytesEstimate, Need, Source
from wattmark.estimate.answer import Reckoned, bounded, bytes_estimate
from wattmark.estimate.calibration import Deviation, moved
from wattmark.estimate.interval import Interval
from wattmark.evidence.run import Figure

_NONE = (None,) * len(Figure)
DEPTH = (Source.CLOSED_FORM, Source.TRACED, Source.CALIBRATED, Source.MEASURED)
_CONTAINED = (Figure.ALLOCATED, Figure.RESERVED, Figure.PROCESS, Figure.DEVICE)


@dataclass(frozen=True, slots=True)
class Lesson:
    """By figure: what this very question took, how far the like lay from the closed form, and what was too little.

    `same` and `alike` are how many runs speak, `names` the newest of them as (namespace, name).
    """

    measured: tuple[Interval | None, ...] = _NONE
    deviations: tuple[Deviation | None, ...] = _NONE
    too_little: tuple[int | None, ...] = _NONE
    same: int = field(default=0, compare=False)
    alike: int = field(default=0, compare=False)
    names: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def of_the_same(self) -> "Lesson":
        """What runs of this very question say alone; NOTHING_LEARNT where there is none."""
        if self.same or any(size is not None for size in self.too_little):
            return replace(self, deviations=_NONE, alike=0)
        return NOTHING_LEARNT


NOTHING_LEARNT = Lesson()


class Known(NamedTuple):
    """A size in bytes, and which source it is from."""

    size: Interval
    source: Source


def informed(need: Need, lesson: Lesson) -> Need:
    """The need, each figure from the deepest source. The components stay the closed form's, or the trace's.

    A traced figure is not calibrated: how far runs lay from the closed form says nothing of a trace.
    """
    if lesson == NOTHING_LEARNT:
        return need
    before = {figure: _known(estimate) for figure in Figure if (estimate := figure.of(need))}
    after = _told(before, lesson)
    names = {figure: f"{figure.name.lower()}_bytes" for figure in after}
    changes = {names[figure]: _estimate(known) for figure, known in after.items() if known != before[figure]}
    if need.required_bytes is not None and Figure.DEVICE in after:
        required = _required(_known(need.required_bytes), before, after, lesson)
        changes["required_bytes"] = _estimate(required)
    return need.model_copy(update=changes)


def must_be_offered(found: Reckoned, lesson: Lesson) -> int:
    """The high end of what a GPU must offer, or on the CPU the host: what `informed` tells, in a fifth of the time."""
    own = bounded(found.sizes.required or found.sizes.host)
    if lesson == NOTHING_LEARNT:
        return own.high
    sizes = {figure: getattr(found.sizes, figure.name.lower()) for figure in Figure}
    sources = {Figure.HOST: Source.CLOSED_FORM}
    before = {figure: Known(bounded(size), sources.get(figure, found.source)) for figure, size in sizes.items() if size}
    after = _told(before, lesson)
    if found.sizes.required is None:
        return after[Figure.HOST].size.high
    return bounded(_required(Known(own, found.source), before, after, lesson).size).high


def _told(before: Mapping[Figure, Known], lesson: Lesson) -> dict[Figure, Known]:
    """Every figure, each from its deepest source."""
    found = {figure: _informed(known, lesson, figure) for figure, known in before.items()}
    return found | _nested({figure: found[figure] for figure in _CONTAINED if figure in found})


def _required(own: Known, before: Mapping[Figure, Known], after: Mapping[Figure, Known], lesson: Lesson) -> Known:
    """What a GPU must offer, which no run measures: it moves with what is allocated, and with what is outside of
    PyTorch; a device that held a run was enough, and one that did not was not."""
    outside = _outside(after) - _outside(before)
    was, (now, source), device = before[Figure.ALLOCATED].size, after[Figure.ALLOCATED], after[Figure.DEVICE]
    moved_by = (now.low - was.low + outside, now.likely - was.likely + outside, now.high - was.high + outside)
    ends = sorted(
        max(0, end + by) for end, by in zip((own.size.low, own.size.likely, own.size.high), moved_by, strict=True)
    )
    size = _within(_around(Interval(*ends), now), device.size)
    floor = lesson.too_little[Figure.DEVICE]
    if floor is not None and size.low <= floor:
        return Known(_above(size, floor), Source.MEASURED)
    return own if size == own.size else Known(size, deepest(source, device.source))


def _outside(need: Mapping[Figure, Known]) -> int:
    """Bytes of a GPU that are not PyTorch's, likely."""
    if Figure.DEVICE not in need or Figure.RESERVED not in need:
        return 0
    return need[Figure.DEVICE].size.likely - need[Figure.RESERVED].size.likely


def deepest(*sources: Source) -> Source:
    """The deepest of these sources."""
    return max(sources, key=DEPTH.index)


def _informed(known: Known, lesson: Lesson, figure: Figure) -> Known:
    measured, deviation, floor = lesson.measured[figure], lesson.deviations[figure], lesson.too_little[figure]
    if measured is not None:
        return Known(bounded(measured), Source.MEASURED)
    if deviation is not None and known.source is Source.CLOSED_FORM:
        known = Known(bounded(moved(known.size, deviation)), Source.CALIBRATED)
    if floor is None or known.size.low > floor:
        return known
    return Known(bounded(_above(known.size, floor)), Source.MEASURED)


def _above(reckoned: Interval, floor: int) -> Interval:
    """The interval where so many bytes were too few; as wide as it was, where that leaves nothing of it."""
    low = floor + 1
    return Interval(low, max(low, reckoned.likely), max(reckoned.high, low + reckoned.high - reckoned.low))


def _nested(found: Mapping[Figure, Known]) -> dict[Figure, Known]:
    """Figures of which each contains those before it, end by end: where they contradict, the shallower gives way."""
    nested: dict[Figure, Known] = {}
    for figure in sorted(found, key=lambda one: (-DEPTH.index(found[one].source), one)):
        size, source = found[figure]
        for other, known in nested.items():
            if other < figure:
                size = _around(size, known.size)
        for other, known in nested.items():
            if other > figure:
                size = _within(size, known.size)
        nested[figure] = Known(size, source)
    return nested


def _around(one: Interval, other: Interval) -> Interval:
    """The larger of both, end by end."""
    if one.low >= other.low and one.likely >= other.likely and one.high >= other.high:
        return one
    return Interval(max(one.low, other.low), max(one.likely, other.likely), max(one.high, other.high))


def _within(one: Interval, other: Interval) -> Interval:
    """The smaller of both, end by end."""
    if one.low <= other.low and one.likely <= other.likely and one.high <= other.high:
        return one
    return Interval(min(one.low, other.low), min(one.likely, other.likely), min(one.high, other.high))


def _known(estimate: BytesEstimate) -> Known:
    return Known(Interval(estimate.low, estimate.likely, estimate.high), estimate.source)


def _estimate(known: Known) -> BytesEstimate:
    return bytes_estimate(known.size, known.source)
