"""The tables of docs/accuracy.md, reckoned from the measurements and today's estimates."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from tests.accuracy import predict
from tests.accuracy.data import DEFINITIONS, Component, Point
from tests.accuracy.statistics import Summary, wilson

from wattmark.api.answers import BytesEstimate, Need

BINS = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
ERRORS = "| points | median | mean | mean size | median size | worst | in interval | true coverage, 95 % sure |"
GIB = 1 << 30


@dataclass(frozen=True)
class Comparison:
    """One measured figure beside the estimate of the same definition."""

    point: Point
    definition: str
    measured: float
    estimate: BytesEstimate

    @property
    def error(self) -> float:
        """(likely - measured) / measured."""
        return self.estimate.likely / self.measured - 1

    @property
    def inside(self) -> bool:
        """Whether the interval holds it; what a source rounded away is not held against it."""
        slack = self.point.resolution / 2
        return self.estimate.low - slack <= self.measured <= self.estimate.high + slack


def tables(points: Sequence[Point], parts: Sequence[Component]) -> str:
    """Everything between the page's markers, as Markdown."""
    needs = {point.id: predict.predicted(point) for point in points}
    answered = [(point, found) for point in points if isinstance(found := needs[point.id], Need)]
    compared = [c for point, found in answered for c in _comparisons(point, found)]
    sections = (
        ("Runs that ours are like", _errors([c for c in compared if c.point.differs is None])),
        ("Runs that did something else as well", _errors([c for c in compared if c.point.differs])),
        ("Series by series", _series(compared)),
        ("Components", _components(parts)),
        ("Out of memory", _reliability(answered)),
        ("Unknown", _unknown([(p, why) for p in points if isinstance(why := needs[p.id], str)])),
    )
    return "\n\n".join(f"### {title}\n{chr(10).join(lines)}" for title, lines in sections)


def _comparisons(point: Point, found: Need) -> Iterator[Comparison]:
    for definition, measured in point.measured.items():
        estimate = predict.estimate(found, definition)
        if estimate is not None:
            yield Comparison(point, definition, measured, estimate)


def _errors(compared: Sequence[Comparison]) -> Iterator[str]:
    yield "| what | set " + ERRORS
    yield "|---|---" + "|---:" * ERRORS.count(" | ") + "|---:|"
    for training in (False, True):
        for definition in DEFINITIONS:
            for held_out in (True, False):
                chosen = [
                    c
                    for c in compared
                    if (c.point.training, c.definition, c.point.held_out) == (training, definition, held_out)
                ]
                if chosen:
                    what = f"{'training' if training else 'inference'}, {definition}"
                    yield f"| {what} | {'held out' if held_out else 'development'} {_summary(chosen)}"


def _summary(chosen: Sequence[Comparison]) -> str:
    summary = Summary.of([c.error for c in chosen], [c.inside for c in chosen])
    low, high = wilson(summary.inside, summary.count)
    sizes = f"{summary.mean_absolute:.1%} | {summary.median_absolute:.1%}"
    return (
        f"| {summary.count} | {summary.median:+.1%} | {summary.mean:+.1%} | {sizes} | {summary.worst:+.1%} "
        f"| {summary.inside} of {summary.count} | {low:.0%} to {high:.0%} |"
    )


def _series(compared: Sequence[Comparison]) -> Iterator[str]:
    yield "| series | set | definition | points | mean error | worst | in interval |"
    yield "|---|---|---|---:|---:|---:|---:|"
    key: Callable[[Comparison], tuple[str, str]] = lambda c: (c.point.series, c.definition)  # noqa: E731
    for (series, definition), group in groupby(sorted(compared, key=key), key=key):
        chosen = list(group)
        summary = Summary.of([c.error for c in chosen], [c.inside for c in chosen])
        kind = "held out" if chosen[0].point.held_out else "seen" if chosen[0].point.seen else "development"
        yield (
            f"| {series} | {kind} | {definition} | {summary.count} | {summary.mean:+.1%} | {summary.worst:+.1%} "
            f"| {summary.inside} of {summary.count} |"
        )


def _components(parts: Iterable[Component]) -> Iterator[str]:
    yield "| what | components | measured, GiB | likely, GiB | error |"
    yield "|---|---|---:|---:|---:|"
    for component in parts:
        likely = predict.part(component)
        low, high = f"{component.low / GIB:.2f}", f"{component.high / GIB:.2f}"
        measured = low if low == high else f"{low} to {high}"
        if isinstance(likely, str):
            yield f"| {component.title} | {', '.join(component.of)} | {measured} | Unknown: {likely} | |"
            continue
        nearest = min(max(likely, component.low), component.high)
        error = f"{likely / nearest - 1:+.1%}" if nearest != likely else "within"
        yield f"| {component.title} | {', '.join(component.of)} | {measured} | {likely / GIB:.2f} | {error} |"


def _reliability(answered: Sequence[tuple[Point, Need]]) -> Iterator[str]:
    yield "| probability said | runs | ran out of memory | share, 95 % sure | of them like ours |"
    yield "|---|---:|---:|---:|---:|"
    told = [(p, chance) for p, found in answered if (chance := predict.out_of_memory(p, found)) is not None]
    for low, high in pairwise(BINS):
        chosen = [point for point, chance in told if low <= chance < high or (high == 1.0 == chance)]
        failed = sum(not point.ran for point in chosen)
        if not chosen:
            yield f"| {low:.0%} to {high:.0%} | 0 | | | |"
            continue
        least, most = wilson(failed, len(chosen))
        alike = sum(point.differs is None for point in chosen)
        yield f"| {low:.0%} to {high:.0%} | {len(chosen)} | {failed} | {least:.0%} to {most:.0%} | {alike} |"


def _unknown(without: Sequence[tuple[Point, str]]) -> Iterator[str]:
    if not without:
        yield "Every point has an estimate."
        return
    yield "| why | points | series |"
    yield "|---|---:|---|"
    for why in dict.fromkeys(why for _, why in without):
        chosen = [point for point, reason in without if reason == why]
        yield f"| {why} | {len(chosen)} | {', '.join(dict.fromkeys(point.series for point in chosen))} |"
