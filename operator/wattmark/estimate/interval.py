"""A number of bytes that is not known exactly."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30
# The standard normal deviate that 5 % lie beyond: an interval's ends are meant as its 5 and 95 percent points.
Z_95 = 1.6448536269514722
# No interval is taken for narrower than deviations of this share of its likely value: of published runs, set apart for
# development, whose closed form leaves next to nothing open, the worst lay 0.6 % away.
LEAST_DEVIATION = 0.005


@dataclass(frozen=True, slots=True)
class Interval:
    """Bytes from `low` to `high`, most likely `likely`; meant to hold the truth in nine cases of ten."""

    low: int
    likely: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.likely <= self.high:
            raise ValueError(f"not in order: {self.low}, {self.likely}, {self.high}")

    def __add__(self, other: "Interval") -> "Interval":
        """End by end, as if both were wrong the same way: wider than independent errors would be."""
        return Interval(self.low + other.low, self.likely + other.likely, self.high + other.high)


NOTHING = Interval(0, 0, 0)


def exact(size: int) -> Interval:
    """A size that follows from the model and the workload alone."""
    return Interval(size, size, size)


def spread(likely: int, low: float, high: float, slack: int = 0) -> Interval:
    """`likely` times `low` to `high`, and `slack` bytes more at the upper end."""
    return Interval(int(likely * low), likely, int(likely * high) + slack)


def no_surer(size: Interval) -> Interval:
    """The interval, its ends at least as far from the likely value as such estimates were found to be wrong."""
    least = int(size.likely * LEAST_DEVIATION * Z_95)
    return Interval(max(0, min(size.low, size.likely - least)), size.likely, max(size.high, size.likely + least))


def highest(sizes: "list[Interval]") -> Interval:
    """The largest of several, end by end."""
    return Interval(
        max(size.low for size in sizes), max(size.likely for size in sizes), max(size.high for size in sizes)
    )


def total(parts: "list[Interval]") -> Interval:
    """The sum of all."""
    low = likely = high = 0
    for part in parts:  # once through: each phase of each estimate is added up
        low, likely, high = low + part.low, likely + part.likely, high + part.high
    return Interval(low, likely, high)
