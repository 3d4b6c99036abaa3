"""How likely a need is above what is offered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.answers import BytesEstimate, Source
from wattmark.estimate import exceedance


def interval(low: int, likely: int, high: int) -> BytesEstimate:
    return BytesEstimate(low=low, likely=likely, high=high, source=Source.CLOSED_FORM)


POINTS = [
    pytest.param(1000, 0.05, id="the high end"),
    pytest.param(700, 0.5, id="the likely value"),
    pytest.param(600, 0.95, id="the low end"),
    pytest.param(850, 0.2054, id="half way up: half of 1.645 deviations"),
    pytest.param(10**6, 0.0, id="far beyond"),
    pytest.param(0, 1.0, id="nothing"),
]


@pytest.mark.parametrize(("offered", "probability"), POINTS)
def test_points_of_the_distribution(offered: int, probability: float) -> None:
    assert exceedance(interval(600, 700, 1000), offered) == pytest.approx(probability, abs=1e-4)


@pytest.mark.parametrize(("offered", "probability"), [(699, 1.0), (700, 0.0), (701, 0.0)])
def test_an_exact_need_fits_or_does_not(offered: int, probability: float) -> None:
    assert exceedance(interval(700, 700, 700), offered) == probability


@given(st.lists(st.integers(0, 2**53), min_size=5, max_size=5))
def test_more_on_offer_is_never_more_dangerous(sizes: list[int]) -> None:
    need = interval(*sorted(sizes[:3]))
    less, more = (exceedance(need, offered) for offered in sorted(sizes[3:]))
    assert 0 <= more <= less <= 1
