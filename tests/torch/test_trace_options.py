"""Every option of a workload, traced: compared with the closed form where it has one, else that it can be traced."""

from typing import Any

import pytest
from tests.torch.test_trace import AMPERE, order, trace

from wattmark.api.answers import Need
from wattmark.api.benchmarkjob import ESTIMATED_OPTIMIZERS
from wattmark.api.report import RunFailure
from wattmark.api.runtime import Attention, Precision
from wattmark.api.training import Optimizer
from wattmark.estimate import Gpu, need

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from wattmark_runner.failures import RunError  # noqa: E402
from wattmark_runner.models import read  # noqa: E402

SIZES = {"num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024,
         "vocab_size": 5000}  # fmt: skip
LLAMA = {"model_type": "llama", **SIZES, "num_key_value_heads": 2}
GEMMA = {"model_type": "gemma2", **SIZES, "num_key_value_heads": 2, "head_dim": 64}
NEOX = {"model_type": "gpt_neox", **SIZES}
BERT = {"model_type": "bert", **SIZES}
DISTILBERT = {
    "model_type": "distilbert", "n_layers": 2, "dim": 256, "n_heads": 4, "hidden_dim": 1024, "vocab_size": 5000,
}  # fmt: skip
PHI = {"model_type": "phi3", **SIZES, "num_key_value_heads": 2, "pad_token_id": 0}
GPTJ = {"model_type": "gptj", "n_layer": 2, "n_embd": 256, "n_head": 4, "vocab_size": 5000, "rotary_dim": 16}
MISTRAL = {"model_type": "mistral", **SIZES, "num_key_value_heads": 2, "sliding_window": 64}
T5 = {
    "model_type": "t5", "num_layers": 2, "d_model": 256, "d_kv": 64, "num_heads": 4, "d_ff": 1024, "vocab_size": 5000,
    "decoder_start_token_id": 0, "pad_token_id": 0,
}  # fmt: skip
# Weights outweigh activations, as an optimizer's states do
WIDE = LLAMA | {"hidden_size": 1024, "intermediate_size": 4096}
WIDE_BERT = BERT | {"hidden_size": 1024, "intermediate_size": 4096}
WIDE_MIXTRAL = LLAMA | {"model_type": "mixtral", "hidden_size": 512, "num_local_experts": 4}
QWEN_MOE = LLAMA | {
    "model_type": "qwen3_moe", "num_experts": 16, "num_experts_per_tok": 4, "moe_intermediate_size": 256,
    "head_dim": 64,
}  # fmt: skip
ALBERT = WIDE_BERT | {"model_type": "albert", "embedding_size": 64, "num_hidden_layers": 6}
RESNET = {
    "model_type": "resnet", "depths": [1, 1, 1, 1], "hidden_sizes": [64, 128, 256, 512], "embedding_size": 64,
    "layer_type": "basic",
}  # fmt: skip
PICTURE = {"image": {"heightPixels": 224, "widthPixels": 224}}
WAV2VEC2 = {"model_type": "wav2vec2", **SIZES, "vocab_size": 32}
OPT = {"model_type": "opt", **SIZES, "ffn_dim": 1024, "word_embed_proj_dim": 256}
BART = {
    "model_type": "bart", "d_model": 128, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 256, "decoder_ffn_dim": 256, "vocab_size": 500,
}  # fmt: skip
CONVNEXT = {"model_type": "convnext", "depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 32, 64], "image_size": 64}
TURING = Gpu((7, 5))

BOUND = 0.02
SMALL = "logits' and embeddings' temporaries, of a model as small as this"


def sample(tokens: int, output: int | None = None) -> dict[str, Any]:
    return {"text": {"inputTokens": tokens} | ({} if output is None else {"outputTokens": output})}


def trained(tokens: int = 512, batch: int = 32, **options: Any) -> dict[str, Any]:
    shape = {"batchSizePerDevice": batch, "input": sample(tokens), **options}
    return {"type": "Training", "training": shape}


def inferred(tokens: int = 512, output: int | None = 0, **options: Any) -> dict[str, Any]:
    shape = {"batchSizePerDevice": 32, "input": sample(tokens, output), **options}
    return {"type": "Inference", "inference": shape}


def analysed(kind: str) -> dict[str, Any]:
    shape = {"kind": kind, "batchSizePerDevice": 32, "input": sample(512)}
    return {"type": "Analysis", "analysis": shape}


# A bound alone, or the bound and why it is not the usual one
Bound = float | tuple[float, str]
OPTIMIZERS = [
    pytest.param(WIDE, trained(16, 1, optimizer=one), Precision.FP32, Attention.AUTO, AMPERE, BOUND, id=one.value)
    for one in Optimizer
    if one not in ESTIMATED_OPTIMIZERS
]
OPTIMIZERS += [
    pytest.param(one, trained(16, 1, optimizer="Adafactor"), Precision.FP32, Attention.AUTO, AMPERE, BOUND, id=name)
    for name, one in (("Adafactor, matrices with biases", WIDE_BERT), ("Adafactor, experts", WIDE_MIXTRAL))
]
OPTIMIZERS += [
    pytest.param(ALBERT, trained(16, 1, optimizer="SGD"), precision, Attention.AUTO, AMPERE, BOUND,
                 id=f"gradients of layers that are one, {precision}")
    for precision in (Precision.FP32, Precision.BF16_MIXED)
] + [
    pytest.param(RESNET, {"type": "Training", "training": {"batchSizePerDevice": 32, "input": PICTURE}},
                 Precision.BF16_MIXED, Attention.AUTO, AMPERE, BOUND, id="convolutions under autocast"),
]  # fmt: skip
LORA: dict[str, Any] = {"lora": {}}
ATTENTION_LORA: dict[str, Any] = {"lora": {"targets": "Attention"}}
FULL: dict[str, Any] = {"gradientCheckpointing": "Full"}
SGD: dict[str, Any] = {"optimizer": "SGD"}
TRAININGS = [
    pytest.param(config, trained(**options), precision, attention, gpu, bound, id=name)
    for name, config, options, precision, attention, gpu, bound in [
        ("layers computed again", LLAMA, FULL, Precision.BF16_MIXED, Attention.AUTO, AMPERE, BOUND),
        ("gradients added up", LLAMA, {"gradientAccumulationSteps": 2}, Precision.BF16_MIXED, Attention.AUTO, AMPERE,
         BOUND),
        ("adapters of all matrices", LLAMA, LORA, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
        ("adapters of attention", LLAMA, ATTENTION_LORA, Precision.BF16_MIXED, Attention.AUTO, AMPERE,
         BOUND),
        *((f"adapters of attention: {one['model_type']}", one, ATTENTION_LORA, Precision.BF16_MIXED, Attention.AUTO,
           AMPERE, BOUND) for one in (BERT, DISTILBERT, NEOX, GPTJ, PHI)),
        *((f"adapters of all matrices under autocast: {one['model_type']}", one, LORA, Precision.BF16_MIXED,
           Attention.AUTO, AMPERE, BOUND) for one in (BERT, DISTILBERT, NEOX)),
        *((f"adapters of attention, layers computed again: {one['model_type']}", one, ATTENTION_LORA | FULL,
           Precision.BF16_MIXED, Attention.AUTO, AMPERE, BOUND) for one in (LLAMA, BERT, NEOX)),
        *((f"adapters, eager attention, layers computed again: {one['model_type']}", one, LORA | FULL,
           Precision.BF16_MIXED, Attention.EAGER, AMPERE, BOUND) for one in (BERT, DISTILBERT, LLAMA)),
        ("adapters, layers computed again", LLAMA, LORA | FULL, Precision.BF16_MIXED, Attention.AUTO, AMPERE, BOUND),
        *((f"{what} of a mixture: {one['model_type']}, {precision}", one, options, precision, Attention.AUTO, AMPERE,
           BOUND) for one in (WIDE_MIXTRAL, QWEN_MOE) for precision in (Precision.BF16, Precision.BF16_MIXED)
          for what, options in (("adapters", LORA), ("adapters and layers computed again", ATTENTION_LORA | FULL),
                                ("experts", SGD), ("experts and layers computed again", SGD | FULL))),
        ("layers with a window", MISTRAL, SGD, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
        ("layers with a window, adapters of attention", MISTRAL, ATTENTION_LORA, Precision.BF16, Attention.AUTO, AMPERE,
         BOUND),
        ("layers with a window computed again", MISTRAL, ATTENTION_LORA | FULL, Precision.BF16_MIXED, Attention.AUTO,
         AMPERE, BOUND),
        ("fp32, whose kernel wants keys of every head", LLAMA, SGD, Precision.FP32, Attention.AUTO, AMPERE, BOUND),
        ("fp16 under autocast, before Ampere", LLAMA, {}, Precision.FP16_MIXED, Attention.AUTO, TURING, BOUND),
        ("bf16 under autocast", BERT, {}, Precision.BF16_MIXED, Attention.SDPA, AMPERE, BOUND),
        ("tf32", BERT, {}, Precision.TF32, Attention.AUTO, Gpu((9, 0)), BOUND),
        ("eager attention with dropout, under autocast", BERT, FULL, Precision.BF16_MIXED, Attention.EAGER, AMPERE,
         BOUND),
        ("eager attention", LLAMA, {}, Precision.BF16, Attention.EAGER, AMPERE, BOUND),
    ]
]  # fmt: skip
INFERENCES = [
    pytest.param(config, inferred(**options), precision, attention, gpu, bound, id=name)
    for name, config, options, precision, attention, gpu, bound in [
        ("a generation", LLAMA, {"output": 4}, Precision.BF16, Attention.AUTO, AMPERE, (0.025, SMALL)),
        ("a generation on a static cache", LLAMA, {"output": 4, "cache": "Static"}, Precision.BF16, Attention.AUTO,
         AMPERE, (0.025, SMALL)),
        ("a window and a static cache", MISTRAL, {"output": 4, "cache": "Static"}, Precision.BF16, Attention.AUTO,
         AMPERE, (0.025, SMALL)),
        ("a window and a static cache, attention above all", MISTRAL | {"intermediate_size": 128},
         {"output": 4, "cache": "Static"}, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
        ("a prompt longer than the window", MISTRAL, {}, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
        ("a target of many tokens", T5, {}, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
        ("a forward pass in fp16", BERT, {"output": None}, Precision.FP16, Attention.AUTO, TURING, BOUND),
        ("eager attention in fp16", LLAMA, {}, Precision.FP16, Attention.EAGER, TURING, BOUND),
        ("eager attention in bf16", LLAMA, {}, Precision.BF16, Attention.EAGER, AMPERE, BOUND),
        ("eager attention in fp32", LLAMA, {}, Precision.FP32, Attention.EAGER, AMPERE, BOUND),
        ("eager attention behind one matrix", NEOX, {}, Precision.BF16, Attention.EAGER, AMPERE, BOUND),
        ("eager attention with two masks", GEMMA, {}, Precision.BF16, Attention.AUTO, AMPERE, BOUND),
    ]
]  # fmt: skip
ANALYSES = [
    pytest.param(BERT, analysed(kind), Precision.BF16, Attention.AUTO, AMPERE, bound, id=kind)
    for kind, bound in (
        ("ActivationExtraction", BOUND),
        ("LayerAnalysis", BOUND),
        ("AttentionVisualization", BOUND),
        ("GradientAnalysis", BOUND),
        ("ConceptAnalysis", BOUND),
    )
] + [
    pytest.param(one, analysed("GradientAnalysis"), Precision.BF16, Attention.AUTO, AMPERE, BOUND,
                 id=f"GradientAnalysis of {one['model_type']}")
    for one in (LLAMA, GEMMA, NEOX, GPTJ, PHI, T5, ALBERT)
] + [
    pytest.param(T5, analysed("GradientAnalysis"), Precision.FP16, Attention.AUTO, AMPERE, BOUND,
                 id="GradientAnalysis of t5 in fp16, which it clamps"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "workload", "precision", "attention", "gpu", "bound"), [*OPTIMIZERS, *TRAININGS, *INFERENCES, *ANALYSES]
)
def test_the_closed_form_is_what_a_trace_finds(
    config: dict[str, Any], workload: dict[str, Any], precision: Precision, attention: Attention, gpu: Gpu, bound: Bound
) -> None:
    told = order(config, workload, precision, attention)
    _, known, resolved = read(told, None)
    said = need(known, resolved, told.weights, gpu, simulate=False)
    assert isinstance(said, Need), said
    found = trace(told, gpu).allocated_bytes.likely
    error = said.allocated_bytes.likely / found - 1
    print(f"traced {found:>12} said {said.allocated_bytes.likely:>12} {error:+.2%}")
    assert said.allocated_bytes.low <= found <= said.allocated_bytes.high
    assert abs(error) < (bound if isinstance(bound, float) else bound[0])


@pytest.mark.parametrize(
    ("config", "workload", "precision"),
    [
        pytest.param(OPT, inferred(16, 3, cache="Static"), Precision.BF16, id="a count that a cache is asked for"),
        pytest.param(BART, inferred(16, 3, cache="Static"), Precision.FP16, id="a look for overflow"),
        pytest.param(CONVNEXT, {"type": "Inference", "inference": {}}, Precision.FP32, id="shares of dropped layers"),
        pytest.param(
            WAV2VEC2,
            {"type": "Training", "training": {"input": {"audio": {"seconds": 1}}}},
            Precision.BF16_MIXED,
            id="a mask that is made on the CPU",
        ),
    ],
)
def test_a_class_that_reads_a_few_numbers_is_traced(
    config: dict[str, Any], workload: dict[str, Any], precision: Precision
) -> None:
    assert trace(order(config, workload, precision), AMPERE).allocated_bytes.likely > 0


@pytest.mark.parametrize("optimizer", ESTIMATED_OPTIMIZERS)
def test_an_optimizer_that_is_only_estimated_is_refused_with_the_remedy(optimizer: Optimizer) -> None:
    with pytest.raises(RunError, match=r"training\.optimizer .* leave it out, or ask .* ClosedForm") as raised:
        trace(order(BERT, trained(8, 1, optimizer=optimizer)), AMPERE)
    assert raised.value.reason is RunFailure.INVALID_ORDER
