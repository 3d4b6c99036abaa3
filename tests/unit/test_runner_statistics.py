"""Order statistics against values worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark_runner.order_statistics import distribution, nearest_rank, steadiness


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
