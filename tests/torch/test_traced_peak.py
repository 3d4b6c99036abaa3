"""The closed form of inference against a trace of the runner's own workload, on a GPU that is not there.

Of models that hear, whose convolutions no CPU computes as a GPU does; of those that convolve each channel alone, or
attend to positions apart; and of those that read and then write.
"""

from typing import Any

import pytest
from tests.torch.test_trace import AMPERE, order, trace

from wattmark.api.answers import ComponentName, Need
from wattmark.api.model import Weights
from wattmark.api.runtime import Attention, Precision
from wattmark.estimate import need
from wattmark.models import Architecture, architecture
from wattmark.models.resolve import Impossible, resolve

WHISPER: dict[str, Any] = {
    "model_type": "whisper", "d_model": 256, "encoder_layers": 3, "decoder_layers": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 1024, "decoder_ffn_dim": 1024, "vocab_size": 1000,
    "decoder_start_token_id": 1, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2,
}  # fmt: skip
WAV2VEC2: dict[str, Any] = {
    "model_type": "wav2vec2", "num_hidden_layers": 3, "hidden_size": 256, "num_attention_heads": 4,
    "intermediate_size": 1024, "vocab_size": 32,
}  # fmt: skip
DEBERTA: dict[str, Any] = {
    "model_type": "deberta", "num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4,
    "intermediate_size": 1024, "vocab_size": 1000, "relative_attention": True, "pos_att_type": "c2p|p2c",
    "max_relative_positions": -1, "position_biased_input": False,
}  # fmt: skip
DEBERTA_V3: dict[str, Any] = DEBERTA | {
    "model_type": "deberta-v2", "position_buckets": 64, "share_att_key": True, "norm_rel_ebd": "layer_norm",
}  # fmt: skip
DEBERTA_V2 = DEBERTA_V3 | {"conv_kernel_size": 3, "share_att_key": False}
EFFICIENTNET: dict[str, Any] = {
    "model_type": "efficientnet", "image_size": 224, "width_coefficient": 1.0, "depth_coefficient": 1.0,
    "hidden_dim": 1280,
}  # fmt: skip
FLAT = {"strides": [1] * 7}
WIDE = {"conv_dim": [32] * 7, "hidden_size": 512, "intermediate_size": 2048}  # layers outweigh convolutions
SHALLOW = {"encoder_layers": 1, "decoder_layers": 12}  # the cache outweighs the encoder


T5: dict[str, Any] = {
    "model_type": "t5", "num_layers": 3, "d_model": 256, "d_kv": 64, "num_heads": 4, "d_ff": 1024, "vocab_size": 1000,
    "decoder_start_token_id": 0, "pad_token_id": 0,
}  # fmt: skip


def heard(seconds: int) -> dict[str, Any]:
    return {"audio": {"seconds": seconds}}


def seen(height: int, width: int) -> dict[str, Any]:
    return {"image": {"heightPixels": height, "widthPixels": width}}


def read(tokens: int) -> dict[str, Any]:
    return {"text": {"inputTokens": tokens}}


def written(tokens: int, **more: int) -> dict[str, Any]:
    return {"text": {"outputTokens": tokens, **more}}


def part(found: Need, name: ComponentName) -> int:
    return next((c.likely_bytes for c in found.components if c.name is name), 0)


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize(
    ("config", "batch", "sample", "attention", "cache"),
    [
        pytest.param(WHISPER, 16, written(4), Attention.AUTO, None, id="Whisper"),
        pytest.param(WHISPER, 4, written(4), Attention.EAGER, None, id="Whisper with eager attention"),
        pytest.param(WHISPER | SHALLOW, 16, written(3), Attention.AUTO, None, id="Whisper, cache above all"),
        pytest.param(WHISPER, 16, written(6), Attention.AUTO, "Static", id="Whisper with a static cache"),
        pytest.param(WAV2VEC2, 8, heard(10), Attention.AUTO, None, id="wav2vec 2.0"),
        pytest.param(WAV2VEC2, 1, heard(60), Attention.AUTO, None, id="wav2vec 2.0, a long sound"),
        pytest.param(WAV2VEC2 | WIDE, 16, heard(10), Attention.AUTO, None, id="wav2vec 2.0, layers above all"),
        pytest.param(WAV2VEC2 | WIDE, 4, heard(30), Attention.EAGER, None, id="wav2vec 2.0 with eager attention"),
        pytest.param(EFFICIENTNET, 32, seen(224, 224), Attention.AUTO, None, id="EfficientNet"),
        pytest.param(EFFICIENTNET, 16, seen(190, 320), Attention.AUTO, None, id="EfficientNet, an oblong image"),
        pytest.param(EFFICIENTNET | FLAT, 32, seen(128, 128), Attention.AUTO, None, id="EfficientNet, nothing halved"),
        pytest.param(DEBERTA, 8, read(256), Attention.AUTO, None, id="DeBERTa"),
        pytest.param(DEBERTA, 512, read(24), Attention.AUTO, None, id="DeBERTa, a few tokens"),
        pytest.param(DEBERTA_V3, 8, read(256), Attention.AUTO, None, id="DeBERTa v3"),
        pytest.param(DEBERTA_V3, 512, read(24), Attention.EAGER, None, id="DeBERTa v3, a few tokens"),
        pytest.param(DEBERTA_V2, 8, read(256), Attention.AUTO, None, id="DeBERTa v2, with a convolution"),
        pytest.param(T5, 16, written(4, inputTokens=512), Attention.AUTO, None, id="T5"),
        pytest.param(T5 | {"num_layers": 1, "num_decoder_layers": 12}, 16, written(3, inputTokens=512), Attention.AUTO,
                     None, id="T5, cache above all"),
    ],
)  # fmt: skip
def test_the_predicted_peak_is_the_traced_one(
    config: dict[str, Any], batch: int, sample: dict[str, Any], attention: Attention, cache: str | None,
    precision: Precision,
) -> None:  # fmt: skip
    shape = {"batchSizePerDevice": batch, "input": sample} | ({} if cache is None else {"cache": cache})
    told = order(config, {"type": "Inference", "inference": shape}, precision, attention)
    known = architecture(config)
    assert isinstance(known, Architecture)
    resolved = resolve(known, told.workload, told.runtime, 1)
    assert not isinstance(resolved, Impossible), resolved
    predicted, traced = need(known, resolved, Weights.RANDOM, AMPERE), trace(told, AMPERE)
    assert isinstance(predicted, Need)
    assert predicted.allocated_bytes.low <= traced.allocated_bytes.likely <= predicted.allocated_bytes.high
    # Weights are exact, and would hide what is not.
    said, true = (n.allocated_bytes.likely - part(n, ComponentName.WEIGHTS) for n in (predicted, traced))
    assert abs(said / true - 1) < 0.05, (predicted.components, traced.components)
