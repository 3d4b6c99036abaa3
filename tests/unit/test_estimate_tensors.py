"""A model's parameters one by one; tests/torch/test_fsdp.py compares their shards with the framework's."""

import pytest
from tests.unit.shared_runs import FSDP, asked_on_each
from tests.unit.test_estimate_need import known

from wattmark.estimate import Unknown
from wattmark.estimate.tensors import Tensor, Units, units
from wattmark.models import known_ids


def found(model: str, **shape: object) -> Units:
    answer = units(asked_on_each(model, 8, FSDP, **shape))
    assert isinstance(answer, Units), answer
    return answer


DIVIDED = [name for name in known_ids() if not isinstance(units(asked_on_each(name, 8, FSDP)), Unknown)]


@pytest.mark.parametrize("model", DIVIDED)
def test_none_is_missing_and_none_there_twice(model: str) -> None:
    every = found(model).every
    assert sum(tensor.elements * tensor.count for tensor in every) == asked_on_each(model, 8, FSDP).count.total


def test_most_models_are_known_tensor_by_tensor() -> None:
    unknown = {known(name).model_type for name in known_ids()} - {known(name).model_type for name in DIVIDED}
    assert unknown == {"UNet2DConditionModel", "albert", "efficientnet", "resnet", "wav2vec2", "whisper"}


@pytest.mark.parametrize(
    ("model", "tensor"),
    [
        pytest.param("gpt2", Tensor(768, 3 * 768), id="GPT-2's matrices stand on their side, three of them as one"),
        pytest.param("microsoft/Phi-3-mini-4k-instruct", Tensor(16384, 3072), id="gate and up as one"),
        pytest.param("mistralai/Mixtral-8x7B-v0.1", Tensor(8, 2 * 14336 * 4096), id="a layer's experts as one"),
        pytest.param("EleutherAI/gpt-neox-20b", Tensor(3 * 6144, 6144), id="query, key and value as one"),
        pytest.param("meta-llama/Llama-3.1-8B", Tensor(14336, 4096, 2), id="gate and up as two"),
    ],
)
def test_what_is_one_tensor_in_a_layer(model: str, tensor: Tensor) -> None:
    ((_, layer),) = found(model).layers
    assert tensor in layer


def test_rows_that_do_not_divide_are_rounded_up() -> None:
    assert [Tensor(9, 5).shard(n) for n in (1, 2, 4, 16)] == [45, 25, 15, 5]


def test_of_a_model_with_adapters_these_alone_are_trained() -> None:
    every = found("meta-llama/Llama-3.1-8B", lora={}).every
    question = asked_on_each("meta-llama/Llama-3.1-8B", 8, FSDP, lora={})
    assert sum(t.elements * t.count for t in every if t.trained) == question.trained_elements
    assert sum(t.elements * t.count for t in every if not t.trained) == question.count.total
