"""The simulated allocator: PyTorch's rules one by one, and what must hold for any sequence."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.allocator import Allocator, DeviceFullError


@pytest.mark.parametrize(
    ("size", "allocated", "reserved"),
    [
        pytest.param(1, 512, 2 * MIB, id="the smallest tensor takes 512 bytes of a small segment"),
        pytest.param(513, 1024, 2 * MIB, id="sizes are rounded up to 512 bytes"),
        pytest.param(MIB, MIB, 2 * MIB, id="1 MiB is still small"),
        pytest.param(MIB + 1, MIB + 512, 20 * MIB, id="above 1 MiB a block is cut from 20 MiB"),
        pytest.param(10 * MIB - 512, 10 * MIB - 512, 20 * MIB, id="just below 10 MiB, too"),
        pytest.param(10 * MIB, 10 * MIB, 10 * MIB, id="from 10 MiB on a tensor has a segment of its own"),
        pytest.param(11 * MIB, 12 * MIB, 12 * MIB, id="in steps of 2 MiB, and 1 MiB left over is not split off"),
        pytest.param(21 * MIB - 512, 21 * MIB - 512, 22 * MIB, id="more than 1 MiB left over is split off"),
    ],
)
def test_one_allocation(size: int, allocated: int, reserved: int) -> None:
    allocator = Allocator()
    allocator.allocate(size)
    assert (allocator.allocated, allocator.reserved) == (allocated, reserved)


@pytest.mark.parametrize(
    ("sizes", "reserved"),
    [
        pytest.param([MIB, MIB], 2 * MIB, id="two small tensors share a segment"),
        pytest.param([MIB, MIB, 1], 4 * MIB, id="and a third one opens the next"),
        pytest.param([5 * MIB] * 4, 20 * MIB, id="four tensors of 5 MiB share a segment"),
        pytest.param([6 * MIB] * 4, 40 * MIB, id="of 6 MiB only three: the last 2 MiB are lost to the fourth"),
        pytest.param([6 * MIB] * 3 + [2 * MIB], 20 * MIB, id="but not to a smaller one"),
        pytest.param([1, 5 * MIB], 22 * MIB, id="small and large tensors never share"),
    ],
)
def test_several_at_once(sizes: list[int], reserved: int) -> None:
    allocator = Allocator()
    for size in sizes:
        allocator.allocate(size)
    assert allocator.reserved == reserved


def test_what_was_asked_for_is_without_the_rests_of_blocks() -> None:
    allocator = Allocator()
    allocator.release(allocator.allocate(12 * MIB))
    block = allocator.allocate(11 * MIB + MIB // 2)
    assert (allocator.allocated, allocator.asked_peak, block.rest) == (12 * MIB, 12 * MIB, MIB // 2)
    allocator.release(block)
    small = allocator.allocate(2 * MIB)
    assert small.rest == 0
    allocator = Allocator()
    allocator.allocate(11 * MIB)
    assert (allocator.allocated_peak, allocator.asked_peak) == (12 * MIB, 11 * MIB)


def test_freed_memory_is_kept_and_used_again() -> None:
    allocator = Allocator()
    allocator.release(allocator.allocate(30 * MIB))
    assert (allocator.allocated, allocator.reserved) == (0, 30 * MIB)
    allocator.allocate(12 * MIB)
    allocator.allocate(18 * MIB)
    assert allocator.reserved == 30 * MIB


def test_the_smallest_block_that_is_large_enough_is_taken() -> None:
    allocator = Allocator()
    blocks = [allocator.allocate(size * MIB) for size in (40, 20, 30)]
    for block in blocks:
        allocator.release(block)
    taken = allocator.allocate(19 * MIB + 512)
    assert taken.address == 40 * MIB
    assert taken.size == 20 * MIB, "what is left, less than 1 MiB, stays with it"


def test_neighbours_join_whichever_is_freed_last() -> None:
    for order in ([0, 1, 2], [2, 1, 0], [0, 2, 1], [1, 0, 2]):
        allocator = Allocator()
        blocks = [allocator.allocate(5 * MIB) for _ in range(3)]
        for place in order:
            allocator.release(blocks[place])
        allocator.allocate(20 * MIB)
        assert allocator.reserved == 20 * MIB, order


def test_a_hole_between_two_tensors_is_lost_to_a_larger_one() -> None:
    allocator = Allocator()
    allocator.release(allocator.allocate(60 * MIB))
    blocks = [allocator.allocate(20 * MIB) for _ in range(3)]
    allocator.release(blocks[0])
    allocator.release(blocks[2])
    allocator.allocate(30 * MIB)
    assert (allocator.allocated, allocator.reserved) == (50 * MIB, 90 * MIB)


def test_emptying_the_cache_gives_back_segments_that_are_free_as_a_whole() -> None:
    allocator = Allocator()
    kept, whole = allocator.allocate(5 * MIB), allocator.allocate(50 * MIB)
    allocator.release(whole)
    allocator.empty_cache()
    assert allocator.reserved == 20 * MIB
    allocator.release(kept)
    allocator.empty_cache()
    assert (allocator.reserved, allocator.reserved_peak) == (0, 70 * MIB)


def test_peaks_start_anew_from_what_is_there() -> None:
    allocator = Allocator()
    kept, freed = allocator.allocate(30 * MIB), allocator.allocate(50 * MIB)
    allocator.release(freed)
    allocator.reset_peaks()
    assert (allocator.allocated_peak, allocator.reserved_peak) == (30 * MIB, 80 * MIB)
    allocator.release(kept)
    assert allocator.allocated_peak == 30 * MIB


def test_segments_in_which_nothing_is_handed_out_are_not_in_use() -> None:
    allocator = Allocator()
    kept, freed = allocator.allocate(5 * MIB), allocator.allocate(50 * MIB)
    assert (allocator.in_use, allocator.reserved) == (70 * MIB, 70 * MIB)
    allocator.release(freed)
    assert (allocator.in_use, allocator.reserved) == (20 * MIB, 70 * MIB)
    again = allocator.allocate(16 * MIB)
    assert allocator.in_use == 70 * MIB, "a part of a segment takes all of it"
    allocator.release(again)
    allocator.release(kept)
    assert (allocator.in_use, allocator.in_use_peak) == (0, 70 * MIB)


def test_a_device_that_is_full_is_given_back_what_is_not_used() -> None:
    allocator = Allocator(limit=100 * MIB)
    kept, freed = allocator.allocate(30 * MIB), allocator.allocate(50 * MIB)
    allocator.release(freed)
    allocator.allocate(60 * MIB)
    assert (allocator.reserved, allocator.reserved_peak) == (90 * MIB, 90 * MIB)
    with pytest.raises(DeviceFullError, match="20971520 bytes more than 94371840 of 104857600"):
        allocator.allocate(5 * MIB)
    allocator.release(kept)
    assert allocator.allocate(5 * MIB).size >= 5 * MIB, "what is freed serves first"


def test_what_is_settled_stays_in_use() -> None:
    allocator = Allocator()
    allocator.allocate(5 * MIB)
    allocator.release(allocator.allocate(50 * MIB))
    settled = allocator.settled()
    assert (settled.in_use, settled.reserved) == (20 * MIB, 70 * MIB)
    settled.allocate(15 * MIB)
    assert (settled.in_use, settled.reserved) == (20 * MIB, 70 * MIB)
    settled.empty_cache()
    assert (settled.in_use, settled.reserved) == (20 * MIB, 20 * MIB)


def test_what_is_settled_may_have_a_limit() -> None:
    allocator = Allocator()
    allocator.allocate(30 * MIB)
    allocator.release(allocator.allocate(50 * MIB))
    settled = allocator.settled(90 * MIB)
    settled.allocate(60 * MIB)
    assert settled.reserved == 90 * MIB, "what is not used is given back"
    with pytest.raises(DeviceFullError):
        settled.allocate(MIB)


def test_a_block_is_freed_once() -> None:
    allocator = Allocator()
    block = allocator.allocate(1)
    allocator.release(block)
    with pytest.raises(ValueError, match="free already"):
        allocator.release(block)


def test_nothing_takes_no_block() -> None:
    with pytest.raises(ValueError, match="no block"):
        Allocator().allocate(0)


EVENTS = st.lists(st.tuples(st.integers(1, 64 * MIB) | st.integers(1, 4096), st.integers(0, 9)), max_size=80)


@given(EVENTS)
def test_whatever_happens_reserved_holds_allocated_and_all_comes_back(events: list[tuple[int, int]]) -> None:
    allocator = Allocator()
    live = []
    asked = asked_peak = reserved = 0
    for size, free in events:
        live.append((allocator.allocate(size), size))
        asked += size
        asked_peak = max(asked_peak, asked)
        assert allocator.reserved >= reserved, "nothing is given back unasked"
        reserved = allocator.reserved
        assert asked <= allocator.allocated <= allocator.in_use <= allocator.reserved
        taken = sorted((block.address, block.address + block.size) for block, _ in live)
        assert all(first[1] <= second[0] for first, second in pairwise(taken)), "none overlap"
        if free < len(live) and free < 6:
            block, size = live.pop(free)
            allocator.release(block)
            asked -= size
    assert allocator.reserved_peak >= allocator.in_use_peak >= allocator.allocated_peak >= asked_peak
    for block, _ in live:
        allocator.release(block)
    assert allocator.allocated == allocator.in_use == 0
    allocator.empty_cache()
    assert allocator.reserved == 0, "what was split has joined again"
