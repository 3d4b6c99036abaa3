"""What is known before a run: the need, and whether it fits the fleet; the same for a BenchmarkJob and a ModelCheck.

Pure: `needs_trace` tells the way, `for_check` and `for_benchmark` answer.
"""

from wattmark.preflight.benchmark import Preflight, for_benchmark, unforeseen
from wattmark.preflight.check import Answer, for_check, unanswered
from wattmark.preflight.fleet import Fleet, fleet
from wattmark.preflight.verdict import fitting
from wattmark.preflight.ways import needs_trace

__all__ = [
    "Answer",
    "Fleet",
    "Preflight",
    "fitting",
    "fleet",
    "for_benchmark",
    "for_check",
    "needs_trace",
    "unanswered",
    "unforeseen",
]
