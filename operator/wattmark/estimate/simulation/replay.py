"""A trace of allocations, replayed: what is handed out and reserved at the fullest moment of each phase, and the least
that a device must have for it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate.simulation.allocator import Allocator, Block, DeviceFullError

GRAIN = 128  # to one part in so many the least is found


@dataclass(frozen=True, slots=True)
class Allocated:
    """A storage comes to life: `key` names it until it is released."""

    key: int
    size: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class Released:
    """The storage of this key is freed."""

    key: int


@dataclass(frozen=True, slots=True)
class CacheEmptied:
    """The framework gives what it does not use back to the device."""


Event = Allocated | Released | CacheEmptied


@dataclass(frozen=True, slots=True)
class Fullest:
    """Bytes at a phase's fullest moment, by component (their blocks, so that they sum to `allocated`), and the most
    that was reserved until the phase ended."""

    phase: Phase
    components: Mapping[ComponentName, int]
    reserved: int

    @property
    def allocated(self) -> int:
        """Bytes handed out, as torch.cuda.max_memory_allocated counts them."""
        return sum(self.components.values())


def replay(events: Iterable[Event], names: Mapping[int, ComponentName]) -> tuple[Fullest, ...]:
    """The phases in the order of their first allocation. `names` says what each storage is for.

    The phase of a moment is that of the latest allocation: nothing else makes a peak.
    """
    allocator = Allocator()
    blocks: dict[int, Block] = {}
    sums: dict[ComponentName, int] = {}
    fullest: dict[Phase, Fullest] = {}
    for event in events:
        match event:
            case Allocated(key, size, phase):
                block = blocks[key] = allocator.allocate(size)
                sums[names[key]] = sums.get(names[key], 0) + block.size
                before = fullest.get(phase)
                if before is None or allocator.allocated > before.allocated:
                    fullest[phase] = Fullest(phase, dict(sums), allocator.reserved)
                elif allocator.reserved > before.reserved:
                    fullest[phase] = Fullest(phase, before.components, allocator.reserved)
            case Released(key):
                block = blocks.pop(key)
                sums[names[key]] -= block.size
                allocator.release(block)
            case CacheEmptied():
                allocator.empty_cache()
    return tuple(fullest.values())


def least(events: Sequence[Event]) -> int:
    """The fewest bytes, to one part in GRAIN, on which the events come to their end.

    PyTorch gives back what it does not use before it fails. Looked for between the segments in use and all that is
    reserved where there is room.
    """
    free = _through(events, Allocator())
    low, enough = free.in_use_peak, free.reserved_peak
    while enough - low > enough // GRAIN:
        middle = (low + enough) // 2
        try:
            _through(events, Allocator(middle))
            enough = middle
        except DeviceFullError:
            low = middle
    return enough


def _through(events: Iterable[Event], allocator: Allocator) -> Allocator:
    blocks: dict[int, Block] = {}
    for event in events:
        match event:
            case Allocated(key, size):
                blocks[key] = allocator.allocate(size)
            case Released(key):
                allocator.release(blocks.pop(key))
            case CacheEmptied():
                allocator.empty_cache()
    return allocator
