"""Steps of training, simulated: what is saved, what checkpointing and adapters spare, what an optimizer keeps."""

from dataclasses import replace

import pytest
from tests.unit.test_estimate_simulation_forward_layer import BERT, GPT2, LLAMA

from wattmark.api.training import Optimizer
from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.allocator import Allocator
from wattmark.estimate.simulation.sequence import Memory
from wattmark.estimate.simulation.trained_inputs import Inputs
from wattmark.estimate.simulation.trained_parts import Shape
from wattmark.estimate.simulation.training_programs import Layer, head_programs, layer_programs
from wattmark.estimate.simulation.training_step import Steps
from wattmark.estimate.transformer import Adapters, Pass, saved
from wattmark.models import Norm, Stack

BF16, FP32, MIXED = Formats(2, 2), Formats(4, 4), Formats(4, 2)
SHAPE = Shape(4, 512)
LORA = Adapters(16, mlp=False)
WORDS = 8000
HIDDEN_BYTES = 4 * 512 * 1024 * 4  # at most


def layer(
    stack: Stack = LLAMA, formats: Formats = BF16, adapters: Adapters | None = None, shape: Shape = SHAPE
) -> Layer:
    return Layer(stack, formats, shape, adapters)


def peaks(
    stack: Stack = LLAMA,
    formats: Formats = BF16,
    adapters: Adapters | None = None,
    *,
    checkpoints: bool = False,
    accumulates: bool = False,
    optimizer: Optimizer = Optimizer.ADAMW,
    shape: Shape = SHAPE,
) -> Allocator:
    of = layer(stack, formats, adapters, shape)
    trained = (WORDS * stack.hidden * formats.weight,) * 2 if adapters is None else (MATRIX,) * stack.layers
    memory = Memory(Allocator())
    Steps(of, WORDS, False, checkpoints, accumulates, optimizer, trained).run(memory, 8_519_680)
    return memory.allocator


MATRIX = LLAMA.hidden * LLAMA.intermediate * 2


@pytest.mark.parametrize(
    ("stack", "formats", "adapters"),
    [
        pytest.param(LLAMA, BF16, None, id="a decoder with a gate"),
        pytest.param(LLAMA, FP32, None, id="in fp32, whose kernel wants keys of every head"),
        pytest.param(LLAMA, MIXED, None, id="under autocast, which casts what each matrix reads"),
        pytest.param(LLAMA, BF16, LORA, id="with adapters"),
        pytest.param(LLAMA, BF16, Adapters(16, mlp=True), id="with adapters of all matrices"),
        pytest.param(replace(LLAMA, query_key_norms=True), BF16, None, id="with heads that are normalized"),
        pytest.param(GPT2, BF16, None, id="with one matrix for query, key and value, and GELU by a tangent"),
        pytest.param(replace(GPT2, hidden_dropout=0.1), BF16, None, id="with dropout"),
        pytest.param(replace(GPT2, hidden_dropout=0.1), MIXED, None, id="with powers in fp32"),
        pytest.param(replace(GPT2, parallel=True, rotary=True, activation="gelu"), BF16, None, id="side by side"),
        pytest.param(
            replace(LLAMA, fused_projections=True, fused_gate=True), BF16, None, id="gate and up of one matrix"
        ),
        pytest.param(BERT, BF16, None, id="with norms behind"),
        pytest.param(replace(LLAMA, norms_behind=True, norm=Norm.GEMMA), FP32, None, id="behind both parts as well"),
    ],
)
def test_a_layer_saves_what_the_closed_form_says(stack: Stack, formats: Formats, adapters: Adapters | None) -> None:
    programs = layer_programs(layer(stack, formats, adapters), checkpoints=False, accumulates=False)
    copies = stack.hidden * (
        2 * stack.query_width + 2 * stack.kv_width + (3 if stack.gated else 2) * stack.intermediate
    )
    stays = sum(size for _, size in programs.brief_forward)
    expected = SHAPE.batch * saved(stack, Pass(SHAPE.length, SHAPE.length, adapters=adapters), formats)
    if formats.mixed:
        expected += copies * formats.compute
    if formats.stream < 4 and stack.norm is not Norm.LAYER:
        expected += SHAPE.tokens * stack.hidden * formats.stream  # the result; else it is what the next norm saves
    assert stays == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("formats", [BF16, FP32, MIXED], ids=["bf16", "fp32", "autocast"])
@pytest.mark.parametrize("adapters", [None, LORA], ids=["in full", "with adapters"])
@pytest.mark.parametrize("checkpoints", [False, True], ids=["saved", "computed again"])
@pytest.mark.parametrize(
    "stack",
    [LLAMA, GPT2, replace(LLAMA, fused_gate=True, experts=4, experts_per_token=2, fp32_routes=True)],
    ids=["llama", "gpt2", "experts"],
)
def test_what_a_step_leaves_is_what_the_next_one_finds(
    stack: Stack, formats: Formats, adapters: Adapters | None, checkpoints: bool
) -> None:
    few, many = (
        peaks(replace(stack, layers=count), formats, adapters, checkpoints=checkpoints, optimizer=Optimizer.SGD)
        for count in (2, 12)
    )
    # The batch and the workspaces, whose blocks may have a rest that is too small to be split off.
    assert few.allocated == pytest.approx(many.allocated, abs=2 * MIB)
    assert few.allocated_peak < many.allocated_peak <= many.reserved_peak


@pytest.mark.parametrize(
    ("inputs", "stack"),
    [
        pytest.param(
            Inputs(WORDS, 2, 512, own_positions=False, pixels=0, kernel=0), BERT, id="words, types and positions"
        ),
        pytest.param(
            Inputs(WORDS, 0, 512, own_positions=True, pixels=0, kernel=0), BERT, id="words and each sample's positions"
        ),
        pytest.param(
            Inputs(0, 0, 512, own_positions=False, pixels=50 * MIB, kernel=768 * 768),
            replace(BERT, post_norms=False),
            id="patches",
        ),
    ],
)
@pytest.mark.parametrize("checkpoints", [False, True], ids=["saved", "computed again"])
def test_a_classifier_gives_back_what_it_takes(inputs: Inputs, stack: Stack, checkpoints: bool) -> None:
    def run(layers: int) -> Allocator:
        memory = Memory(Allocator())
        of = layer(replace(stack, layers=layers))
        Steps(of, WORDS, False, checkpoints, False, Optimizer.SGD, (), inputs).run(memory, 8_519_680)
        return memory.allocator

    few, many = run(2), run(12)
    assert few.allocated == pytest.approx(many.allocated, abs=2 * MIB)
    assert few.allocated_peak < many.allocated_peak <= many.reserved_peak


def test_checkpointing_spares_what_layers_save() -> None:
    saved_ones, again = (peaks(replace(LLAMA, layers=16), checkpoints=c) for c in (False, True))
    assert again.allocated_peak < 0.6 * saved_ones.allocated_peak
    assert again.reserved_peak < 0.6 * saved_ones.reserved_peak


@pytest.mark.parametrize("formats", [BF16, FP32, MIXED], ids=["bf16", "fp32", "autocast"])
def test_eager_attention_saves_its_scores(formats: Formats) -> None:
    stack = replace(LLAMA, capped_scores=True, fp32_softmax=True)
    shape = Shape(4, 512, eager=True)
    fused, eager = (
        sum(size for _, size in layer_programs(of, checkpoints=False, accumulates=False).brief_forward)
        for of in (layer(LLAMA, formats), layer(stack, formats, shape=shape))
    )
    elements = 4 * 16 * 512 * 512
    lowered = formats.compute if formats.compute < 4 else 0  # behind the softmax
    kept = elements * (formats.compute + 4 + lowered)  # behind the tangent and the softmax
    # Keys and values for every head; a fused kernel of fp32 wants these as well.
    assert kept <= eager - fused < kept + 4 * HIDDEN_BYTES


def test_capped_logits_take_part_in_the_loss() -> None:
    plain, capped = (
        head_programs(layer(), WORDS, capped=capped, accumulates=False).forward for capped in (False, True)
    )
    assert plain == capped  # behind the layers is the last norm alone
    plain, capped = (head_programs(layer(), WORDS, capped=c, accumulates=False).ended for c in (False, True))
    assert len(capped) > len(plain)


def test_a_mask_is_there_where_a_window_hides_tokens() -> None:
    shape = Shape(4, 4096)
    plain, masked = (peaks(shape=replace(shape, masked=hidden), checkpoints=True) for hidden in (False, True))
    assert masked.allocated_peak > plain.allocated_peak


@pytest.mark.parametrize(
    ("optimizer", "states", "temporaries"),
    [
        pytest.param(Optimizer.SGD, 0, 0, id="SGD keeps nothing"),
        pytest.param(Optimizer.SGD_MOMENTUM, 1, 0, id="its momentum one state"),
        pytest.param(Optimizer.ADAMW_FUSED, 2, 0, id="AdamW in one kernel two"),
        pytest.param(Optimizer.ADAMW, 2, 1, id="AdamW as a list of operations, and roots for a moment"),
    ],
)
def test_what_an_optimizer_keeps_and_takes(optimizer: Optimizer, states: int, temporaries: int) -> None:
    tiny = Shape(1, 64)
    found = peaks(optimizer=optimizer, shape=tiny)
    matrices = 2 * WORDS * LLAMA.hidden * 2
    kept = found.allocated - peaks(optimizer=Optimizer.SGD, shape=tiny).allocated
    assert kept == pytest.approx(states * matrices, rel=0.03)
    if temporaries:
        less = peaks(optimizer=Optimizer.ADAMW_FUSED, shape=tiny)
        assert found.allocated_peak - less.allocated_peak == pytest.approx(matrices, rel=0.2)


def test_gradients_that_are_accumulated_are_there_in_the_next_pass() -> None:
    once, again = (peaks(replace(LLAMA, layers=8), accumulates=a, optimizer=Optimizer.SGD) for a in (False, True))
    assert again.allocated_peak > once.allocated_peak
    assert again.allocated == once.allocated


def test_a_deep_model_takes_little_longer_than_a_shallow_one() -> None:
    """What is followed of layers in the middle: a fifth of the events."""
    for checkpoints in (False, True):
        programs = layer_programs(layer(), checkpoints=checkpoints, accumulates=False)
        brief = len(programs.brief_forward) + len(programs.brief_backward)
        assert brief < (len(programs.forward) + len(programs.backward)) / 3
