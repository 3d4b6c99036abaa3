"""Order statistics of measured durations. Pure: numbers in, figures out."""

from collections.abc import Sequence
from math import ceil
from statistics import fmean

from wattmark.api.figures import Distribution, Steadiness

P90_SAMPLES = 10  # below these numbers a nearest-rank percentile is only the maximum under another name
P99_SAMPLES = 100


def nearest_rank(ordered: Sequence[float], percent: float) -> float:
    """The smallest value of an ascending sequence that at least `percent` of all values do not exceed."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def distribution(samples: Sequence[float]) -> Distribution:
    """Percentiles, mean and number of at least one duration in seconds; p90 from 10 samples, p99 from 100."""
    ordered = sorted(samples)
    count = len(ordered)
    return Distribution(
        p50=nearest_rank(ordered, 50),
        p90=nearest_rank(ordered, 90) if count >= P90_SAMPLES else None,
        p99=nearest_rank(ordered, 99) if count >= P99_SAMPLES else None,
        mean=fmean(ordered),
        count=count,
    )


def steadiness(samples: Sequence[float]) -> Steadiness:
    """Drift between the halves of the window, and spread, each as a share of the median and at most 1.

    `samples` are at least two durations in the order in which they were taken; of an odd number, the middle one belongs
    to neither half.
    """
    half = len(samples) // 2
    ordered = sorted(samples)
    median = nearest_rank(ordered, 50)
    if median <= 0:
        return Steadiness(drift_ratio=1.0, variation_ratio=1.0)
    drift = abs(nearest_rank(sorted(samples[-half:]), 50) - nearest_rank(sorted(samples[:half]), 50))
    spread = nearest_rank(ordered, 75) - nearest_rank(ordered, 25)
    return Steadiness(drift_ratio=min(1.0, drift / median), variation_ratio=min(1.0, spread / median))
