"""A forward pass's allocations: what a layer leaves, and what it holds at most."""

from dataclasses import replace

import pytest

from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.allocator import Allocator
from wattmark.estimate.simulation.forward_layer import ForwardLayers
from wattmark.estimate.simulation.sequence import Cache, Memory
from wattmark.estimate.transformer import Pass
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


def run(stack: Stack, layers: int = 1, scratch: int = 0, *, eager: bool = False) -> Allocator:
    memory = Memory(Allocator())
    through = Pass(TOKENS, TOKENS, eager=eager, cached=stack.causal)
    whole = ForwardLayers(memory, stack, BF16, 1, through, Cache(memory, stack), scratch=scratch)
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


def test_a_later_step_writes_into_its_own_part_of_the_cache() -> None:
    memory = Memory(Allocator())
    cache = Cache(memory, LLAMA)
    for layer in range(2):
        cache.write(layer, 4 * MIB)
    step = ForwardLayers(memory, LLAMA, BF16, 1, Pass(1, 4 * TOKENS, cached=True), cache)
    step.grow()
    memory.drop(step.layer(memory.take(step.hidden), last_use=True))
    assert memory.allocator.allocated == 4 * 4 * TOKENS * 256 * 2


@pytest.mark.parametrize(
    ("stack", "kept"),
    [
        pytest.param(LLAMA, 2 * HIDDEN // 4, id="of a decoder"),
        pytest.param(
            replace(LLAMA, norms_behind=True, capped_scores=True, norm=Norm.GEMMA), 2 * HIDDEN // 4, id="capped"
        ),
        pytest.param(GPT2, 2 * HIDDEN, id="of one with a joint matrix"),
        pytest.param(BERT, 0, id="of an encoder"),
    ],
)
def test_eager_attention_holds_scores_twice_and_leaves_none(stack: Stack, kept: int) -> None:
    scores = 16 * TOKENS * TOKENS * 2
    assert run(stack, 2, eager=True).allocated == 2 * HIDDEN + 2 * kept
    assert run(stack, eager=True).allocated_peak >= 2 * scores


@pytest.mark.parametrize("joint", [False, True])
def test_scores_that_are_given_back_outlive_their_layer_by_one(joint: bool) -> None:
    stack = replace(LLAMA, kv_heads=16, norm=Norm.LAYER, gated=False, parallel=True, shared_norm=True)
    stack = replace(stack, fp32_scores=True, fp32_softmax=True, returns_scores=True, fused_projections=joint)
    scores = 16 * TOKENS * TOKENS * 2
    for layers in (1, 2):
        assert run(stack, layers, eager=True).allocated == 2 * HIDDEN + layers * 2 * HIDDEN + scores


@pytest.mark.parametrize(("fp32_routes", "size"), [(True, 4), (False, 2)])
def test_experts_hold_what_they_are_given_give_and_weigh(fp32_routes: bool, size: int) -> None:
    stack = replace(LLAMA, fused_gate=True, experts=8, experts_per_token=2, fp32_routes=fp32_routes)
    routes = 2 * HIDDEN // 2  # elements
    assert run(stack, 2).allocated == 2 * HIDDEN + 2 * 2 * HIDDEN // 4
    assert run(stack).allocated_peak > routes * (2 + 2 + 2 * size) + 3 * HIDDEN
