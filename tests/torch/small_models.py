"""Small models of every family, whose memory the closed forms are compared with."""

import copy
import logging
from typing import Any

import pytest

from wattmark.api.runtime import Attention
from wattmark.models import Head

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
logging.getLogger("transformers").setLevel(logging.ERROR)

SIDE = 64  # pixels
IMPLEMENTATIONS = {Attention.EAGER: "eager", Attention.AUTO: None}
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
    "ALBERT": {"model_type": "albert", **SIZES, "embedding_size": 32},
    "GPT-2": {
        "model_type": "gpt2", "n_layer": 4, "n_embd": 128, "n_head": 4, "vocab_size": 64,
        "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    },
    "Llama with grouped heads": {"model_type": "llama", **SIZES, "num_key_value_heads": 2},
    "Qwen 3": {"model_type": "qwen3", **SIZES, "num_key_value_heads": 2, "head_dim": 32},
    "GPT-Neo": {
        "model_type": "gpt_neo", "num_layers": 4, "hidden_size": 128, "num_heads": 4, "vocab_size": 64,
        "attention_types": [[["global", "local"], 2]], "max_position_embeddings": 256,
    },
    "GPT-J": {
        "model_type": "gptj", "n_layer": 4, "n_embd": 128, "n_head": 4, "vocab_size": 64, "n_positions": 256,
        "rotary_dim": 8,
    },
    "CodeGen": {
        "model_type": "codegen", "n_layer": 4, "n_embd": 128, "n_head": 4, "vocab_size": 64, "n_positions": 256,
        "n_ctx": 256, "rotary_dim": 8,
    },
    "GPT-NeoX": {"model_type": "gpt_neox", **SIZES},
    "GPT-NeoX with eager attention": {"model_type": "gpt_neox", **SIZES},
    "GPT-NeoX with a slow activation": {"model_type": "gpt_neox", **SIZES, "hidden_act": "gelu_fast"},
    "GPT-NeoX with parts in turn": {"model_type": "gpt_neox", **SIZES, "use_parallel_residual": False},
    "Phi-3": {"model_type": "phi3", **SIZES, "num_key_value_heads": 2, "pad_token_id": 0},
    "Gemma 2": {"model_type": "gemma2", **SIZES, "num_key_value_heads": 2, "head_dim": 32},
    "Mixtral": {"model_type": "mixtral", **SIZES, "num_key_value_heads": 2, "num_local_experts": 4},
    "Qwen 3 with experts": {
        "model_type": "qwen3_moe", **SIZES, "num_key_value_heads": 2, "head_dim": 32, "num_experts": 8,
        "num_experts_per_tok": 2, "moe_intermediate_size": 96,
    },
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


def attention_of(name: str) -> Attention:
    """The implementation to run: a CPU's fused kernel covers no learned bias, so T5 is compared with eager."""
    return Attention.EAGER if "eager" in name or "T5" in name else Attention.AUTO


def built(config: dict[str, Any], head: Head, attention: Attention, dtype: Any) -> Any:
    """The framework's model of a configuration."""
    options = copy.deepcopy(config)
    own = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
    return getattr(transformers, head.value).from_config(
        own, dtype=dtype, attn_implementation=IMPLEMENTATIONS[attention]
    )
