"""Reading configurations of known and of odd origin."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.analysis import AnalysisKind
from wattmark.api.workload import WorkloadType
from wattmark.models import Architecture, Head, Unsupported, architecture, head_for, lookup, parameters

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 128,
}


def read(config: dict[str, Any]) -> Architecture:
    found = architecture(config)
    assert isinstance(found, Architecture), found
    return found


def known(name: str) -> Architecture:
    model = lookup(name)
    assert model is not None
    return read(dict(model.config))


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        pytest.param({"model_type": "mamba"}, "model_type", "'mamba' is not covered", id="a type without closed form"),
        pytest.param({"model_type": None}, "model_type", "is missing", id="no type"),
        pytest.param({"model_type": ["llama"]}, "model_type", "is not covered", id="a list for a type"),
        pytest.param({"hidden_size": None}, "hidden_size", "is missing", id="a size that is null"),
        pytest.param({"hidden_size": "64"}, "hidden_size", "'64', not a whole number", id="a string for a number"),
        pytest.param({"hidden_size": True}, "hidden_size", "not a whole number", id="a flag for a number"),
        pytest.param({"num_hidden_layers": 0}, "num_hidden_layers", "from 1", id="no layers"),
        pytest.param(
            {"num_hidden_layers": 10_000_000},
            "num_hidden_layers",
            "there are 10000000 layers in all, at most 512 are known",
            id="more layers than any model has",
        ),
        pytest.param(
            {"model_type": "resnet", "depths": [10_000_000] * 4, "hidden_sizes": [8] * 4},
            "depths",
            "at most 512 in all",
            id="more blocks than any model has",
        ),
        pytest.param({"vocab_size": 1 << 40}, "vocab_size", "from 1 to", id="a size beyond reason"),
        pytest.param({"hidden_size": 66}, "hidden_size", "66 cannot be divided into 4", id="heads of unequal size"),
        pytest.param({"num_key_value_heads": 3}, "num_attention_heads", "into 3", id="uneven groups of heads"),
        pytest.param({"attention_dropout": 7}, "attention_dropout", "from 0 to 1", id="a share above one"),
        pytest.param({"tie_word_embeddings": "no"}, "tie_word_embeddings", "not true or false", id="a word for a flag"),
        pytest.param({"quantization_config": {"bits": 4}}, "quantization_config", "not covered", id="a quantized one"),
        pytest.param(
            {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 5},
            "num_experts_per_tok",
            "chooses 5 of 4",
            id="more experts than there are",
        ),
        pytest.param(
            {"model_type": "gpt_neo"}, "attention_types", "names 24 layers, not 2", id="kinds for other layers"
        ),
        pytest.param(
            {"model_type": "gpt_neo", "attention_types": [[["sparse"], 2]]}, "attention_types", "sparse", id="odd kind"
        ),
        pytest.param(
            {"model_type": "gpt_neo", "attention_types": [["global"]]}, "attention_types", "holds", id="an odd list"
        ),
        *(
            pytest.param(
                {"model_type": kind, "layer_types": ["full_attention", "foo"]},
                "layer_types",
                "holds 'foo'; only full_attention and sliding_attention are known",
                id=f"an odd kind of layer of {kind}",
            )
            for kind in ("llama", "qwen2", "qwen3", "gemma2", "mistral")
        ),
        pytest.param({"layer_types": [None, None]}, "layer_types", "holds None", id="kinds of layers that are null"),
        pytest.param(
            {"model_type": "gemma2", "layer_types": ["full_attention"]},
            "layer_types",
            "each of the 2 layers",
            id="kinds of fewer layers than there are",
        ),
        pytest.param(
            {"model_type": "deberta", "pos_att_type": "c2x"}, "pos_att_type", "are known", id="an odd kind of attention"
        ),
        pytest.param(
            {"model_type": "wav2vec2", "conv_dim": [8, 8]}, "conv_dim", "differs in length", id="uneven convolutions"
        ),
        pytest.param({"model_type": "wav2vec2", "add_adapter": True}, "add_adapter", "not covered", id="an adapter"),
        pytest.param(
            {"model_type": "qwen3_moe", "mlp_only_layers": [1]}, "mlp_only_layers", "not covered", id="a mixed stack"
        ),
    ],
)
def test_an_odd_field_is_named(changes: dict[str, Any], field: str, says: str) -> None:
    found = architecture(LLAMA | changes)
    assert isinstance(found, Unsupported)
    assert found.field == field
    assert says in found.reason


UNET_FIELDS = [
    pytest.param({"block_out_channels": [8] * 9}, "block_out_channels", "at most 8", id="more levels than any has"),
    pytest.param({"attention_head_dim": 7}, "attention_head_dim", "into 7", id="heads of unequal size"),
    pytest.param({"attention_head_dim": [8, 8]}, "attention_head_dim", "one for each of 4", id="heads of two levels"),
    pytest.param({"layers_per_block": [2, 2, 2, 1]}, "layers_per_block", "not a whole number", id="uneven levels"),
    pytest.param({"down_block_types": ["DownBlock2D"]}, "down_block_types", "each of 4 levels", id="one kind of block"),
    pytest.param({"up_block_types": ["SkipUpBlock2D"] * 4}, "up_block_types", "Skip", id="blocks of another kind"),
    pytest.param({"addition_embed_type": "image"}, "addition_embed_type", "'image'", id="an image beside the text"),
    pytest.param({"class_embed_type": "timestep"}, "class_embed_type", "not covered", id="classes"),
    pytest.param({"conv_in_kernel": 5}, "conv_in_kernel", "not covered", id="a wider convolution"),
    pytest.param({"mid_block_type": None}, "mid_block_type", "without a middle", id="no middle"),
]


@pytest.mark.parametrize(("changes", "field", "says"), UNET_FIELDS)
def test_a_unet_that_is_built_otherwise_is_not_counted(changes: dict[str, Any], field: str, says: str) -> None:
    model = lookup("unet")
    assert model is not None
    found = architecture({**model.config, **changes})
    assert isinstance(found, Unsupported)
    assert found.field == field
    assert says in found.reason


@pytest.mark.parametrize("config", [None, [], "llama", 7, {}])
def test_what_is_no_configuration_is_unsupported(config: Any) -> None:
    assert isinstance(architecture(config), Unsupported)


ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "gated-gelu", [], [1, 2], {}])
EXAMPLES = (
    "albert",
    "deberta-base",
    "deberta-v2",
    "efficientnet-b1",
    "whisper-tiny",
    "wav2vec2",
    "gpt-neo",
    "gptj",
    "codegen-350m",
    "pythia-70m",
    "phi-3",
    "gemma-2-2b",
    "mixtral",
    "qwen3-30b-a3b",
    "bert",
    "distilbert",
    "roberta",
    "gpt2",
    "mistral-7b",
    "qwen3-8b",
    "t5",
    "vit",
    "resnet-18",
    "unet",
)


@given(st.sampled_from(EXAMPLES), st.data())
def test_reading_never_raises(name: str, data: st.DataObject) -> None:
    model = lookup(name)
    assert model is not None
    fields = sorted({*model.config, "id2label", "num_labels", "layer_types", "use_sliding_window", "head_dim"})
    odd = data.draw(st.dictionaries(st.sampled_from(fields), ODD, min_size=1, max_size=3))
    assert isinstance(architecture({**model.config, **odd}), Architecture | Unsupported)


PUBLISHED = {
    "bert-base-uncased": 109_482_240,
    "bert-large-uncased": 335_141_888,
    "mbert": 177_853_440,
    "albert": 11_683_584,
    "albert-xxlarge": 222_595_584,
    "deberta-base": 138_601_728,
    "deberta-v3-base": 183_831_552,
    "deberta-v3-large": 434_012_160,
    "efficientnet-b0": 5_288_548,
    "unet": 859_520_964,
    "stable-diffusion-2.1": 865_910_724,
    "sdxl": 2_567_463_684,
    "whisper-tiny": 37_760_640,
    "whisper-large-v3": 1_543_490_560,
    "whisper-turbo": 808_878_080,
    "wav2vec2": 94_371_712,
    "xls-r-300m": 315_438_720,
    "efficientnet-b7": 66_347_960,
    "distilbert": 66_362_880,
    "roberta-base": 124_645_632,
    "xlm-r": 278_043_648,
    "gpt2": 124_439_808,
    "gpt2-xl": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "llama-2-70b": 68_976_648_192,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "tinyllama": 1_100_048_384,
    "mistral-7b-v0.1": 7_241_732_096,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-8b": 8_190_735_360,
    "gpt-neo-125m": 125_198_592,
    "gpt-neo-2.7b": 2_651_307_520,
    "gpt-j": 6_050_882_784,
    "gpt-neox-20b": 20_554_567_680,
    "pythia-70m": 70_426_624,
    "pythia-12b": 11_846_072_320,
    "codegen-350m": 356_712_448,
    "codegen-16b": 16_032_155_648,
    "phi-3-mini": 3_821_079_552,
    "phi-3-medium": 13_960_238_080,
    "phi-4": 14_659_507_200,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-2-27b": 27_227_128_320,
    "mixtral-8x7b": 46_702_792_704,
    "mixtral-8x22b": 140_630_071_296,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-235b-a22b": 235_093_634_560,
    "t5-base": 222_903_552,
    "flan-t5-base": 247_577_856,
    "flan-t5-xxl": 11_135_332_352,
    "vit-base": 86_567_656,
    "resnet-18": 11_689_512,
    "resnet-50": 25_557_032,
    "resnet-152": 60_192_808,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_checkpoint_has_its_published_size(name: str) -> None:
    read_model = known(name)
    head = head_for(read_model, WorkloadType.INFERENCE)
    assert parameters(read_model, head, pretrained=True).total == PUBLISHED[name]


ACTIVE = {"mixtral-8x7b": 12_879_925_248, "mixtral-8x22b": 39_161_468_928, "qwen3-30b-a3b": 3_353_032_704}


@pytest.mark.parametrize("name", ACTIVE)
def test_a_token_passes_through_a_part_of_a_mixture(name: str) -> None:
    assert parameters(known(name), Head.CAUSAL_LM).active == ACTIVE[name]


@pytest.mark.parametrize(
    ("name", "length"),
    [
        pytest.param("bert", 512, id="BERT has a row for each position"),
        pytest.param("roberta", 512, id="RoBERTa never uses its first two rows"),
        pytest.param("gpt2", 1024, id="GPT-2"),
        pytest.param("llama-3.1-8b", 131072, id="rotary positions still end where the configuration says"),
        pytest.param("t5", None, id="T5's relative positions have no end"),
        pytest.param("vit", 197, id="ViT reads 14 x 14 patches and a class token"),
    ],
)
def test_the_longest_sequence(name: str, length: int | None) -> None:
    assert known(name).max_positions == length


@pytest.mark.parametrize(
    ("name", "workload", "head"),
    [
        pytest.param("bert", WorkloadType.INFERENCE, Head.BASE, id="an encoder alone"),
        pytest.param("bert", WorkloadType.TRAINING, Head.SEQUENCE_CLASSIFICATION, id="an encoder with a loss"),
        pytest.param("gpt2", WorkloadType.TRAINING, Head.CAUSAL_LM, id="a decoder"),
        pytest.param("t5", WorkloadType.INFERENCE, Head.SEQ2SEQ_LM, id="an encoder and decoder"),
        pytest.param("vit", WorkloadType.TRAINING, Head.IMAGE_CLASSIFICATION, id="a vision transformer"),
        pytest.param("resnet-18", WorkloadType.INFERENCE, Head.IMAGE_CLASSIFICATION, id="a convolutional network"),
        pytest.param("llama-3.1-8b", WorkloadType.ANALYSIS, Head.BASE, id="what is read inside of a model"),
    ],
)
def test_which_head_a_workload_takes(name: str, workload: WorkloadType, head: Head) -> None:
    assert head_for(known(name), workload) is head


def test_a_gradient_begins_at_a_logit() -> None:
    for name, head in (("bert", Head.SEQUENCE_CLASSIFICATION), ("gpt2", Head.CAUSAL_LM), ("t5", Head.SEQ2SEQ_LM)):
        assert head_for(known(name), WorkloadType.ANALYSIS, AnalysisKind.GRADIENT_ANALYSIS) is head


def test_a_window_that_is_missing_is_the_class_default_and_null_is_none() -> None:
    config = LLAMA | {"model_type": "mistral"}
    missing, null = read(config), read(config | {"sliding_window": None})
    assert missing.decoder is not None
    assert null.decoder is not None
    assert (missing.decoder.window_tokens, missing.decoder.window_layers) == (4096, 2)
    assert (null.decoder.window_tokens, null.decoder.window_layers) == (None, 0)


@pytest.mark.parametrize(
    "windows",
    [
        pytest.param({"layer_types": ["full_attention"] * 24}, id="all kinds of layers are named"),
        pytest.param({"max_window_layers": 24}, id="windows begin behind the last layer"),
    ],
)
def test_a_window_that_no_layer_has_is_none(windows: dict[str, Any]) -> None:
    model = lookup("Qwen/Qwen2-0.5B")
    assert model is not None
    config = {**model.config, "use_sliding_window": True, "sliding_window": 128} | windows
    stack = read(config).decoder
    assert stack is not None
    assert (stack.window_tokens, stack.window_layers) == (None, 0)
