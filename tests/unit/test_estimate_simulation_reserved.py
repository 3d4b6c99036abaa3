"""Reserved memory by simulation: where there is one, and what it says. `tests/torch` compares it with traces."""

from typing import Any

import pytest
from tests.unit.test_estimate_need import asked, known

from wattmark.api.model import Weights
from wattmark.api.runtime import Attention, QuantizationSpec, QuantizationType
from wattmark.api.workload import Cache, WorkloadType
from wattmark.estimate import Gpu, Question, need
from wattmark.estimate.device import scratch_bytes
from wattmark.estimate.parts import Unknown
from wattmark.estimate.simulation.allocator import DeviceFullError
from wattmark.estimate.simulation.reserved import PARTS, least, reserved
from wattmark.estimate.simulation.reserved import simulated as run

GPU = Gpu((8, 0))
PREFILL = {"inputTokens": 512, "outputTokens": 0}
TRAINING = {"workload": WorkloadType.TRAINING}


def simulated(
    model: str, changes: dict[str, Any] | None = None, weights: Weights = Weights.RANDOM, **shape: Any
) -> int | None:
    read = known(model)
    workload = shape.pop("workload", WorkloadType.INFERENCE)
    resolved = asked(read, workload, **shape).model_copy(update=changes or {})
    found = reserved(Question(read, resolved, weights, on_gpu=True), scratch_bytes(GPU))
    assert found is None or found.in_use_bytes <= found.reserved_bytes
    return None if found is None else found.reserved_bytes


@pytest.mark.parametrize(
    ("model", "shape", "near"),
    [
        pytest.param("gpt2-xl", {"batchSizePerDevice": 8}, 0.0, id="a generation, whose caches free as they grow"),
        pytest.param(
            "llama-3.2-1b", {"workload": WorkloadType.TRAINING, "optimizer": "AdamW", "gradientCheckpointing": "Full",
            "lora": {"rank": 16}, "gradientAccumulationSteps": 2}, 0.0, id="a training step, computed again",
        ),
        pytest.param("google/vit-large-patch16-384", {"batchSizePerDevice": 100}, 1.0, id="images: all is needed"),
        pytest.param("bert", {"batchSizePerDevice": 1}, 0.5, id="where both ends are close, nothing is looked for"),
    ],
)  # fmt: skip
def test_the_least_lies_between_what_is_in_use_and_what_is_reserved(
    model: str, shape: dict[str, Any], near: float
) -> None:
    read = known(model)
    resolved = asked(read, shape.pop("workload", WorkloadType.INFERENCE), **shape)
    question, scratch = Question(read, resolved, Weights.RANDOM, on_gpu=True), scratch_bytes(GPU)
    found = reserved(question, scratch)
    assert found is not None
    told, grain = least(question, scratch, found), found.reserved_bytes // PARTS
    assert found.in_use_bytes <= told <= found.reserved_bytes
    assert abs(told - found.in_use_bytes - near * (found.reserved_bytes - found.in_use_bytes)) <= grain
    assert run(question, scratch, told + grain // 2 + 1) is not None
    if told - grain > found.in_use_bytes:
        with pytest.raises(DeviceFullError):
            run(question, scratch, told - grain)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        pytest.param("llama-3.1-8b", PREFILL, id="a prefill with norms ahead and a cache"),
        pytest.param("qwen3-0.6b", PREFILL, id="with heads that are normalized"),
        pytest.param("microsoft/Phi-3-mini-4k-instruct", PREFILL, id="with fused matrices"),
        pytest.param("gpt2", PREFILL, id="with an activation of many steps"),
        pytest.param("pythia-160m", PREFILL, id="with both parts of a layer side by side"),
        pytest.param("bert", {}, id="an encoder with norms behind"),
        pytest.param("distilbert-base-uncased", {}, id="one that frees attention's result earlier"),
        pytest.param("roberta-base", {}, id="one whose positions are each sample's own"),
        pytest.param("vit-base", {}, id="a vision transformer"),
        pytest.param("gemma-2-2b", PREFILL, id="norms behind both parts of a layer, and capped scores"),
        pytest.param("mistralai/Mixtral-8x7B-v0.1", PREFILL, id="a mixture of experts"),
        pytest.param("Qwen/Qwen3-30B-A3B", PREFILL, id="one whose routes are lowered"),
        pytest.param("gpt-j-6b", PREFILL, id="a class without fused attention"),
        pytest.param("Salesforce/codegen-350M-mono", PREFILL, id="one with a joint matrix"),
        pytest.param("EleutherAI/gpt-neo-125m", PREFILL, id="one with masks of its own"),
        pytest.param("t5-base", PREFILL, id="an encoder-decoder"),
        pytest.param("google/flan-t5-base", PREFILL, id="with gates"),
        pytest.param("albert-base-v2", {}, id="embeddings that are projected, and layers that share weights"),
        pytest.param("mistral-7b-v0.1", PREFILL | {"inputTokens": 5000}, id="a window shorter than the input"),
        pytest.param("mistral-7b-v0.1", {"inputTokens": 4000, "outputTokens": 200}, id="or than input and output"),
    ],
)
@pytest.mark.parametrize("attention", [None, Attention.EAGER])
def test_a_forward_pass_is_simulated(model: str, shape: dict[str, Any], attention: Attention | None) -> None:
    changes = {"attention": attention} if attention and "t5" not in model else None  # T5's eager one is not followed
    few, many = (simulated(model, changes, batchSizePerDevice=size, **shape) for size in (1, 64))
    assert few is not None and many is not None
    assert 0 < few < many


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        pytest.param("llama-3.2-1b", {}, id="of a decoder with norms ahead"),
        pytest.param("gpt2", {"gradientCheckpointing": "Full"}, id="with checkpointing"),
        pytest.param("qwen3-0.6b", {"lora": {"rank": 8}}, id="with adapters"),
        pytest.param("pythia-160m", {}, id="with both parts of a layer side by side"),
        pytest.param("microsoft/Phi-3-mini-4k-instruct", {}, id="with gate and up of one matrix"),
        pytest.param("mistral-7b-v0.1", {"inputTokens": 4096}, id="with a window that is no longer than the input"),
        pytest.param("bert", {}, id="of an encoder"),
        pytest.param("distilbert-base-uncased", {"gradientCheckpointing": "Full"}, id="of one without types"),
        pytest.param("vit-base", {}, id="of a vision transformer"),
        pytest.param("gpt2", {"optimizer": "SGD", "gradientAccumulationSteps": 4}, id="with gradients accumulated"),
        pytest.param("gemma-2-2b", {}, id="with norms behind both parts, capped scores and logits"),
    ],
)
def test_a_step_of_training_is_simulated(model: str, shape: dict[str, Any]) -> None:
    few, many = (simulated(model, batchSizePerDevice=size, **TRAINING, **shape) for size in (1, 16))
    assert few is not None and many is not None
    assert 0 < few < many


def test_a_step_of_a_mixture_is_simulated() -> None:
    """Weights, gradients and states outweigh what a few more samples take."""
    found = simulated("mistralai/Mixtral-8x7B-v0.1", batchSizePerDevice=4, precision="bf16", **TRAINING)
    assert found is not None
    assert 4 < found / (46.7e9 * 2) < 5.5


@pytest.mark.parametrize(
    ("model", "changes", "shape"),
    [
        pytest.param("t5-base", {"attention": Attention.EAGER}, {}, id="eager attention with a bias"),
        pytest.param("microsoft/deberta-v3-base", {}, {}, id="positions that are attended to apart"),
        pytest.param("openai/whisper-tiny", {}, {}, id="an encoder that hears"),
        pytest.param("bert", {"attention": Attention.EAGER}, TRAINING, id="a step with eager attention"),
        pytest.param("gpt-j-6b", {}, TRAINING, id="or with scores that are given back"),
        pytest.param("gpt2", {"attention": Attention.EAGER}, TRAINING, id="or of one matrix"),
        pytest.param("albert-base-v2", {}, TRAINING, id="of layers that share their weights"),
        pytest.param("gpt2", {"cache": Cache.STATIC}, PREFILL | {"outputTokens": 8}, id="a static cache"),
        pytest.param(
            "gpt2", {"quantization": QuantizationSpec(type=QuantizationType.INT8)}, PREFILL, id="quantized matrices"
        ),
        pytest.param("resnet-50", {}, {}, id="convolutions"),
        pytest.param("t5-base", {}, TRAINING, id="a step of an encoder-decoder"),
        pytest.param("gpt2", {}, TRAINING | {"optimizer": "Adafactor"}, id="or of an optimizer of another kind"),
        pytest.param("bert", {}, {"workload": WorkloadType.ANALYSIS}, id="an analysis"),
    ],
)
def test_what_has_not_been_compared_with_a_trace_is_not_simulated(
    model: str, changes: dict[str, Any], shape: dict[str, Any]
) -> None:
    assert simulated(model, changes, **shape) is None


@pytest.mark.parametrize("model", ["gpt2", "llama-3.2-1b", "microsoft/Phi-3-mini-4k-instruct", "gemma-2-2b"])
def test_a_generation_needs_more_the_longer_it_is(model: str) -> None:
    shape = {"inputTokens": 16, "batchSizePerDevice": 64}
    few, some, many = (
        simulated(model, weights=Weights.PRETRAINED, outputTokens=tokens, **shape) for tokens in (1, 100, 900)
    )
    assert few is not None and some is not None and many is not None
    assert few < some < many
    assert many - few > 64 * 899 * cache_bytes_of_a_token(model)


def cache_bytes_of_a_token(model: str) -> int:
    decoder = known(model).decoder
    assert decoder is not None
    return 2 * 2 * decoder.layers * decoder.kv_width


def test_a_projection_that_is_initialised_before_it_is_tied_is_there_twice() -> None:
    drawn, read = (simulated("qwen2.5-7b", batchSizePerDevice=1, **PREFILL, weights=w) for w in Weights)
    assert drawn == read  # Qwen 2.5 7B ties nothing
    drawn, read = (
        simulated("qwen2.5-1.5b", batchSizePerDevice=1, inputTokens=16, outputTokens=0, weights=w) for w in Weights
    )
    assert drawn is not None and read is not None
    assert 0.9 * 151_936 * 1536 * 2 < drawn - read < 1.1 * 151_936 * 1536 * 2


@pytest.mark.parametrize("model", ["bert", "llama-3.1-8b", "vit-base"])
@pytest.mark.parametrize("batch", [1, 3, 16, 100])
def test_reserved_lies_in_the_interval_around_it(model: str, batch: int) -> None:
    read = known(model)
    shape = {} if model == "vit-base" else {"inputTokens": 512}
    resolved = asked(read, batchSizePerDevice=batch, **shape, **({"outputTokens": 0} if read.decoder else {}))
    found = need(read, resolved, Weights.RANDOM, GPU)
    assert not isinstance(found, Unknown) and found.reserved_bytes is not None
    said = simulated(model, batchSizePerDevice=batch, **shape, **({"outputTokens": 0} if read.decoder else {}))
    assert said is not None
    assert found.reserved_bytes.low <= said <= found.reserved_bytes.high
    assert found.reserved_bytes.likely == pytest.approx(max(said, found.allocated_bytes.likely), rel=0.001)
