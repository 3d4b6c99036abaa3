"""The interval that runs of the very same question leave for the next."""

import random
from math import sqrt

import pytest

from wattmark.estimate.exceedance import Z_95
from wattmark.estimate.interval import MIB, Interval
from wattmark.estimate.repeatability import MARGINS, Margin, around

AROUND = [
    pytest.param([1000], Margin(0.01, 5), Interval(985, 1000, 1015), id="a share and some bytes on either side"),
    pytest.param([900, 1000, 1100], Margin(0.0, 10), Interval(890, 1000, 1110), id="around each of them"),
    pytest.param([1000, 1200], Margin(0.0, 0), Interval(1000, 1000, 1200), id="likely is one that was measured"),
    pytest.param([10], Margin(0.0, 20), Interval(0, 10, 30), id="never below nothing"),
]


@pytest.mark.parametrize(("sizes", "margin", "expected"), AROUND)
def test_around(sizes: list[int], margin: Margin, expected: Interval) -> None:
    assert around(sizes, margin) == expected


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_where_two_runs_differ_by_the_margin_in_one_of_ten_pairs_the_next_lies_within(runs: int) -> None:
    sigma, draw, inside = 10 * MIB, random.Random(7), 0
    margin = Margin(0.0, int(Z_95 * sqrt(2) * sigma))
    for _ in range(4000):
        *seen, truth = (round(1000 * MIB + draw.gauss(0, sigma)) for _ in range(runs + 1))
        found = around(seen, margin)
        inside += found.low <= truth <= found.high
    assert inside / 4000 >= 0.89


def test_what_contains_more_may_differ_more() -> None:
    sizes = [MARGINS[name].size for name in ("ALLOCATED", "RESERVED", "PROCESS", "DEVICE")]
    assert sizes == sorted(sizes)
