"""A number of bytes that is not known exactly."""

from dataclasses import dataclass

MIB = 1 << 20
GIB = 1 << 30


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


def highest(sizes: "list[Interval]") -> Interval:
    """The largest of several, end by end."""
    return Interval(
        max(size.low for size in sizes), max(size.likely for size in sizes), max(size.high for size in sizes)
    )


def total(parts: "list[Interval]") -> Interval:
    """The sum of all."""
    return Interval(sum(p.low for p in parts), sum(p.likely for p in parts), sum(p.high for p in parts))
