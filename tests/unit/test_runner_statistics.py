"""Order statistics against values worked out by hand."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark_runner.order_statistics import distribution, has_trend, nearest_rank, steadiness, trend_p_value


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [
        pytest.param(1, 50, 1, id="one sample is every percentile"),
        pytest.param(4, 50, 2, id="the median of an even number is the lower middle"),
        pytest.param(5, 50, 3, id="the median of an odd number is the middle"),
        pytest.param(10, 90, 9, id="nine of ten do not exceed the p90 of ten"),
        pytest.param(11, 90, 10, id="the rank is rounded up"),
        pytest.param(100, 99, 99, id="the p99 of a hundred is the second largest"),
        pytest.param(101, 99, 100, id="the p99 of a hundred and one as well"),
        pytest.param(7, 100, 7, id="the 100th percentile is the maximum"),
        pytest.param(7, 0, 1, id="the 0th percentile is the minimum"),
    ],
)
def test_nearest_rank(count: int, percent: float, rank: int) -> None:
    assert nearest_rank(list(range(1, count + 1)), percent) == rank


@pytest.mark.parametrize(
    ("count", "p90", "p99"),
    [
        pytest.param(9, None, None, id="nine samples have a median only"),
        pytest.param(10, 9, None, id="ten have a p90"),
        pytest.param(99, 90, None, id="ninety-nine have no p99"),
        pytest.param(100, 90, 99, id="a hundred have all three"),
    ],
)
def test_percentiles_need_samples(count: int, p90: float | None, p99: float | None) -> None:
    figures = distribution([float(value) for value in range(count, 0, -1)])
    assert (figures.p90, figures.p99, figures.count) == (p90, p99, count)
    assert figures.mean == (count + 1) / 2


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200), st.floats(1, 100))
def test_at_least_the_stated_share_does_not_exceed_a_percentile(samples: list[float], percent: float) -> None:
    value = nearest_rank(sorted(samples), percent)
    assert value in samples
    assert sum(sample <= value for sample in samples) >= len(samples) * percent / 100 * (1 - 1e-12)


@pytest.mark.parametrize(
    ("samples", "drift", "variation"),
    [
        pytest.param([1.0] * 10, 0, 0, id="equal iterations are at rest"),
        pytest.param([1.0] * 5 + [1.1] * 5, 0.1, 0.1, id="a slower second half is drift"),
        pytest.param([1.1] * 5 + [1.0] * 5, 0.1, 0.1, id="a faster second half is drift as well"),
        pytest.param([1.0, 3.0] * 6, 0, 1, id="spread is capped at the median"),
        pytest.param([1.0, 1.0, 9.0, 1.0, 1.0], 0, 0, id="one outlier in the middle is neither"),
        pytest.param([0.0, 0.0], 1, 1, id="iterations without duration are not steady"),
    ],
)
def test_steadiness(samples: list[float], drift: float, variation: float) -> None:
    found = steadiness(samples)
    assert found.drift_ratio == pytest.approx(drift) and found.variation_ratio == pytest.approx(variation)


@pytest.mark.parametrize(
    ("samples", "p"),
    [
        # S, its variance n(n-1)(2n+5)/18 and z = (|S|-1)/sqrt(variance) by hand; p from a table of the normal
        pytest.param([1, 2, 3, 4, 5, 6, 7, 8], 0.000837, id="eight that rise: S 28, variance 65.33, z 3.340"),
        pytest.param([8, 7, 6, 5, 4, 3, 2, 1], 0.000837, id="eight that fall, as clearly"),
        pytest.param([1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.0000833, id="ten that rise: S 45, variance 125, z 3.935"),
        pytest.param([2, 1, 4, 3, 6, 5, 8, 7], 0.0187, id="pairs in turn: S 20, variance 65.33, z 2.351"),
        pytest.param([1, 1, 1, 1, 2, 2, 2, 2], 0.0304, id="two steps, ties: S 16, variance 48, z 2.165"),
        pytest.param([5, 5, 5, 5, 5, 5, 5, 5], 1.0, id="all alike"),
        pytest.param([1, 3, 2, 4, 4, 2, 3, 1], 1.0, id="up and down again: S 0"),
        pytest.param([1, 2], 1.0, id="two are never a trend"),
    ],
)
def test_mann_and_kendalls_test(samples: list[float], p: float) -> None:
    assert trend_p_value(samples) == pytest.approx(p, rel=0.01)


def noise(count: int, seed: int = 7) -> list[float]:
    random = Random(seed)
    return [random.uniform(0.7, 1.3) for _ in range(count)]


@pytest.mark.parametrize(
    ("samples", "trend"),
    [
        pytest.param([1.0] * 7, None, id="seven cannot tell"),
        pytest.param([1.0] * 8, False, id="eight alike"),
        pytest.param([1.2, 1.15, 1.12, 1.1, 1.08, 1.05, 1.02, 1.0], True, id="clocks that still rise"),
        pytest.param([1 - 0.001 * i for i in range(8)], False, id="a clear trend of a few thousandths does not matter"),
        pytest.param([v - i / 5000 for i, v in enumerate(noise(2000))], True, id="a slow one under noise"),
        pytest.param([2.0] + [1.0] * 20, False, id="one slow iteration is no trend"),
        pytest.param([2.0] * 4 + [1.0] * 4, True, id="a step is"),
    ],
)  # fmt: skip
def test_a_trend_is_no_chance_and_matters(samples: list[float], trend: bool | None) -> None:
    assert has_trend(samples) is trend


@pytest.mark.parametrize("count", [8, 20, 300])
def test_noise_alone_is_taken_for_a_trend_in_one_case_of_twenty_at_most(count: int) -> None:
    alarms = sum(bool(has_trend(noise(count, seed))) for seed in range(400))
    assert alarms <= 33  # of 400 at 5 %, more than 33 come by chance once in a thousand times


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30))
def test_a_trend_has_no_direction(samples: list[float]) -> None:
    assert trend_p_value(samples) == pytest.approx(trend_p_value(samples[::-1]))
    assert 0 <= trend_p_value(samples) <= 1
