"""A trace of allocations, replayed: what is handed out and reserved at the fullest moment of each phase."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate.allocator import Allocator, Block


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
    """Bytes at a phase's fullest moment, by component: their blocks, so that they sum to `allocated`.

    `reserved` is the most that was, until the phase ended, and `in_use` the most of it that could not be given back.
    """

    phase: Phase
    components: Mapping[ComponentName, int]
    reserved: int
    in_use: int

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
                reserved, in_use = allocator.reserved, allocator.in_use
                if before is not None:
                    reserved, in_use = max(reserved, before.reserved), max(in_use, before.in_use)
                if before is None or allocator.allocated > before.allocated:
                    fullest[phase] = Fullest(phase, dict(sums), reserved, in_use)
                elif (reserved, in_use) != (before.reserved, before.in_use):
                    fullest[phase] = Fullest(phase, before.components, reserved, in_use)
            case Released(key):
                block = blocks.pop(key)
                sums[names[key]] -= block.size
                allocator.release(block)
            case CacheEmptied():
                allocator.empty_cache()
    return tuple(fullest.values())
