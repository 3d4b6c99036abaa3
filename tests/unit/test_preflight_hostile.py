"""Configurations that want to occupy the operator: each is answered or refused, at once and without an exception."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from cProfile import Profile
from typing import Any

import pytest

from wattmark import model_facts, models, preflight
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fleet.gpus import gpu_product
from wattmark.fleet.nodes import AssumedNodes

MOST_CALLS = 3_000_000  # Python functions, about a second: twice what reading the whole registry takes
GPUS = [gpu_product(name) for name in ("T4", "L4", "A100-80GB", "B200")]
FLEET = preflight.fleet((), (), [AssumedNodes(gpu, 8) for gpu in GPUS if gpu is not None])
KNOWN = {
    "llama": "meta-llama/Llama-3.1-8B",
    "mixtral": "mistralai/Mixtral-8x7B-v0.1",
    "gemma2": "google/gemma-2-9b",
    "gpt_neo": "EleutherAI/gpt-neo-1.3B",
    "bert": "bert-base-uncased",
    "t5": "t5-small",
    "whisper": "openai/whisper-tiny",
    "wav2vec2": "facebook/wav2vec2-base",
    "resnet": "microsoft/resnet-50",
    "efficientnet": "google/efficientnet-b7",
    "unet": "unet",
    "vit": "google/vit-base-patch16-224",
}
LAYERS = ("num_hidden_layers", "num_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
WIDTHS = ("hidden_size", "d_model", "intermediate_size", "d_ff", "encoder_ffn_dim", "vocab_size", "embedding_size")
CHANGES: list[Any] = [
    pytest.param(dict.fromkeys(LAYERS, 10**7), id="ten million layers"),
    pytest.param(dict.fromkeys(LAYERS, 256), id="as many layers as are read"),
    pytest.param(dict.fromkeys(WIDTHS, 2**24), id="the widest that is read"),
    pytest.param(dict.fromkeys((*WIDTHS, *LAYERS), 10**15), id="wider and deeper than that"),
    pytest.param({"depths": [2**24] * 64, "hidden_sizes": [64] * 64}, id="blocks without end"),
    pytest.param({"depths": [128] * 4, "hidden_sizes": [2**24] * 4, "embedding_size": 2**24}, id="wide blocks"),
    pytest.param({"depth_coefficient": 1e308, "width_coefficient": 1e308}, id="scaled up beyond numbers"),
    pytest.param({"depth_coefficient": 0}, id="scaled down to no blocks"),
    pytest.param({"num_local_experts": 2**24, "num_attention_heads": 2**24, "num_heads": 2**24}, id="crowds"),
    pytest.param({"conv_dim": [512] * 64, "conv_kernel": [2**24] * 64, "conv_stride": [1] * 64}, id="convolutions"),
    pytest.param({"attention_types": [[["global", "local"], 10**7]]}, id="a short way to write a long list"),
    pytest.param(
        {"block_out_channels": [2**24] * 4, "layers_per_block": 2**24, "transformer_layers_per_block": 2**24},
        id="a deep pyramid",
    ),
    pytest.param(
        {"block_out_channels": [2**24] * 4, "layers_per_block": 64, "transformer_layers_per_block": 64},
        id="as deep a pyramid as is read",
    ),
    pytest.param(
        {"max_position_embeddings": 2**24, "max_source_positions": 2**24, "sliding_window": 1}, id="long ones"
    ),
]


def _reads(model: str, changes: dict[str, Any]) -> bool:
    """Whether the model's configuration has any of what is changed."""
    known = models.lookup(KNOWN[model])
    assert known is not None
    return any(name in known.config for name in changes)


CASES: list[Any] = [
    pytest.param(model, *change.values, id=f"{model}: {change.id}")
    for model in KNOWN
    for change in CHANGES
    if _reads(model, *change.values)
]


@contextmanager
def calls() -> Iterator[list[int]]:
    """How many Python functions are called in the block: work that no other load on the machine changes."""
    made: list[int] = []
    profile = Profile(subcalls=False, builtins=False)
    with profile:
        yield made
    made.append(sum(entry.callcount for entry in profile.getstats()))


@pytest.mark.parametrize("workload", ["Inference", "Training"])
@pytest.mark.parametrize(("model", "changes"), CASES)
def test_a_hostile_configuration_is_answered_at_once(model: str, changes: dict[str, Any], workload: str) -> None:
    known = models.lookup(KNOWN[model])
    assert known is not None
    source = {"type": "Inline", "inline": {"config": json.dumps({**known.config, **changes, "id2label": None})}}
    shape = {"batchSizePerDevice": 65536}
    raw = {"model": {"id": "x", "source": source}, "workload": {"type": workload, workload.lower(): shape}}
    spec = ModelCheckSpec.read(raw)
    with calls() as made:
        answer = preflight.for_check(spec, model_facts.facts(spec.model, None), FLEET)
    assert made[0] < MOST_CALLS
    assert (answer.message and answer.refusal is not None) or answer.node_types
