"""Order statistics of measured durations. Pure: numbers in, figures out."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import ceil, erfc, sqrt
from statistics import fmean

from wattmark.api.figures import Distribution, Steadiness

P90_SAMPLES = 10  # below these numbers a nearest-rank percentile is only the maximum under another name
P99_SAMPLES = 100
TREND_SAMPLES = 8  # below this number the normal approximation of the trend's test is too coarse
TREND_BLOCKS = 16  # more samples are judged by the medians of so many blocks: every pair of blocks is compared
TREND_P = 0.05
TREND_DRIFT_RATIO = 0.01


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


def trend_p_value(samples: Sequence[float]) -> float:
    """How likely samples without a trend, in this order, rise or fall at least as clearly as these; from 0 to 1.

    Mann and Kendall's test, two-sided, with its normal approximation and corrections for ties and continuity (H. B.
    Mann, Econometrica 13, 1945; M. G. Kendall, Rank Correlation Methods, 1975). At least two samples.
    """
    count = len(samples)
    rises = sum(
        (later > earlier) - (later < earlier) for at, earlier in enumerate(samples) for later in samples[at + 1 :]
    )
    ties = sum(equal * (equal - 1) * (2 * equal + 5) for equal in Counter(samples).values())
    variance = (count * (count - 1) * (2 * count + 5) - ties) / 18
    if rises == 0 or variance <= 0:
        return 1.0
    return erfc((abs(rises) - 1) / sqrt(2 * variance))


def has_trend(samples: Sequence[float]) -> bool | None:
    """Whether durations, in the order in which they were taken, still rise or fall; None below 8 of them.

    They do where it is no chance (p below 0.05) and matters: the medians of the halves differ by more than 1 %. Noise
    alone is no trend, however large, and a drift of a few thousandths is none that a figure would show.
    """
    count = len(samples)
    if count < TREND_SAMPLES:
        return None
    if steadiness(samples).drift_ratio <= TREND_DRIFT_RATIO:
        return False
    blocks = min(count, TREND_BLOCKS)
    edges = [count * block // blocks for block in range(blocks + 1)]
    medians = [nearest_rank(sorted(samples[a:b]), 50) for a, b in pairwise(edges)]
    return trend_p_value(medians) < TREND_P
