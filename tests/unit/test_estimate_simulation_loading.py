"""What loading takes beyond the parameters themselves: the rests of blocks."""

from typing import Any

import pytest
from tests.unit.test_estimate_need import NF4, asked, known, stored

from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.parallelism import ParallelismType
from wattmark.api.runtime import Precision
from wattmark.estimate import Question
from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.loading import rests_of_blocks
from wattmark.estimate.tensors import Units, units


def question(name: str, precision: Precision = Precision.BF16, **changes: Any) -> Question:
    read = known(name)
    resolved: Resolved = asked(read, precision=precision).model_copy(update=changes)
    return Question(read, resolved, Weights.RANDOM, on_gpu=True)


RESTS = [
    pytest.param("llama-3.1-8b", Precision.BF16, 0, 0.0001, id="matrices of whole MiB leave nothing"),
    pytest.param("bert-base-uncased", Precision.BF16, 0.03, 0.04, id="17 of 1.125 MiB in a segment of 20, one takes 2"),
    pytest.param("bert-base-uncased", Precision.FP32, 0, 0.01, id="8 of 2.25 MiB, and room for another's half"),
    pytest.param("resnet-50", Precision.BF16, 0, 0, id="convolutions are not put one by one"),
]


@pytest.mark.parametrize(("name", "precision", "least", "most"), RESTS)
def test_rests_are_a_share_of_the_weights(name: str, precision: Precision, least: float, most: float) -> None:
    asked_for = question(name, precision)
    share = rests_of_blocks(asked_for) / (asked_for.count.total * asked_for.formats.weight)
    assert least <= share <= most


@pytest.mark.parametrize("name", ["gpt2", "t5-base", "vit-base", "mixtral-8x7b", "gpt-neo-125m", "albert-base-v2"])
def test_no_block_has_a_rest_of_a_mebibyte(name: str) -> None:
    asked_for = question(name)
    found = units(asked_for, shared=True)
    assert isinstance(found, Units)
    # A table of each layer has as small a rest as a parameter.
    blocks = sum(tensor.count for tensor in found.every) + sum(stack.layers for stack in asked_for.stacks)
    assert 0 <= rests_of_blocks(asked_for) <= blocks * (MIB + 512)


def test_what_is_quantized_or_divided_has_none() -> None:
    whole = question("bert-base-uncased")
    quantized = Question(whole.architecture, stored(whole.resolved, NF4), Weights.RANDOM, on_gpu=True)
    divided = question("bert-base-uncased", parallelism=ParallelismType.FSDP, devices=2)
    assert rests_of_blocks(whole) > 0 == rests_of_blocks(quantized) == rests_of_blocks(divided)
