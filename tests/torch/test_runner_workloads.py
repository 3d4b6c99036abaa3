"""Every kind of model, really run on the CPU, its figures held against an independent reckoning."""

import json
import math

import pytest
import torch
import transformers
from tests.torch.brief import WINDOW_SECONDS, run

from wattmark.api.model import Weights
from wattmark.api.order import RunOrder
from wattmark.api.report import REPORT_LIMIT_BYTES, Report
from wattmark.api.training import LoraTargets, Optimizer
from wattmark.estimate import Question
from wattmark_runner.report import encode

BATCH, INPUT_TOKENS, OUTPUT_TOKENS = 3, 12, 5
_LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_TEXT = {**_LAYERS, "vocab_size": 97, "max_position_embeddings": 64}

CONFIGS: dict[str, dict[str, object]] = {
    "bert": {"model_type": "bert", **_TEXT},
    "albert": {"model_type": "albert", **_TEXT, "embedding_size": 16},
    "deberta": {"model_type": "deberta", **_TEXT, "relative_attention": True, "pos_att_type": "c2p|p2c"},
    "deberta-v2": {
        "model_type": "deberta-v2", **_TEXT, "relative_attention": True, "position_buckets": 8, "share_att_key": True,
        "pos_att_type": "p2c|c2p", "norm_rel_ebd": "layer_norm", "conv_kernel_size": 3,
    },
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 97},
    "llama": {"model_type": "llama", **_TEXT, "num_key_value_heads": 2},
    "qwen2": {"model_type": "qwen2", **_TEXT, "num_key_value_heads": 2},
    "qwen3": {"model_type": "qwen3", **_TEXT, "num_key_value_heads": 2, "head_dim": 8},
    "gpt_neo": {
        "model_type": "gpt_neo", **_TEXT, "num_layers": 2, "num_heads": 4, "window_size": 4,
        "attention_types": [[["global", "local"], 1]],
    },
    "gptj": {
        "model_type": "gptj", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 97,
        "rotary_dim": 4,
    },
    "codegen": {
        "model_type": "codegen", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_ctx": 64,
        "vocab_size": 97, "rotary_dim": 4,
    },
    "gpt_neox": {"model_type": "gpt_neox", **_TEXT},
    "phi3": {"model_type": "phi3", **_TEXT, "num_key_value_heads": 2, "pad_token_id": 0},
    "gemma2": {"model_type": "gemma2", **_TEXT, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4},
    "mixtral": {"model_type": "mixtral", **_TEXT, "num_key_value_heads": 2, "num_local_experts": 4},
    "qwen3_moe": {
        "model_type": "qwen3_moe", **_TEXT, "num_key_value_heads": 2, "num_experts": 8, "num_experts_per_tok": 2,
        "moe_intermediate_size": 16,
    },
    "t5": {
        "model_type": "t5", "d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 97,
        "decoder_start_token_id": 0, "pad_token_id": 0,
    },
    "whisper": {
        "model_type": "whisper", "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4,
        "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "num_mel_bins": 8,
        "max_source_positions": 50, "max_target_positions": 16, "vocab_size": 97, "decoder_start_token_id": 1,
        "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "begin_suppress_tokens": None,
    },
    "wav2vec2": {
        "model_type": "wav2vec2", **_LAYERS, "conv_dim": [8] * 7, "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 4, "classifier_proj_size": 8,
    },
    "vit": {"model_type": "vit", **_LAYERS, "image_size": 32, "patch_size": 8},
    "resnet": {
        "model_type": "resnet", "embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1],
        "layer_type": "basic",
    },
    "efficientnet": {
        "model_type": "efficientnet", "image_size": 32, "width_coefficient": 0.5, "depth_coefficient": 0.5,
        "hidden_dim": 640,
    },
}  # fmt: skip
AUDIO_MODELS = ("whisper", "wav2vec2")
IMAGE_MODELS = ("vit", "resnet", "efficientnet")
CONVOLUTIONAL = ("resnet", "efficientnet")
ENCODERS = ("bert", "albert", "deberta", "deberta-v2", "wav2vec2")
GENERATING = tuple(kind for kind in CONFIGS if kind not in (*ENCODERS, *IMAGE_MODELS))
FORWARD = tuple(kind for kind in CONFIGS if kind != "whisper")  # which hears, then writes at once: it has no prefill
WITHOUT_FUSED_ATTENTION = ("gpt_neo", "gptj", "codegen", "gemma2", "deberta", "deberta-v2")
HEADS = {
    **dict.fromkeys(ENCODERS, transformers.AutoModel),
    "whisper": transformers.AutoModelForSpeechSeq2Seq,
    "t5": transformers.AutoModelForSeq2SeqLM,
    "vit": transformers.AutoModelForImageClassification,
    **dict.fromkeys(CONVOLUTIONAL, transformers.AutoModelForImageClassification),
}


def order(
    kind: str, workload: str, *, output_tokens: int = 0, precision: str | None = None, **more: object
) -> RunOrder:
    text = {"inputTokens": INPUT_TOKENS} | ({} if workload == "training" else {"outputTokens": output_tokens})
    image = {"heightPixels": 32, "widthPixels": 32}
    sample: dict[str, object] = {"image": image} if kind in IMAGE_MODELS else {"text": text}
    if kind in AUDIO_MODELS:
        sample = {"audio": {"seconds": 1}} | ({"text": {"outputTokens": OUTPUT_TOKENS}} if kind == "whisper" else {})
    body = {
        "runUid": "run",
        "modelId": f"tiny-{kind}",
        "weights": "Random",
        "config": json.dumps(CONFIGS[kind]),
        "workload": {"type": workload.capitalize(), workload: {"batchSizePerDevice": BATCH, "input": sample}},
        "runtime": {"precision": precision} if precision else {},
        "measure": {"warmupIterations": 2, "windowSeconds": 1, "minIterations": 10},
        "gpus": 0,
        "runningSeconds": 120,
    }
    return RunOrder.model_validate(body | more)


def measured(asked: RunOrder) -> Report:
    report = run(asked)
    assert report.failure is None, report.failure
    assert len(encode(report)) <= REPORT_LIMIT_BYTES
    return report


def check_the_reckoning(report: Report) -> None:
    """What must hold of any run: rate x time is work, order statistics are ordered, what is missing is named."""
    figures = report.results
    assert figures is not None and report.steadiness is not None
    latency, throughput = figures.latency_seconds, figures.throughput
    assert latency.count == figures.iterations >= 10
    # the window holds the iterations and a little of the loop around them
    assert figures.iterations * latency.mean <= figures.window_seconds * (1 + 1e-5)
    assert throughput.samples_per_second * figures.window_seconds == pytest.approx(BATCH * figures.iterations, rel=1e-4)
    assert throughput.samples_per_second * latency.mean <= BATCH * (1 + 1e-4)
    assert latency.p90 is not None and latency.p50 <= latency.p90
    assert figures.window_seconds >= WINDOW_SECONDS
    assert figures.warmup_iterations >= 2
    assert figures.memory.host_peak_bytes is not None and figures.memory.host_peak_bytes > 50 * 2**20
    assert figures.energy.gpu_joules is None and not figures.devices
    reasons = {missing.field: missing.reason.value for missing in report.unavailable}
    assert reasons["energy.gpuJoules"] == reasons["memory.devicePeakBytes"] == "NoGpu"


@pytest.mark.parametrize("kind", FORWARD)
def test_a_forward_pass_gives_figures_that_agree_with_each_other(kind: str) -> None:
    report = measured(order(kind, "inference"))
    check_the_reckoning(report)
    figures, environment = report.results, report.environment
    assert figures is not None and environment is not None
    per_second = figures.throughput
    if kind in (*IMAGE_MODELS, *AUDIO_MODELS):
        assert per_second.input_tokens_per_second is None
    else:
        tokens = per_second.input_tokens_per_second
        assert tokens == pytest.approx(per_second.samples_per_second * INPUT_TOKENS, rel=1e-4)
    assert per_second.output_tokens_per_second is None and figures.time_to_first_token_seconds is None
    attention = "eager" if kind in WITHOUT_FUSED_ATTENTION else "sdpa"
    assert environment.attention == (None if kind in CONVOLUTIONAL else attention)
    assert environment.device == "cpu" and environment.torch_version == torch.__version__


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_parameter_count_is_that_of_the_framework(kind: str) -> None:
    config = transformers.CONFIG_MAPPING[kind].from_dict(dict(CONFIGS[kind]))
    with torch.device("meta"):
        model = HEADS.get(kind, transformers.AutoModelForCausalLM).from_config(config)
    figures = measured(order(kind, "inference")).results
    assert figures is not None and figures.parameter_count == model.num_parameters()


@pytest.mark.parametrize("kind", GENERATING)
def test_generation_times_its_first_token_and_the_others(kind: str) -> None:
    report = measured(order(kind, "inference", output_tokens=OUTPUT_TOKENS))
    check_the_reckoning(report)
    figures = report.results
    assert figures is not None
    first, gap = figures.time_to_first_token_seconds, figures.time_per_output_token_seconds
    assert first is not None and gap is not None
    assert first.count == gap.count == figures.latency_seconds.count
    # per batch latency = first token + 4 gaps; means add up exactly
    assert first.mean + (OUTPUT_TOKENS - 1) * gap.mean == pytest.approx(figures.latency_seconds.mean, rel=1e-4)
    per_second = figures.throughput
    generated = per_second.output_tokens_per_second
    assert generated is not None
    assert generated == pytest.approx(per_second.samples_per_second * OUTPUT_TOKENS, rel=1e-4)
    assert generated <= BATCH * OUTPUT_TOKENS / figures.latency_seconds.mean * (1 + 1e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_training_step_gives_figures(kind: str) -> None:
    report = measured(order(kind, "training"))
    check_the_reckoning(report)
    assert report.environment is not None
    if kind == "bert":  # a loss needs a head
        assert report.environment.model_class == "BertForSequenceClassification"


def test_an_encoder_decoder_trains_whatever_its_configuration_says_of_a_start_token() -> None:
    asked = order("t5", "training")
    assert asked.config is not None
    config = {key: value for key, value in json.loads(asked.config).items() if key != "decoder_start_token_id"}
    measured(asked.model_copy(update={"config": json.dumps(config)}))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_inference_runs_in_half_precision(precision: str) -> None:
    check_the_reckoning(measured(order("llama", "inference", output_tokens=OUTPUT_TOKENS, precision=precision)))


def test_a_class_that_makes_some_of_its_biases_fp32_runs_in_half_precision_too() -> None:
    check_the_reckoning(measured(order("deberta", "inference", precision="bf16")))


@pytest.mark.parametrize("precision", ["bf16", "bf16-mixed"])
def test_training_runs_in_half_and_mixed_precision(precision: str) -> None:
    check_the_reckoning(measured(order("gpt2", "training", precision=precision)))


@pytest.mark.parametrize("optimizer", sorted(set(Optimizer) - {Optimizer.ADAMW_8BIT, Optimizer.LION}))
def test_every_optimizer_steps_on_accumulated_gradients_of_recomputed_layers(optimizer: Optimizer) -> None:
    asked = order("gpt2", "training", precision="bf16-mixed").model_dump(by_alias=True, mode="json", exclude_none=True)
    asked["workload"]["training"] |= {
        "optimizer": optimizer, "gradientAccumulationSteps": 2, "gradientCheckpointing": "Full",
    }  # fmt: skip
    report = run(RunOrder.model_validate(asked))
    assert report.failure is None and report.results is not None
    figures = report.results
    samples = figures.throughput.samples_per_second * figures.window_seconds
    assert samples == pytest.approx(2 * BATCH * figures.iterations, rel=1e-4)


@pytest.mark.parametrize("targets", LoraTargets)
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "t5", "vit"])
def test_a_step_with_adapters_changes_them_and_nothing_else(kind: str, targets: LoraTargets) -> None:
    from wattmark_runner.device import Cpu
    from wattmark_runner.models import load
    from wattmark_runner.workloads import workload

    asked = order(kind, "training").model_dump(by_alias=True, mode="json", exclude_none=True)
    asked["workload"]["training"] |= {"lora": {"rank": 3, "targets": targets}}
    loaded = load(RunOrder.model_validate(asked), Cpu(), None)
    work = workload(loaded, Cpu())
    before = {name: value.detach().clone() for name, value in loaded.model.named_parameters()}
    work.run()
    changed = {name for name, value in loaded.model.named_parameters() if not torch.equal(before[name], value)}
    trained = {name for name in before if "lora_" in name}
    # An adapter's second matrix starts at zero, so that the first has no gradient in the first step.
    assert changed and changed <= trained and {name for name in trained if "lora_B" in name} <= changed
    if kind in ("bert", "llama", "t5", "vit"):  # GPT-2 has one matrix for query, key and value
        count = sum(before[name].numel() for name in trained)
        resolved, known = loaded.resolved, loaded.architecture
        assert count == Question(known, resolved, Weights.RANDOM, on_gpu=False).trained_elements


def test_two_halves_of_a_batch_give_the_gradient_of_the_whole() -> None:
    """Accumulation averages: the weights after one step of plain SGD are those after a step on both halves at once."""
    from wattmark_runner.device import Cpu
    from wattmark_runner.models import load
    from wattmark_runner.workloads import workload

    after = []
    for passes in (1, 2):
        asked = order("llama", "training").model_dump(by_alias=True, mode="json", exclude_none=True)
        asked["workload"]["training"] |= {"optimizer": "SGD", "gradientAccumulationSteps": passes}
        loaded = load(RunOrder.model_validate(asked), Cpu(), None)
        workload(loaded, Cpu()).run()  # both passes see the same batch
        after.append(loaded.model.model.embed_tokens.weight.detach())
    assert torch.allclose(*after, rtol=0, atol=1e-9)


def test_a_single_generated_token_has_no_gap() -> None:
    report = measured(order("gpt2", "inference", output_tokens=1))
    assert report.results is not None and report.results.time_per_output_token_seconds is None
    reasons = {missing.field: missing.reason.value for missing in report.unavailable}
    assert reasons["timePerOutputTokenSeconds"] == "TooFewSamples"


def test_a_training_step_changes_the_weights() -> None:
    from wattmark_runner.device import Cpu
    from wattmark_runner.models import load
    from wattmark_runner.workloads import workload

    device = Cpu()
    loaded = load(order("gpt2", "training"), device, None)
    before = loaded.model.transformer.wte.weight.detach().clone()
    timing = workload(loaded, device).run()
    after = loaded.model.transformer.wte.weight
    assert not torch.equal(before, after) and torch.isfinite(after).all()
    assert math.isfinite(timing.latency) and timing.latency > 0


def test_the_generated_tokens_are_those_of_transformers_own_greedy_search() -> None:
    """The loop is ours; what it computes must be what `generate` computes."""
    from wattmark_runner.data import token_ids
    from wattmark_runner.device import Cpu
    from wattmark_runner.models import load
    from wattmark_runner.workloads import generate

    for kind, begin in (("llama", generate._decoder), ("t5", generate._encoder_decoder)):
        device = Cpu()
        loaded = load(order(kind, "inference", output_tokens=OUTPUT_TOKENS), device, None)
        prompt = token_ids(loaded, INPUT_TOKENS, device.torch_device)
        with torch.inference_mode():
            output, step = begin(loaded.model, prompt)
            tokens = [generate._greedy(output)]
            for _ in range(OUTPUT_TOKENS - 1):
                output = step(tokens[-1], output.past_key_values)
                tokens.append(generate._greedy(output))
            theirs = loaded.model.generate(
                input_ids=prompt, do_sample=False, min_new_tokens=OUTPUT_TOKENS, max_new_tokens=OUTPUT_TOKENS,
                eos_token_id=None,
            )  # fmt: skip
        assert torch.equal(torch.cat(tokens, 1), theirs[:, -OUTPUT_TOKENS:]), kind
