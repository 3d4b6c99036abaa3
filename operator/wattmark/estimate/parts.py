"""What memory is needed for, phase by phase."""

from dataclasses import dataclass, field

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
    """All that PyTorch's allocator has handed out at a phase's fullest moment; `allocated` is the sum of the parts."""

    phase: Phase
    parts: tuple[Part, ...]
    allocated: Interval = field(init=False)

    def __post_init__(self) -> None:
        """Add up once: phases are shared by all kinds of GPU that are asked about."""
        object.__setattr__(self, "allocated", total([part.size for part in self.parts]))


UNDIVIDED = "parallelism.type DDP"  # the way out where it is not known how training's tensors are divided


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why there is no estimate."""

    reason: str
