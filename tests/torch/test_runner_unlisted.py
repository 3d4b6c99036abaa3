"""Models of types that are not listed: run and traced by the classes that transformers has, and by nothing else."""

from typing import Any

import pytest
from tests.torch.brief import run
from tests.torch.test_trace import AMPERE, inference, order, part, trace, training

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.report import RunFailure
from wattmark.api.runtime import Attention, Precision
from wattmark.models import Architecture, Family, Unsupported

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from wattmark_runner import trace as runner  # noqa: E402
from wattmark_runner.failures import RunError  # noqa: E402
from wattmark_runner.unlisted import unlisted  # noqa: E402

WIDTH, WORDS, LAYERS = 256, 5000, 2
MATRICES = LAYERS * 12 * WIDTH * WIDTH  # of attention and of a feed-forward part four times as wide
OPT = {
    "model_type": "opt", "hidden_size": WIDTH, "ffn_dim": 4 * WIDTH, "num_hidden_layers": LAYERS,
    "num_attention_heads": 4, "vocab_size": WORDS, "max_position_embeddings": 512, "word_embed_proj_dim": WIDTH,
}  # fmt: skip
BLOOM = {"model_type": "bloom", "hidden_size": WIDTH, "n_layer": LAYERS, "n_head": 4, "vocab_size": WORDS}
FALCON = {
    "model_type": "falcon", "hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 4,
    "vocab_size": WORDS, "multi_query": False, "new_decoder_architecture": False,
    "auto_map": {"AutoModelForCausalLM": "modeling_falcon.FalconForCausalLM"},
}  # fmt: skip
MEMBERS = {"OPT": OPT, "BLOOM": BLOOM, "Falcon, without the code it names": FALCON}


@pytest.mark.parametrize("name", MEMBERS)
def test_a_generation_is_traced(name: str) -> None:
    found = trace(order(MEMBERS[name], inference()), AMPERE)
    assert found.peak_phase is Phase.PREFILL
    assert 1 <= part(found, ComponentName.WEIGHTS) / (2 * (MATRICES + WORDS * WIDTH)) < 1.1
    assert part(found, ComponentName.KV_CACHE) == 2 * LAYERS * 4 * 256 * WIDTH * 2


@pytest.mark.parametrize("name", MEMBERS)
def test_a_training_step_is_traced(name: str) -> None:
    found = trace(order(MEMBERS[name], training(), Precision.BF16_MIXED), AMPERE)
    weights = part(found, ComponentName.WEIGHTS)
    assert 1 <= weights / (4 * (MATRICES + WORDS * WIDTH)) < 1.1
    assert 1.9 < part(found, ComponentName.OPTIMIZER) / weights < 2.1


@pytest.mark.parametrize("name", MEMBERS)
def test_it_is_run(name: str) -> None:
    report = run(order(MEMBERS[name], inference(16, 2, 1), Precision.FP32).model_copy(update={"gpus": 0}))
    assert report.failure is None, report.failure


SEEING = {
    "DeiT": {"model_type": "deit", "hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 3,
             "intermediate_size": 768, "image_size": 64},
    "Swin": {"model_type": "swin", "embed_dim": 32, "depths": [1, 1], "num_heads": [2, 4], "image_size": 64,
             "window_size": 4},
    "RegNet": {"model_type": "regnet", "hidden_sizes": [32, 64], "depths": [1, 1], "groups_width": 8},
}  # fmt: skip


@pytest.mark.parametrize("kind", ["Inference", "Training"])
@pytest.mark.parametrize("name", SEEING)
def test_a_classifier_of_images_is_traced(name: str, kind: str) -> None:
    told = order(SEEING[name], {"type": kind, kind.lower(): {"batchSizePerDevice": 2}}, Precision.FP32)
    found = runner.trace(told, ((8, 0),))
    assert found.convolutional == (name == "RegNet")
    assert found.resolved.input.height_pixels == (224 if name == "RegNet" else 64)
    assert found.memory[0].weights_bytes >= 4 * found.parameter_count


@pytest.mark.parametrize(
    ("config", "family"),
    [
        pytest.param({"model_type": "bart"}, Family.ENCODER_DECODER, id="two sides, and no class named"),
        pytest.param(
            {"model_type": "bart", "architectures": ["BartForCausalLM"]}, Family.DECODER, id="the class that is named"
        ),
        pytest.param({"model_type": "electra"}, Family.ENCODER, id="a class for either, and no flag"),
        pytest.param({"model_type": "electra", "is_decoder": True}, Family.DECODER, id="the flag"),
        pytest.param({"model_type": "opt"}, Family.DECODER, id="the only class"),
    ],
)
def test_the_class_tells_how_it_is_run(config: dict[str, Any], family: Family) -> None:
    found = unlisted(config)
    assert isinstance(found, Architecture) and found.family is family
    assert found.unmodelled


@pytest.mark.parametrize(
    ("config", "words"),
    [
        pytest.param({"model_type": "nonesuch"}, "no type that this release of transformers knows", id="not known"),
        pytest.param({"model_type": "clip"}, "no class of it for text or images alone", id="text and images"),
        pytest.param({"model_type": "opt", "num_hidden_layers": "x"}, "num_hidden_layers", id="no number"),
        pytest.param({"model_type": "opt", "num_hidden_layers": 10**9}, "at most 512", id="too deep"),
        pytest.param({"model_type": "opt", "quantization_config": {"bits": 4}}, "quantized", id="quantized"),
    ],
)
def test_what_is_not_known_is_refused(config: dict[str, Any], words: str) -> None:
    found = unlisted(config)
    assert isinstance(found, Unsupported) and words in str(found)


@pytest.mark.parametrize(
    ("workload", "attention", "words"),
    [
        pytest.param(inference(4, 0, 1), Attention.SDPA, "attention SDPA: .* use Auto or Eager", id="fused attention"),
        pytest.param(
            {"type": "Training", "training": {"gradientCheckpointing": "Full"}},
            Attention.AUTO,
            "gradientCheckpointing Full: .* remove it",
            id="checkpointing",
        ),
    ],
)
def test_what_its_class_cannot_do_is_refused_by_the_fields_name(
    workload: dict[str, Any], attention: Attention, words: str
) -> None:
    xlnet = {"model_type": "xlnet", "d_model": 64, "n_layer": 1, "n_head": 2, "d_inner": 64, "vocab_size": 100}
    with pytest.raises(RunError, match=words) as raised:
        trace(order(xlnet, workload, Precision.FP32, attention), AMPERE)
    assert raised.value.reason is RunFailure.INVALID_ORDER


def test_a_model_without_a_cache_generates_nothing() -> None:
    mamba = {"model_type": "mamba", "hidden_size": 64, "num_hidden_layers": 1, "vocab_size": 100}
    with pytest.raises(RunError, match="set it to 0") as raised:
        trace(order(mamba, inference(4, 2, 1)), AMPERE)
    assert raised.value.reason is RunFailure.INVALID_ORDER
