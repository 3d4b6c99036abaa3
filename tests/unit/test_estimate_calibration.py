"""Intervals that earlier runs moved: they hold as often as they say, also where runs are less alike than is assumed."""

import random
from collections.abc import Callable
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.estimate.calibration import VARIANCES, Correlations, Deviation, Share, moved, residual, student_95
from wattmark.estimate.interval import Interval

DRAWS, HISTORIES_DRAWN = 2000, 20
Place = tuple[int, int, int, int]  # device, kind, model, question
ASKED: Place = (0, 0, 0, -1)


def common(one: Place, other: Place) -> list[Share]:
    """The effects that two runs share: a model is one of its kind, a question one of its model."""
    shares = [Share.DEVICE] if one[0] == other[0] else []
    if one[1] == other[1]:
        shares.append(Share.KIND)
        if one[2] == other[2]:
            shares.append(Share.MODEL)
            if one[3] == other[3]:
                shares.append(Share.QUESTION)
    return shares


def correlations(runs: list[Place]) -> Correlations:
    def correlation(one: Place, other: Place) -> float:
        return sum(VARIANCES[share] for share in common(one, other))

    among = [[1.0 if a is b else correlation(a, b) for b in runs] for a in runs]
    return Correlations(among, [correlation(run, ASKED) for run in runs])


def drawn(places: list[Place], variances: dict[Share, float], draw: random.Random) -> list[float]:
    """Residuals whose parts have these variances."""
    effects: dict[tuple[Share, Place], float] = {}

    def effect(share: Share, of: Place) -> float:
        if (share, of) not in effects:
            effects[share, of] = draw.gauss(0, sqrt(variances[share]))
        return effects[share, of]

    def whole(place: Place) -> float:
        device, kind, model, question = place
        return (
            effect(Share.DEVICE, (device, 0, 0, 0))
            + effect(Share.KIND, (0, kind, 0, 0))
            + effect(Share.MODEL, (0, kind, model, 0))
            + effect(Share.QUESTION, (0, kind, model, question))
            + draw.gauss(0, sqrt(variances[Share.OWN]))
        )

    return [whole(place) for place in places]


def coverage(runs: Callable[[random.Random], list[Place]], variances: dict[Share, float]) -> float:
    """Share of draws, with a fixed seed, in which the interval from the runs' residuals holds the next one."""
    draw, inside = random.Random(20), 0
    for _ in range(HISTORIES_DRAWN):
        places = runs(draw)
        known = correlations(places)
        for _ in range(DRAWS // HISTORIES_DRAWN):
            *seen, truth = drawn([*places, ASKED], variances, draw)
            found = known.expect(seen)
            inside += found.low <= truth <= found.high
    return inside / DRAWS


def same_model(count: int) -> Callable[[random.Random], list[Place]]:
    return lambda draw: [(0, 0, 0, number) for number in range(count)]


def one_other_model(count: int) -> Callable[[random.Random], list[Place]]:
    return lambda draw: [(0, 0, 1, number) for number in range(count)]


def mixed(count: int) -> Callable[[random.Random], list[Place]]:
    return lambda draw: [
        (draw.randrange(2), draw.randrange(2), draw.randrange(3), draw.randrange(1000)) for _ in range(count)
    ]


STATED = dict(VARIANCES)
BY_LENGTH = {Share.DEVICE: 0.1, Share.KIND: 0.1, Share.MODEL: 0.3, Share.QUESTION: 0.45, Share.OWN: 0.05}
BY_DEVICE = {Share.DEVICE: 0.6, Share.KIND: 0.1, Share.MODEL: 0.1, Share.QUESTION: 0.15, Share.OWN: 0.05}
BY_KIND = {Share.DEVICE: 0.05, Share.KIND: 0.55, Share.MODEL: 0.2, Share.QUESTION: 0.15, Share.OWN: 0.05}
TRUTHS = {"as assumed": STATED, "more by length": BY_LENGTH, "by GPU": BY_DEVICE, "by kind": BY_KIND}
HISTORIES = {
    "one run of the model": same_model(1),
    "three runs of the model": same_model(3),
    "a dozen runs of the model": same_model(12),
    "one run of another model": one_other_model(1),
    "a dozen runs of another model": one_other_model(12),
    "six runs of this and that": mixed(6),
    "sixteen runs of this and that": mixed(16),
}


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.parametrize("truth", TRUTHS)
def test_an_interval_said_to_hold_nine_of_ten_does(truth: str, history: str) -> None:
    """0.89: of series of 2,000 draws that hold 0.9, one in fifteen falls below it by chance."""
    assert coverage(HISTORIES[history], TRUTHS[truth]) >= 0.89


@pytest.mark.parametrize(("history", "at_least"), [("one run of the model", 0.75), ("a dozen runs of the model", 0.8)])
def test_where_the_closed_form_claims_too_much_runs_make_it_better(history: str, at_least: float) -> None:
    """With residuals half as large again the closed form's interval holds 73 % alone."""
    too_large = {share: 2.25 * variance for share, variance in STATED.items()}
    assert coverage(HISTORIES[history], too_large) > at_least


@pytest.mark.parametrize(("count", "widest"), [(1, 0.9), (3, 0.8), (12, 0.75)])
def test_runs_of_the_model_narrow_the_interval(count: int, widest: float) -> None:
    found = correlations(same_model(count)(random.Random(1))).expect([0.3] * count)
    assert found.high - found.low <= widest * 2 * 1.645


def test_a_dozen_runs_of_one_other_model_are_no_dozen_voices() -> None:
    one, dozen = (correlations(one_other_model(n)(random.Random(1))).expect([1.0] * n) for n in (1, 12))
    assert dozen.high - dozen.low > 0.9 * (one.high - one.low)
    assert dozen.likely < 0.6


SIZE = st.integers(0, 2**50)


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    return Interval(*sorted((draw(SIZE), draw(SIZE), draw(SIZE))))


@given(intervals(), SIZE)
def test_a_residual_leads_back_to_what_was_measured(reckoned: Interval, measured: int) -> None:
    at = residual(measured, reckoned)
    assert abs(moved(reckoned, Deviation(at, at, at)).likely - measured) <= 1 + measured * 1e-9


@given(intervals(), st.lists(st.floats(-50, 50), min_size=1, max_size=20))
def test_the_moved_interval_stays_in_order(reckoned: Interval, residuals: list[float]) -> None:
    found = correlations(mixed(len(residuals))(random.Random(len(residuals)))).expect(residuals)
    assert found.low <= found.likely <= found.high
    moved(reckoned, found)  # raises where it is not in order


T_95 = {8: 1.8595, 10: 1.8125, 17: 1.7396, 20: 1.7247, 36: 1.6883, 120: 1.6577}  # tables of Student's t


@pytest.mark.parametrize(("freedom", "expected"), T_95.items())
def test_students_t(freedom: int, expected: float) -> None:
    assert student_95(freedom) == pytest.approx(expected, abs=1e-3)


def test_the_shares_are_one_whole() -> None:
    assert set(VARIANCES) == set(Share) and sum(VARIANCES.values()) == pytest.approx(1)
