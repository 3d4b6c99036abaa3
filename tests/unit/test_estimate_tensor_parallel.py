"""Divided matrices, heads and caches; tests/torch/test_tensor_parallel.py compares them with transformers' own."""

import pytest
from tests.unit.shared_runs import TENSOR_PARALLEL, on_each
from tests.unit.test_estimate_need import known, part

from wattmark.api.answers import ComponentName, Need
from wattmark.estimate import Unknown
from wattmark.estimate.tensor_parallel import local

LLAMA = "meta-llama/Llama-3.1-70B"


def test_matrices_and_caches_are_divided_and_norms_are_not() -> None:
    one, four = known(LLAMA), local(known(LLAMA), 4)
    before, after = ({w.name: w.elements * w.count for w in model.body} for model in (one, four))
    assert {name for name in before if before[name] == after[name]} == {"layers.norms", "norm"}
    assert all(4 * after[name] == before[name] for name in before if "norm" not in name)
    assert four.decoder and (four.decoder.heads, four.decoder.kv_heads, four.decoder.head_dim) == (16, 2, 128)


def test_each_gpu_has_its_share_and_the_batch_is_one_for_all() -> None:
    two, eight = on_each(LLAMA, 2, TENSOR_PARALLEL), on_each(LLAMA, 8, TENSOR_PARALLEL)
    assert isinstance(two, Need) and isinstance(eight, Need)
    for name in (ComponentName.WEIGHTS, ComponentName.KV_CACHE):
        assert part(two, name) == pytest.approx(4 * part(eight, name), rel=1e-3)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        pytest.param("gpt2", "known of llama, mistral, qwen2, qwen3, not of a model of type gpt2", id="another type"),
        pytest.param("Qwen/Qwen2.5-0.5B", "tied to the embeddings", id="a tied projection"),
    ],
)
def test_what_is_not_known(model: str, words: str) -> None:
    answer = on_each(model, 2, TENSOR_PARALLEL)
    assert isinstance(answer, Unknown) and words in answer.reason
