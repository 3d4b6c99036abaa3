"""What memory is needed for, phase by phase."""

from dataclasses import dataclass

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate.interval import Interval, total


@dataclass(frozen=True, slots=True)
class Part:
    """One named part of a phase's memory, with the formula it comes from."""

    name: ComponentName
    size: Interval
    formula: str


@dataclass(frozen=True, slots=True)
class PhaseParts:
    """All that PyTorch's allocator has handed out at a phase's fullest moment."""

    phase: Phase
    parts: tuple[Part, ...]

    @property
    def allocated(self) -> Interval:
        """The sum of the parts."""
        return total([part.size for part in self.parts])


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no estimate."""

    reason: str
