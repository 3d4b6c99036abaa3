"""Figures as they are printed."""

import math
from collections.abc import Sequence


def rank(ordered: Sequence[float], percent: int) -> float:
    """The percentile by nearest rank of values in ascending order."""
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def milliseconds(seconds: float) -> str:
    """Three significant digits, in milliseconds."""
    return f"{seconds * 1e3:.3g} ms"
