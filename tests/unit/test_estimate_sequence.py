"""A forward pass's allocations: what a layer leaves, and what it holds at most."""

from dataclasses import replace

import pytest

from wattmark.estimate.allocator import Allocator
from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import MIB
from wattmark.estimate.sequence import Cache, Layers, Memory
from wattmark.models import Norm, Stack

BF16 = Formats(2, 2)
TOKENS = 1024
HIDDEN = TOKENS * 1024 * 2
LLAMA = Stack(
    layers=2,
    hidden=1024,
    heads=16,
    kv_heads=4,
    head_dim=64,
    intermediate=4096,
    norm=Norm.RMS,
    causal=True,
    activation="silu",
    gated=True,
    rotary=True,
)
GPT2 = replace(
    LLAMA,
    kv_heads=16,
    norm=Norm.LAYER,
    activation="gelu_new",
    gated=False,
    rotary=False,
    fused_projections=True,
    holds_attended=True,
)
BERT = replace(LLAMA, kv_heads=16, norm=Norm.LAYER, causal=False, activation="gelu", gated=False, rotary=False)
BERT = replace(BERT, post_norms=True)


def run(stack: Stack, layers: int = 1, scratch: int = 0) -> Allocator:
    memory = Memory(Allocator())
    whole = Layers(memory, stack, BF16, TOKENS, TOKENS, Cache(memory), scratch=scratch)
    embedded = given = memory.take(whole.hidden)
    for _ in range(layers):
        given = whole.layer(given, last_use=given is not embedded)
    return memory.allocator


@pytest.mark.parametrize(
    ("stack", "kept"),
    [
        pytest.param(LLAMA, 2 * HIDDEN // 4, id="a decoder's layer leaves keys and values of grouped heads"),
        pytest.param(GPT2, 2 * HIDDEN, id="of all heads, where each has its own"),
        pytest.param(replace(GPT2, parallel=True, holds_attended=False, rotary=True), 2 * HIDDEN, id="side by side"),
        pytest.param(replace(LLAMA, fused_gate=True), 2 * HIDDEN // 4, id="with gate and up of one matrix"),
        pytest.param(replace(LLAMA, query_key_norms=True), 2 * HIDDEN // 4, id="with normalized heads"),
        pytest.param(BERT, 0, id="an encoder's layer nothing"),
    ],
)
def test_what_a_layer_leaves(stack: Stack, kept: int) -> None:
    once, twice = run(stack, 1), run(stack, 2)
    assert once.allocated == 2 * HIDDEN + kept
    assert twice.allocated == 2 * HIDDEN + 2 * kept


@pytest.mark.parametrize(
    ("stack", "widths"),
    [
        # In hidden states; a feed-forward part is four wide.
        pytest.param(LLAMA, 1 + 0.5 + 1 + 1 + 3 * 4, id="behind a gate: what both gave, and their product"),
        pytest.param(GPT2, 1 + 2 + 1 + 1 + 1 + 4 * 4, id="of GELU by a tanh: input, half, and two steps"),
        pytest.param(BERT, 1 + 1 + 2 * 4, id="of one kernel: input and result"),
    ],
)
def test_what_a_layer_holds_at_most(stack: Stack, widths: float) -> None:
    assert run(stack).allocated_peak == widths * HIDDEN


def test_a_workspace_comes_with_the_first_product_and_stays() -> None:
    assert run(BERT, 2, scratch=8 * MIB).allocated == run(BERT, 2).allocated + 8 * MIB


def test_a_cache_that_grows_is_there_twice_for_a_moment_layer_by_layer() -> None:
    memory = Memory(Allocator())
    cache = Cache(memory)
    for layer in range(3):
        cache.write(layer, 30 * MIB)
    assert memory.allocator.allocated == 6 * 30 * MIB
    for layer in range(3):
        cache.write(layer, 32 * MIB)
    assert memory.allocator.allocated == 6 * 32 * MIB
    assert memory.allocator.allocated_peak == 6 * 32 * MIB + 30 * MIB


def test_a_later_layer_writes_into_its_own_part_of_the_cache() -> None:
    memory = Memory(Allocator())
    cache = Cache(memory)
    for layer in range(2):
        cache.write(layer, 4 * MIB)
    last = Layers(memory, LLAMA, BF16, 1, 4 * TOKENS, cache, first=1)
    memory.drop(last.layer(memory.take(last.hidden), last_use=True))
    assert memory.allocator.allocated == 2 * 4 * MIB + 2 * 4 * TOKENS * 256 * 2
