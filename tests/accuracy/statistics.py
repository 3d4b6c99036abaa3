"""Errors and how often intervals hold, each with how far the number of cases carries it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, median

Z = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Summary:
    """Ratios of errors, (likely - measured) / measured; `inside` cases of `count` lay in the interval."""

    count: int
    median: float
    mean: float
    mean_absolute: float
    median_absolute: float
    worst: float
    inside: int

    @classmethod
    def of(cls, errors: Sequence[float], inside: Sequence[bool]) -> "Summary":
        """The summary of at least one error."""
        absolute = [abs(error) for error in errors]
        return cls(
            len(errors),
            median(errors),
            fmean(errors),
            fmean(absolute),
            median(absolute),
            max(errors, key=abs),
            sum(inside),
        )


def wilson(successes: int, cases: int) -> tuple[float, float]:
    """Interval of 95 % for a share, after Wilson (1927): it stays within 0 and 1 and holds for few cases."""
    share, square = successes / cases, Z * Z / cases
    middle = (share + square / 2) / (1 + square)
    half = Z * sqrt(share * (1 - share) / cases + square / cases / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)
