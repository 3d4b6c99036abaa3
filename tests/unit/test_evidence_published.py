"""Published measurements, each foreseen from the others of its page: calibrated intervals hold as often as they say."""

from dataclasses import dataclass

import pytest
from tests.accuracy.data import Point, points
from tests.accuracy.predict import estimate, predicted, question

from wattmark.api.answers import Need
from wattmark.estimate.calibration import residual
from wattmark.estimate.interval import Interval
from wattmark.evidence import Experience, Run, Subject, informed, subject
from wattmark.evidence.run import RUNNER_SOFTWARE, Figure, Sizes, packed


@dataclass(frozen=True)
class Published:
    """A measured run with today's closed form of it."""

    point: Point
    need: Need
    subject: Subject
    sizes: Sizes

    @property
    def page(self) -> str:
        """The file that it is from, which is of one GPU."""
        return self.point.id.partition("/")[0]

    @property
    def run(self) -> Run:
        """The same as evidence."""
        about = self.subject
        numbers = packed(about.question, self.sizes)
        return Run("page", self.point.id, about.elsewhere, self.page, RUNNER_SOFTWARE, True, numbers)


def published() -> list[Published]:
    """Every run that went through, that ours are like, and whose model the closed form describes."""
    found = []
    for point in points():
        need, asked = predicted(point), question(point)
        if not point.ran or point.differs is not None or isinstance(need, str) or isinstance(asked, str):
            continue
        if asked.resolved.parallelism is not None:
            continue  # a run of ours is on one GPU: of several nothing is ever learnt
        measured: list[int | None] = [None] * len(Figure)
        residuals: list[float | None] = [None] * len(Figure)
        for definition, size in point.measured.items():
            reckoned = estimate(need, definition)
            if reckoned is not None:
                figure = Figure[definition.upper()]
                measured[figure] = int(size)
                residuals[figure] = residual(int(size), Interval(reckoned.low, reckoned.likely, reckoned.high))
        about = subject(asked.architecture, asked.resolved, asked.weights, 1)
        found.append(Published(point, need, about, Sizes(0, tuple(measured), tuple(residuals))))
    return found


HISTORIES = [
    pytest.param(True, id="with other lengths of its own series"),
    pytest.param(False, id="from other series alone"),
]


@pytest.mark.parametrize("own_series", HISTORIES)
def test_of_what_is_held_out_nine_of_ten_lie_in_the_calibrated_interval(own_series: bool) -> None:
    every = [one for one in published() if one.point.held_out]
    before = after = figures = 0
    for one in every:
        told = [
            other.run
            for other in every
            if other.subject.question != one.subject.question and (own_series or other.point.series != one.point.series)
        ]
        lesson = Experience(told).lesson(one.subject, one.page)
        known = informed(one.need, lesson)
        for figure in Figure:
            size, old, new = one.sizes.measured[figure], figure.of(one.need), figure.of(known)
            if size is not None and lesson.deviations[figure] is not None and old is not None and new is not None:
                figures += 1
                before += old.low <= size <= old.high
                after += new.low <= size <= new.high
    print(f"\n{after} of {figures} figures in the calibrated interval, {before} in the closed form's own")
    assert figures >= 20
    assert after >= max(before, 0.9 * figures)
