"""PyTorch's caching allocator, simulated: what a sequence of allocations and frees makes it take from the device.

The rules are those of c10/cuda/CUDACachingAllocator.cpp on one stream, with the default settings (no expandable
segments, no limit on splitting); the constants are c10/core/AllocatorConfig.h's, compared with torch 2.15. Where the
device has room the allocator gives nothing back to it, but for `empty_cache`; where it has none, all that is not used
(release_cached_blocks), before it fails.
"""

from bisect import bisect_left, insort
from dataclasses import dataclass

from wattmark.estimate.interval import MIB

SMALLEST_BYTES = 512  # kMinBlockSize: sizes are rounded up to multiples of this
SMALL_BYTES = MIB  # kSmallSize: up to here from the pool of small blocks
SMALL_SEGMENT_BYTES = 2 * MIB  # kSmallBuffer
LARGE_SEGMENT_BYTES = 20 * MIB  # large_segment_size: what a block below OWN_SEGMENT_BYTES is cut from
OWN_SEGMENT_BYTES = 10 * MIB  # kMinLargeAlloc: from here on a segment of its own
SEGMENT_STEP_BYTES = 2 * MIB  # kRoundLarge: such a segment's size is a multiple of this


class DeviceFullError(Exception):
    """A segment is needed, and the device has no room for it."""


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment, free or handed out; `before` and `after` are its neighbours in the segment, and `rest` is
    what of it is more than was asked for."""

    address: int
    size: int
    small: bool
    free: bool = False
    before: "Block | None" = None
    after: "Block | None" = None
    rest: int = 0


class Allocator:
    """One device's allocator: bytes handed out and bytes taken from the device, now and at most.

    `allocated` counts whole blocks as torch.cuda.memory_allocated does: rounding is part of it, and so is the rest of a
    large block that is too small to be split off. `asked_peak` is without such rests, of which a larger tensor may
    leave less than a smaller one. `in_use_peak` counts segments in which something is handed out.
    `limit` is what the device has, in bytes; None where it has room for whatever comes.
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = limit
        self.allocated = self.reserved = self.allocated_peak = self.reserved_peak = self.in_use_peak = 0
        self.asked_peak = self._rests = 0
        self._unused = 0  # bytes of segments in which nothing is handed out
        self._small: list[tuple[int, int, Block]] = []  # free blocks with their size and address, in this order
        self._large: list[tuple[int, int, Block]] = []
        self._end = 0  # address behind the last segment: the device's own order of addresses only breaks ties

    @property
    def in_use(self) -> int:
        """Bytes of segments in which something is handed out."""
        return self.reserved - self._unused

    def allocate(self, size: int) -> Block:
        """Hand out a block for `size` bytes, 1 or more: the smallest free one that holds them, else of a new segment.

        ValueError for a size below 1: PyTorch gives an empty tensor no block. DeviceFullError where the limit is
        reached with nothing left to give back.
        """
        if size < 1:
            raise ValueError(f"{size} bytes take no block")
        size = -(-size // SMALLEST_BYTES) * SMALLEST_BYTES
        small = size <= SMALL_BYTES
        pool = self._small if small else self._large
        place = bisect_left(pool, (size,))
        if place < len(pool):
            block = pool.pop(place)[2]
            block.free = False
            if block.before is None and block.after is None:
                self._unused -= block.size
        else:
            block = self._segment(size, small)
        left = block.size - size
        if left >= SMALLEST_BYTES if small else left > SMALL_BYTES:
            after, address = block.after, block.address + size
            rest = Block(address, left, small, True, block, after)
            if after is not None:
                after.before = rest
            block.after, block.size = rest, size
            insort(pool, (left, address, rest))
        elif left:
            block.rest = left
            self._rests += left
        self.allocated += block.size
        if self.allocated > self.allocated_peak:
            self.allocated_peak = self.allocated
        if self.allocated - self._rests > self.asked_peak:
            self.asked_peak = self.allocated - self._rests
        in_use = self.reserved - self._unused
        if in_use > self.in_use_peak:
            self.in_use_peak = in_use
        return block

    def release(self, block: Block) -> None:
        """Take a block back and join it with its free neighbours. ValueError if it is not handed out."""
        if block.free:
            raise ValueError("the block is free already")
        self.allocated -= block.size
        self._rests -= block.rest
        block.rest = 0
        before, after = block.before, block.after
        if after is not None and after.free:
            self._remove(after)
            block.size += after.size
            block.after = after.after
        if before is not None and before.free:
            self._remove(before)
            block.address = before.address
            block.size += before.size
            block.before = before.before
        if block.after is not None:
            block.after.before = block
        if block.before is not None:
            block.before.after = block
        self._add(block)

    def empty_cache(self) -> None:
        """Give the device back every segment in which nothing is handed out."""
        for block in [block for *_, block in (*self._small, *self._large) if _whole(block)]:
            self._remove(block)
            self.reserved -= block.size

    def settled(self, limit: int | None = None) -> "Allocator":
        """Another one in the same state, in which what is handed out now stays so: cheaper than to begin anew."""
        other = Allocator(limit)
        beside = Block(-1, 0, small=False)  # stands for what is handed out
        for *_, block in (*self._small, *self._large):
            other._add(Block(block.address, block.size, block.small, before=None if _whole(block) else beside))
        other._end = self._end
        other.allocated, other.allocated_peak = self.allocated, self.allocated_peak
        other.asked_peak = self.allocated
        other.reserved, other.reserved_peak = self.reserved, self.reserved_peak
        other.in_use_peak = self.in_use_peak
        return other

    def reset_peaks(self) -> None:
        """Start every peak anew from what is there now."""
        self.allocated_peak, self.reserved_peak = self.allocated, self.reserved
        self.in_use_peak = self.in_use

    def _segment(self, size: int, small: bool) -> Block:
        if small:
            whole = SMALL_SEGMENT_BYTES
        else:
            whole = LARGE_SEGMENT_BYTES if size < OWN_SEGMENT_BYTES else _up(size, SEGMENT_STEP_BYTES)
        if self._limit is not None and self.reserved + whole > self._limit:
            self.empty_cache()
            if self.reserved + whole > self._limit:
                raise DeviceFullError(f"{whole} bytes more than {self.reserved} of {self._limit}")
        block = Block(self._end, whole, small)
        self._end += whole
        self.reserved += whole
        self.reserved_peak = max(self.reserved_peak, self.reserved)
        return block

    def _add(self, block: Block) -> None:
        block.free = True
        insort(self._small if block.small else self._large, (block.size, block.address, block))
        if block.before is None and block.after is None:
            self._unused += block.size

    def _remove(self, block: Block) -> None:
        block.free = False
        if block.before is None and block.after is None:
            self._unused -= block.size
        pool = self._small if block.small else self._large
        del pool[bisect_left(pool, (block.size, block.address))]


def _whole(block: Block) -> bool:
    """Whether it is all of its segment."""
    return block.before is None and block.after is None


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
