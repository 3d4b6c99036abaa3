"""What a workload needs, as named components with intervals: closed forms, no framework, no I/O."""

from wattmark.estimate.answer import Reckoned
from wattmark.estimate.device import Gpu
from wattmark.estimate.exceedance import exceedance
from wattmark.estimate.need import need, phases, reckoned
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question

__all__ = [
    "Gpu",
    "Part",
    "PhaseParts",
    "Question",
    "Reckoned",
    "Unknown",
    "exceedance",
    "need",
    "phases",
    "reckoned",
]
