"""What earlier runs say of one question on one device, and the need that comes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wattmark.api.answers import BytesEstimate, Need, Source
from wattmark.estimate.answer import bytes_estimate
from wattmark.estimate.calibration import Deviation, moved
from wattmark.estimate.interval import Interval, highest
from wattmark.evidence.run import Figure

_NONE = (None,) * len(Figure)
DEPTH = (Source.CLOSED_FORM, Source.TRACED, Source.CALIBRATED, Source.MEASURED)
MOST_BYTES = 2**53  # the bound of a size in the API
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


def informed(need: Need, lesson: Lesson) -> Need:
    """The need, each figure from the deepest source. The components stay the closed form's, or the trace's.

    A traced figure is not calibrated: how far runs lay from the closed form says nothing of a trace.
    """
    if lesson == NOTHING_LEARNT:
        return need
    found = {figure: _informed(estimate, lesson, figure) for figure in Figure if (estimate := figure.of(need))}
    found |= _nested({figure: found[figure] for figure in _CONTAINED if figure in found})
    after = need.model_copy(update={f"{figure.name.lower()}_bytes": estimate for figure, estimate in found.items()})
    if need.required_bytes is None or after.device_bytes is None:
        return after
    return after.model_copy(update={"required_bytes": _required(need, after, lesson)})


def _required(before: Need, after: Need, lesson: Lesson) -> BytesEstimate:
    """What a GPU must offer, which no run measures: it moves with what is allocated, and with what is outside of
    PyTorch; a device that held a run was enough, and one that did not was not."""
    assert before.required_bytes is not None and after.device_bytes is not None
    outside = _outside(after) - _outside(before)
    own, was, now = (_interval(e) for e in (before.required_bytes, before.allocated_bytes, after.allocated_bytes))
    moved_by = (now.low - was.low + outside, now.likely - was.likely + outside, now.high - was.high + outside)
    ends = [max(0, end + by) for end, by in zip((own.low, own.likely, own.high), moved_by, strict=True)]
    shifted = Interval(min(ends), sorted(ends)[1], max(ends))
    size = _lowest([highest([shifted, now]), _interval(after.device_bytes)])
    floor = lesson.too_little[Figure.DEVICE]
    if floor is not None and size.low <= floor:
        return bytes_estimate(_above(size, floor), Source.MEASURED)
    if size == own:
        return before.required_bytes
    return bytes_estimate(size, deepest(after.allocated_bytes.source, after.device_bytes.source))


def _outside(need: Need) -> int:
    """Bytes of a GPU that are not PyTorch's, likely."""
    if need.device_bytes is None or need.reserved_bytes is None:
        return 0
    return need.device_bytes.likely - need.reserved_bytes.likely


def deepest(*sources: Source) -> Source:
    """The deepest of these sources."""
    return max(sources, key=DEPTH.index)


def _informed(estimate: BytesEstimate, lesson: Lesson, figure: Figure) -> BytesEstimate:
    measured, deviation, floor = lesson.measured[figure], lesson.deviations[figure], lesson.too_little[figure]
    if measured is not None:
        return bytes_estimate(measured, Source.MEASURED)
    if deviation is not None and estimate.source is Source.CLOSED_FORM:
        estimate = bytes_estimate(moved(_interval(estimate), deviation), Source.CALIBRATED)
    if floor is None or estimate.low > floor:
        return estimate
    return bytes_estimate(_above(_interval(estimate), floor), Source.MEASURED)


def _above(reckoned: Interval, floor: int) -> Interval:
    """The interval where so many bytes were too few; as wide as it was, where that leaves nothing of it."""
    low = floor + 1
    return Interval(low, max(low, reckoned.likely), max(reckoned.high, low + reckoned.high - reckoned.low))


def _nested(found: Mapping[Figure, BytesEstimate]) -> dict[Figure, BytesEstimate]:
    """Figures of which each contains those before it, end by end: where they contradict, the shallower gives way."""
    nested: dict[Figure, BytesEstimate] = {}
    for figure in sorted(found, key=lambda one: (-DEPTH.index(found[one].source), one)):
        within = [_interval(nested[other]) for other in nested if other < figure]
        around = [_interval(nested[other]) for other in nested if other > figure]
        alone = found[figure]
        size = _lowest([highest([_interval(alone), *within]), *around])
        nested[figure] = alone if size == _interval(alone) else bytes_estimate(size, alone.source)
    return nested


def _lowest(sizes: list[Interval]) -> Interval:
    return Interval(min(s.low for s in sizes), min(s.likely for s in sizes), min(s.high for s in sizes))


def _interval(estimate: BytesEstimate) -> Interval:
    return Interval(estimate.low, estimate.likely, estimate.high)
