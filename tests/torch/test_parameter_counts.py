"""The closed forms against the framework's own model, built on the meta device: no memory, no time."""

import copy
import logging
from pathlib import Path
from typing import Any

import pytest

from wattmark.api.workload import WorkloadType
from wattmark.models import Architecture, Family, Head, architecture, flops, head_for, known_ids, lookup, parameters

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
diffusers = pytest.importorskip("diffusers")
safetensors = pytest.importorskip("safetensors.torch")
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

logging.getLogger("transformers").setLevel(logging.ERROR)


def known(model_id: str) -> tuple[dict[str, Any], Architecture]:
    model = lookup(model_id)
    assert model is not None
    read = architecture(model.config)
    assert isinstance(read, Architecture)
    return dict(model.config), read


def built(config: dict[str, Any], head: Head) -> Any:
    options = copy.deepcopy(config)
    with torch.device("meta"):
        if class_name := options.pop("_class_name", None):
            return getattr(diffusers, class_name)(**options)
        own = transformers.AutoConfig.for_model(options.pop("model_type"), **options)
        return getattr(transformers, head.value).from_config(own)


def heads_of_known_models() -> list[Any]:
    """Each known model with the head for inference, and of every family one model with every head that a workload
    puts on it."""
    pairs: set[tuple[str, Head]] = set()
    families: set[str] = set()
    for model_id in known_ids():
        _, read = known(model_id)
        first = read.model_type not in families
        families.add(read.model_type)
        pairs |= {(model_id, head_for(read, w)) for w in (WorkloadType if first else [WorkloadType.INFERENCE])}
    return [pytest.param(model_id, head, id=f"{model_id} {head}") for model_id, head in sorted(pairs)]


@pytest.mark.parametrize(("model_id", "head"), heads_of_known_models())
def test_every_known_model_has_as_many_parameters_as_the_framework_builds(model_id: str, head: Head) -> None:
    config, read = known(model_id)
    model = built(config, head)
    count = parameters(read, head)
    assert count.total == sum(p.numel() for p in model.parameters())
    floating = {n: b for n, b in model.named_buffers() if b.is_floating_point() and n in model.state_dict()}
    assert count.buffers == sum(b.numel() for b in floating.values())
    kinds = (count.embedding, count.linear, count.expert, count.convolution, count.norm, count.other)
    assert sum(kinds) == count.total


INLINE: list[Any] = [
    pytest.param(
        {"model_type": "llama", "attention_bias": True, "mlp_bias": True}, Head.CAUSAL_LM, id="biases everywhere"
    ),
    pytest.param({"model_type": "qwen3", "num_key_value_heads": 2}, Head.CAUSAL_LM, id="a head size of its own"),
    pytest.param(
        {"model_type": "qwen2", "num_key_value_heads": 4, "tie_word_embeddings": True}, Head.BASE, id="without a head"
    ),
    pytest.param(
        {"model_type": "mistral", "head_dim": 48, "num_key_value_heads": 2},
        Head.CAUSAL_LM,
        id="heads wider than the hidden size",
    ),
    pytest.param(
        {"model_type": "bert", "id2label": {0: "a", 1: "b", 2: "c"}}, Head.SEQUENCE_CLASSIFICATION, id="labels"
    ),
    pytest.param({"model_type": "roberta"}, Head.SEQUENCE_CLASSIFICATION, id="defaults of RoBERTa"),
    pytest.param(
        {"model_type": "albert", "embedding_size": 24, "num_hidden_groups": 2, "inner_group_num": 2},
        Head.SEQUENCE_CLASSIFICATION,
        id="two groups of two layers",
    ),
    pytest.param(
        {"model_type": "deberta", "relative_attention": True, "pos_att_type": ["p2c"], "type_vocab_size": 2},
        Head.SEQUENCE_CLASSIFICATION,
        id="positions attend to content",
    ),
    pytest.param(
        {
            "model_type": "deberta-v2",
            "relative_attention": True,
            "pos_att_type": "c2p|p2c",
            "position_buckets": 16,
            "embedding_size": 48,
            "conv_kernel_size": 3,
            "conv_groups": 2,
        },
        Head.BASE,
        id="projections of positions apart",
    ),
    pytest.param(
        {
            "model_type": "wav2vec2",
            "feat_extract_norm": "layer",
            "conv_bias": True,
            "mask_time_prob": 0.0,
            "num_conv_pos_embedding_groups": 8,
        },
        Head.AUDIO_CLASSIFICATION,
        id="a waveform without a mask",
    ),
    pytest.param(
        {"model_type": "efficientnet", "width_coefficient": 0.7, "depth_coefficient": 1.3, "hidden_dim": 896},
        Head.BASE,
        id="a narrow deep network",
    ),
    pytest.param({"model_type": "gpt_neox", "attention_bias": False}, Head.CAUSAL_LM, id="no biases in attention"),
    pytest.param(
        {"model_type": "gpt_neox", "tie_word_embeddings": True}, Head.CAUSAL_LM, id="tied where it is not usual"
    ),
    pytest.param(
        {"model_type": "phi3", "num_key_value_heads": 2, "pad_token_id": 0},
        Head.BASE,
        id="joint matrices, grouped heads",
    ),
    pytest.param(
        {"model_type": "gemma2", "num_key_value_heads": 2, "head_dim": 24, "attention_bias": True},
        Head.CAUSAL_LM,
        id="norms before and behind each part",
    ),
    pytest.param(
        {"model_type": "mixtral", "num_key_value_heads": 2, "num_local_experts": 5}, Head.CAUSAL_LM, id="five experts"
    ),
    pytest.param(
        {"model_type": "qwen3_moe", "num_key_value_heads": 2, "moe_intermediate_size": 24}, Head.CAUSAL_LM, id="experts"
    ),
    pytest.param(
        {"model_type": "vit", "image_size": [32, 48], "patch_size": 8, "qkv_bias": False}, Head.BASE, id="oblong image"
    ),
]


@pytest.mark.parametrize(("fields", "head"), INLINE)
def test_a_configuration_of_ones_own_is_counted_exactly(fields: dict[str, Any], head: Head) -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 96}
    config = {**sizes, "vocab_size": 100, **fields}
    if fields["model_type"] in ("vit", "efficientnet"):
        del config["vocab_size"]
    read = architecture(config)
    assert isinstance(read, Architecture), read
    assert parameters(read, head).total == sum(p.numel() for p in built(config, head).parameters())


UNET = {
    "_class_name": "UNet2DConditionModel",
    "sample_size": 16,
    "block_out_channels": [32, 64, 96],
    "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 24,
    "attention_head_dim": 4,
}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({}, id="attention elsewhere on the way up than down"),
        pytest.param({"layers_per_block": 3, "transformer_layers_per_block": [1, 2, 3]}, id="deeper"),
        pytest.param(
            {
                "use_linear_projection": True,
                "in_channels": 9,
                "addition_embed_type": "text_time",
                "addition_time_embed_dim": 16,
                "projection_class_embeddings_input_dim": 80,
            },
            id="more that goes in",
        ),
    ],
)
def test_a_unet_of_ones_own_is_counted_exactly(fields: dict[str, Any]) -> None:
    read = architecture(UNET | fields)
    assert isinstance(read, Architecture), read
    assert parameters(read, Head.BASE).total == sum(p.numel() for p in built(UNET | fields, Head.BASE).parameters())


@pytest.mark.parametrize(
    "model_id",
    [
        "bert-tiny",
        "distilbert",
        "albert",
        "gpt2",
        "smollm2-135m",
        "qwen3-0.6b",
        "gpt-neo-125m",
        "codegen-350m",
        "pythia-70m",
        "phi-3-mini",
        "gemma-2-2b",
        "t5-small",
        "flan-t5-small",
        "vit-tiny",
        "resnet-18",
        "resnet-50",
    ],
)
def test_the_flops_of_a_forward_pass_are_those_that_torch_counts(model_id: str) -> None:
    config, read = known(model_id)
    head = head_for(read, WorkloadType.INFERENCE)
    model = built(config, head).eval()
    text = torch.zeros((2, 24), dtype=torch.long, device="meta")
    inputs: dict[str, Any] = {"input_ids": text}
    shape: dict[str, Any] = {"encoder_tokens": 24, "decoder_tokens": 24, "logits_tokens": 24}
    if read.image:
        side = (read.image.height_pixels, read.image.width_pixels)
        inputs, shape = {"pixel_values": torch.zeros((2, read.image.channels, *side), device="meta")}, {}
    elif read.family is Family.ENCODER_DECODER:
        inputs["decoder_input_ids"] = text[:, :7]
        shape |= {"decoder_tokens": 7, "logits_tokens": 7}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(**inputs)
    assert flops(read, head, batch=2, **shape).total == counter.get_total_flops()


@pytest.mark.parametrize("own", [pytest.param(True, id="T5 1.1, Flan-T5"), pytest.param(False, id="T5")])
def test_a_t5_checkpoint_may_hold_a_projection_of_its_own_which_a_fresh_model_never_has(
    own: bool, tmp_path: Path
) -> None:
    config = {"model_type": "t5", "num_layers": 1, "d_model": 32, "d_kv": 8, "num_heads": 4, "d_ff": 64,
              "vocab_size": 50, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": not own}  # fmt: skip
    read = architecture(config)
    assert isinstance(read, Architecture)
    fresh = built(config, Head.SEQ2SEQ_LM)
    assert sum(one.numel() for one in fresh.parameters()) == parameters(read, Head.SEQ2SEQ_LM).total
    assert fresh.config.scale_decoder_outputs == (not own)
    published = transformers.T5ForConditionalGeneration(
        transformers.T5Config(**{key: value for key, value in config.items() if key != "model_type"})
    )
    if own:
        published.lm_head.weight = torch.nn.Parameter(torch.randn(50, 32))
    tensors = {name: value.contiguous().clone() for name, value in published.state_dict().items()}
    tensors = {name: value for name, value in tensors.items() if own or name != "lm_head.weight"}
    transformers.T5Config(**config).save_pretrained(tmp_path)
    safetensors.save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path)
    assert sum(one.numel() for one in found.parameters()) == parameters(read, Head.SEQ2SEQ_LM, pretrained=True).total
