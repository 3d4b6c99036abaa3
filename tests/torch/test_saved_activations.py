"""The closed form of what a forward pass saves for the backward pass, against what autograd really keeps."""

import copy
import logging
from typing import Any

import pytest

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.order import Resolved, ResolvedInput
from wattmark.api.workload import Attention, Optimizer, Precision, Weights, WorkloadType
from wattmark.estimate import Question, Unknown, phases
from wattmark.models import Architecture, Modality, architecture, head_for

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
logging.getLogger("transformers").setLevel(logging.ERROR)

IMPLEMENTATIONS = {Attention.EAGER: "eager", Attention.AUTO: None}
BATCH, TOKENS, SIDE = 4, 96, 64
SIZES = {
    "num_hidden_layers": 4,
    "hidden_size": 128,
    "num_attention_heads": 4,
    "intermediate_size": 384,
    "vocab_size": 64,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
T5 = {"num_layers": 3, "d_model": 128, "d_kv": 32, "num_heads": 4, "d_ff": 384, "vocab_size": 64,
      "decoder_start_token_id": 0, "pad_token_id": 0}  # fmt: skip

MODELS: dict[str, dict[str, Any]] = {
    "an encoder": {"model_type": "bert", **SIZES, **NO_DROPOUT},
    "an encoder with dropout": {"model_type": "bert", **SIZES, "attention_probs_dropout_prob": 0.0},
    "GPT-2": {
        "model_type": "gpt2", "n_layer": 4, "n_embd": 128, "n_head": 4, "vocab_size": 64,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    },
    "Llama with grouped heads": {"model_type": "llama", **SIZES, "num_key_value_heads": 2},
    "Qwen 3": {"model_type": "qwen3", **SIZES, "num_key_value_heads": 2, "head_dim": 32},
    "an encoder with eager attention": {"model_type": "bert", **SIZES},
    "Llama with eager attention": {"model_type": "llama", **SIZES, "num_key_value_heads": 2},
    "T5": {"model_type": "t5", **T5},
    "T5 with gates": {"model_type": "t5", **T5, "feed_forward_proj": "gated-gelu"},
    "a vision transformer": {
        "model_type": "vit", "num_hidden_layers": 4, "hidden_size": 128, "num_attention_heads": 4,
        "intermediate_size": 384, "image_size": SIDE, "patch_size": 8,
    },
    "a residual network": {
        "model_type": "resnet", "depths": [2, 2, 2, 2], "hidden_sizes": [64, 128, 256, 512], "embedding_size": 32,
    },
    "a basic residual network": {
        "model_type": "resnet", "depths": [2, 2], "hidden_sizes": [32, 64], "embedding_size": 32, "layer_type": "basic",
    },
}  # fmt: skip


def question(read: Architecture, precision: Precision, attention: Attention) -> Question:
    text = read.modality is Modality.TEXT
    sample = ResolvedInput(input_tokens=TOKENS) if text else ResolvedInput(height_pixels=SIDE, width_pixels=SIDE)
    resolved = Resolved(
        workload=WorkloadType.TRAINING,
        batch_size_per_device=BATCH,
        input=sample,
        optimizer=Optimizer.ADAMW,
        precision=precision,
        attention=attention,
    )
    return Question(read, resolved, Weights.RANDOM, on_gpu=False)


def predicted(asked: Question) -> int:
    """Bytes at the end of the forward pass, less the weights and the optimizer's states."""
    every = phases(asked)
    assert not isinstance(every, Unknown)
    forward = next(phase for phase in every if phase.phase is Phase.FORWARD)
    kept = (ComponentName.ACTIVATIONS, ComponentName.AUTOCAST_COPIES)
    return sum(part.size.likely for part in forward.parts if part.name in kept)


def really_saved(config: dict[str, Any], read: Architecture, precision: Precision, attention: Attention) -> int:
    """Bytes of the unique storages that autograd packs, parameters apart."""
    options = copy.deepcopy(config)
    own = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
    auto = getattr(transformers, head_for(read, WorkloadType.TRAINING).value)
    dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    model = auto.from_config(own, dtype=dtype, attn_implementation=IMPLEMENTATIONS[attention]).train()
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Any] = {}

    def pack(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage
        return tensor

    if read.modality is Modality.TEXT:
        inputs = {"input_ids": torch.randint(0, 64, (BATCH, TOKENS))}
        labels = inputs["input_ids"] if read.decoder else torch.zeros(BATCH, dtype=torch.long)
    else:
        inputs = {"pixel_values": torch.randn(BATCH, 3, SIDE, SIDE, dtype=dtype)}
        labels = torch.zeros(BATCH, dtype=torch.long)
    if read.decoder:
        inputs["use_cache"] = False  # as the runner trains
    with (
        torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=precision is Precision.BF16_MIXED),
    ):
        loss = model(**inputs, labels=labels).loss
    size: int = sum(storage.nbytes() for storage in kept.values())
    del loss
    return size


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16, Precision.BF16_MIXED])
@pytest.mark.parametrize("name", MODELS)
def test_the_closed_form_is_what_autograd_keeps(name: str, precision: Precision) -> None:
    read = architecture(MODELS[name])
    assert isinstance(read, Architecture), read
    attention = Attention.EAGER if "eager" in name or "T5" in name else Attention.AUTO
    measured = really_saved(MODELS[name], read, precision, attention)
    likely = predicted(question(read, precision, attention))
    print(f"{name:26} {precision.value:11} measured {measured:>11} predicted {likely:>11} {likely / measured - 1:+.1%}")
    assert abs(likely / measured - 1) < 0.05
