"""Tensors that stay while layers run: caches that grow, and tables of positions."""

from dataclasses import replace

import pytest
from tests.unit.test_estimate_simulation_forward_layer import LLAMA

from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.allocator import Allocator
from wattmark.estimate.simulation.sequence import Cache, Memory, tables

STACK = replace(LLAMA, layers=3)


@pytest.mark.parametrize(
    ("windows", "peak"),
    [
        pytest.param(0, 6 * 32 + 30, id="keys or values at a time"),
        pytest.param(3, 6 * 32 + 2 * 30, id="both, where layers have a window"),
        pytest.param(2, 4 * 32 + 4 * 30, id="of the second layer, where the third has none"),
    ],
)
def test_a_cache_that_grows_is_there_twice_for_a_moment_layer_by_layer(windows: int, peak: int) -> None:
    memory = Memory(Allocator())
    cache = Cache(memory, replace(STACK, window_layers=windows))
    for layer in range(3):
        cache.write(layer, 30 * MIB)
    assert memory.allocator.allocated == 6 * 30 * MIB
    for layer in range(3):
        cache.write(layer, 32 * MIB)
    assert memory.allocator.allocated == 6 * 32 * MIB
    assert memory.allocator.allocated_peak == peak * MIB


def test_what_does_not_grow_is_freed_with_the_rest() -> None:
    memory = Memory(Allocator())
    cache = Cache(memory, STACK)
    cache.write(0, 30 * MIB)
    cache.add(8 * MIB)
    assert memory.allocator.allocated == 76 * MIB
    cache.clear()
    assert memory.allocator.allocated == 0


@pytest.mark.parametrize(("size", "copies"), [pytest.param(2, 2, id="lowered"), pytest.param(4, 0, id="as they are")])
def test_tables_are_computed_in_fp32(size: int, copies: int) -> None:
    memory = Memory(Allocator())
    made = tables(memory, replace(STACK, rotary_dim=32), Formats(size, size), 64 * 1024)
    table = 64 * 1024 * 32
    assert [block.size for block in made] == [table * size] * 2
    assert memory.allocator.allocated == 2 * table * size
    assert memory.allocator.allocated_peak == table * (2 + 4 + 2 * 4 + (copies * size if copies else 4))
