"""How far earlier runs lay from their closed form -> where another need lies from its own.

A residual counts in deviations: the closed form's interval is read as `exceedance` reads it, a normal distribution of
its own width on either side of the likely value, so that 0 is the likely value and 1.645 an end. A run's residual is
taken for the sum of independent effects with the variances of `VARIANCES`; two residuals are correlated by the effects
that they have in common. Given earlier residuals, the next one then has a known distribution (the conditional of a
multivariate normal; Rasmussen and Williams, Gaussian Processes for Machine Learning, equations 2.25 and 2.26), whose
scale is one, as the intervals claim, or more where the residuals show that they claim too much (the posterior mean
under an inverse-gamma prior; never less than one, for likenesses of a few runs are no proof of a narrower spread).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from math import ceil, floor, fsum, sqrt
from operator import mul

from wattmark.estimate.interval import LEAST_DEVIATION, Z_95, Interval


class Share(Enum):
    """What two runs must have in common to share a part of their residuals."""

    DEVICE = "Device"  # the GPU product, or the CPU
    KIND = "Kind"  # the model's family, workload and precision
    MODEL = "Model"  # the model itself, within the same workload and precision
    QUESTION = "Question"  # everything that is asked
    OWN = "Own"  # what a run shares with none


# Parts of a residual's variance, one in all. Published series of one model on one GPU, of which only lengths or batches
# differ, have an intraclass correlation of 0.6 (those that are set apart for development): what device, kind and model
# have together. How it is divided among these three is an assumption.
VARIANCES: Mapping[Share, float] = {
    Share.DEVICE: 0.15,
    Share.KIND: 0.15,
    Share.MODEL: 0.3,
    Share.QUESTION: 0.35,
    Share.OWN: 0.05,
}
# As many runs' worth of trust in the intervals' own claim: with few residuals it outweighs theirs.
PRIOR_RUNS = 16
GRAIN = 16  # parts of a deviation; rounding outward keeps answers still where another run changes next to nothing


@dataclass(frozen=True, slots=True)
class Deviation:
    """Where the truth is expected: 5, 50 and 95 percent points, in deviations of the closed form."""

    low: float
    likely: float
    high: float


def residual(measured: int, reckoned: Interval) -> float:
    """How far a measured size lies from the likely one, in deviations."""
    return (measured - reckoned.likely) / _unit(reckoned, above=measured >= reckoned.likely)


def moved(reckoned: Interval, by: Deviation) -> Interval:
    """The interval that the deviation makes of the closed form's."""

    def at(deviations: float) -> int:
        unit = _unit(reckoned, above=deviations >= 0)
        return max(0, round(reckoned.likely + deviations * unit))

    return Interval(at(by.low), at(by.likely), at(by.high))


def _unit(reckoned: Interval, *, above: bool) -> float:
    width = reckoned.high - reckoned.likely if above else reckoned.likely - reckoned.low
    return max(width / Z_95, reckoned.likely * LEAST_DEVIATION, 1.0)


class Correlations:
    """Earlier runs' correlations among each other, `among`, solved once for the residuals of every figure.

    Of each row as much is read as stands up to the diagonal, which is 1. `toward` are their correlations with the one
    that is asked about. There is at least one run.
    """

    def __init__(self, among: Sequence[Sequence[float]], toward: Sequence[float]) -> None:
        self._lower = _cholesky(among)
        self._reach = _forward(self._lower, toward)
        self._left = max(0.0, 1.0 - _product(self._reach, self._reach))

    def expect(self, residuals: Sequence[float]) -> Deviation:
        """Where the next residual lies, given these, one for each run."""
        white = _forward(self._lower, residuals)
        middle = _product(white, self._reach)
        freedom = PRIOR_RUNS + len(white)
        scale = max(1.0, (PRIOR_RUNS + _product(white, white)) / freedom)
        half = student_95(freedom) * sqrt(scale * self._left)
        likely = round(middle * GRAIN) / GRAIN
        return Deviation(
            min(likely, floor((middle - half) * GRAIN) / GRAIN),
            likely,
            max(likely, ceil((middle + half) * GRAIN) / GRAIN),
        )


def student_95(freedom: int) -> float:
    """The 95 percent point of Student's t, to 0.001 from 8 degrees of freedom on (Abramowitz and Stegun 26.7.5)."""
    z = Z_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + fsum(term / freedom**power for power, term in enumerate(terms, 1))


def _cholesky(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    lower: list[list[float]] = []
    for i, row in enumerate(matrix):
        new: list[float] = []
        for j in range(i):
            new.append((row[j] - _product(new, lower[j])) / lower[j][j])
        # What a run shares with none keeps this above zero.
        new.append(sqrt(row[i] - _product(new, new)))
        lower.append(new)
    return lower


def _forward(lower: Sequence[Sequence[float]], right: Sequence[float]) -> list[float]:
    found: list[float] = []
    for row, value in zip(lower, right, strict=True):
        found.append((value - _product(found, row)) / row[-1])
    return found


def _product(one: Sequence[float], other: Sequence[float]) -> float:
    """The inner product, as far as the shorter reaches."""
    total: float = sum(map(mul, one, other))
    return total
