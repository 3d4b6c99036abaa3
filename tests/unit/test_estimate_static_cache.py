"""A cache of fixed length is there in full from the first pass on."""

import pytest

from wattmark.api.answers import ComponentName, Need, Phase
from wattmark.api.model import Weights
from wattmark.api.runtime import Attention, Precision, RuntimeSpec
from wattmark.api.workload import Cache, WorkloadSpec
from wattmark.estimate import Gpu, Question, need
from wattmark.estimate.inference import phases
from wattmark.models import Architecture, architecture, lookup
from wattmark.models.resolve import Impossible, resolve

GPU = Gpu((8, 0))


def question(name: str, cache: Cache, output: int, attention: Attention = Attention.AUTO) -> Question:
    model = lookup(name)
    assert model is not None
    read = architecture(model.config)
    assert isinstance(read, Architecture)
    shape = {"cache": cache, "batchSizePerDevice": 4, "input": {"text": {"inputTokens": 1024, "outputTokens": output}}}
    spec = WorkloadSpec.model_validate({"type": "Inference", "inference": shape})
    resolved = resolve(read, spec, RuntimeSpec(precision=Precision.BF16, attention=attention), 1)
    assert not isinstance(resolved, Impossible), resolved
    return Question(read, resolved, Weights.RANDOM, on_gpu=True)


def cached(asked: Question, phase: Phase) -> int:
    parts = (part for found in phases(asked) if found.phase is phase for part in found.parts)
    return next(part.size.likely for part in parts if part.name is ComponentName.KV_CACHE)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        pytest.param("llama-3.1-8b", 2 * 4 * 32 * 1536 * 8 * 128 * 2, id="input and output in every layer"),
        pytest.param(
            "mistral-7b-v0.1", 2 * 4 * 32 * 1536 * 8 * 128 * 2, id="a window wider than both makes no difference"
        ),
        pytest.param(
            "t5-base", 2 * 4 * 12 * (512 + 1024) * 768 * 2, id="output and input apart, in self- and cross-attention"
        ),
    ],
)
def test_it_is_as_large_in_prefill_as_at_the_end(name: str, size: int) -> None:
    asked = question(name, Cache.STATIC, 512)
    assert cached(asked, Phase.PREFILL) == cached(asked, Phase.DECODE) == size


def test_a_window_is_all_that_its_layers_keep() -> None:
    asked = question("gemma-2-2b", Cache.STATIC, 4096)
    assert cached(asked, Phase.PREFILL) == 2 * 4 * 13 * (5120 + 4096) * 4 * 256 * 2


def test_it_is_not_copied_as_it_grows() -> None:
    grows, fixed = (
        next(found for found in phases(question("llama-3.1-8b", cache, 512)) if found.phase is Phase.DECODE)
        for cache in (Cache.DYNAMIC, Cache.STATIC)
    )
    # The old keys, or the old values; what the layer holds beside is less.
    assert grows.allocated.likely - fixed.allocated.likely > 0.9 * 4 * 1536 * 8 * 128 * 2


@pytest.mark.parametrize(
    ("name", "tokens", "masked"),
    [
        pytest.param("llama-3.1-8b", 512, 0, id="none where the cache is still empty"),
        # The mask in fp32 and 16 bits, repeated keys and values; in the feed-forward part its widths take their place.
        # And booleans, once for the batch.
        pytest.param(
            "mistral-7b-v0.1",
            4096,
            4 * (1024 * 5120 * (4 + 2) + 2 * 5120 * 4096 * 2 - 1024 * 3 * 14336 * 2) + 1024 * 5120,
            id="that of a window",
        ),
    ],
)
def test_the_mask_of_the_first_pass(name: str, tokens: int, masked: int) -> None:
    grown, fixed = (
        next(part.size.likely for part in found.parts if part.name is ComponentName.ACTIVATIONS)
        for cache in (Cache.DYNAMIC, Cache.STATIC)
        for found in phases(question(name, cache, tokens))[1:2]
    )
    assert fixed - grown == masked


def test_the_whole_is_known() -> None:
    asked = question("t5-base", Cache.STATIC, 64)
    assert isinstance(need(asked.architecture, asked.resolved, Weights.RANDOM, GPU), Need)
