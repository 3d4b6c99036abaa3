"""What a training step holds of activations at each of its moments, by counts made by hand."""

from typing import Any

import pytest

from wattmark.api.model import Weights
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Question
from wattmark.estimate.moments import of_layers
from wattmark.models import Architecture, architecture, lookup
from wattmark.models.resolve import Impossible, resolve

BATCH, TOKENS = 2, 64
FULL = {"gradientCheckpointing": "Full"}
LORA = {"lora": {"rank": 8}}


def question(name: str, precision: Precision = Precision.BF16, **options: Any) -> Question:
    model = lookup(name)
    assert model is not None
    read = architecture(model.config)
    assert isinstance(read, Architecture)
    shape = {"batchSizePerDevice": BATCH, "input": {"text": {"inputTokens": TOKENS}}} | options
    spec = WorkloadSpec.model_validate({"type": "Training", "training": shape})
    resolved = resolve(read, spec, RuntimeSpec(precision=precision), 1)
    assert not isinstance(resolved, Impossible), resolved
    return Question(read, resolved, Weights.RANDOM, on_gpu=True)


LLAMA, LLAMA_LAYERS, T5 = 4096, 32, 768


def test_layers_that_are_computed_again_keep_their_inputs_and_the_last_norm_what_it_reads_and_gives() -> None:
    states = BATCH * TOKENS * LLAMA
    # Inputs in 16 bits; of the last one an fp32 version and the normalized one; and the result for the projection.
    assert of_layers(question("llama-3.1-8b", **FULL)).forward == states * (2 * LLAMA_LAYERS + 4 + 2 + 2)


def test_a_frozen_projection_saves_nothing_and_the_norms_result_is_held_while_the_loss_is_computed() -> None:
    states = BATCH * TOKENS * LLAMA
    assert of_layers(question("llama-3.1-8b", **FULL, **LORA)).forward == states * (2 * LLAMA_LAYERS + 4 + 2)


def test_a_norm_in_python_goes_back_in_six_fp32_steps_once_what_stands_behind_it_is_gone() -> None:
    found, states = of_layers(question("llama-3.1-8b")), BATCH * TOKENS * LLAMA
    assert found.normed - found.forward == states * (6 * 4 - (4 + 2 + 2))


def test_experts_make_their_gradients_at_their_fullest_moment_unless_they_are_frozen() -> None:
    trained, frozen = (question("mixtral-8x7b", **FULL, **options) for options in ({}, LORA))
    matrix = 8 * 4096 * 14336 * 2
    assert frozen.adapters is not None and not frozen.adapters.mlp
    assert of_layers(trained).within > 3 * matrix > 6 * of_layers(frozen).within


@pytest.mark.parametrize(
    ("precision", "wide"), [pytest.param(Precision.BF16, 2, id="16 bits"), pytest.param(Precision.FP32, 4, id="fp32")]
)
def test_t5_gives_position_biases_to_every_layer_to_be_computed_again(precision: Precision, wide: int) -> None:
    long, short = (
        of_layers(question("t5-base", precision, **FULL, input={"text": {"inputTokens": tokens}})).forward
        for tokens in (128, TOKENS)
    )
    # Two stacks' own, and the zeros of cross-attention; all else grows with the tokens.
    assert long - 2 * short == 12 * (128**2 - 2 * TOKENS**2) * 3 * wide
