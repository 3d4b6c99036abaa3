import pytest

from wattmark.api.conditions import Reason
from wattmark.api.order import Resolved
from wattmark.api.parallelism import ParallelismSpec, ParallelismType
from wattmark.api.runtime import RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.models import architecture, lookup
from wattmark.models.architecture import Architecture
from wattmark.models.resolve import Impossible, resolve


def arch(name: str) -> Architecture:
    known = lookup(name)
    assert known is not None
    found = architecture(known.config)
    assert isinstance(found, Architecture)
    return found


def ask(kind: str, /, **shape: object) -> WorkloadSpec:
    return WorkloadSpec.model_validate({"type": kind.capitalize(), kind: shape})


@pytest.mark.parametrize(
    ("model", "workload", "tokens"),
    [
        pytest.param("gpt2", ask("inference"), (512, 128), id="a decoder generates 128 tokens after 512 by default"),
        pytest.param("bert-base-uncased", ask("inference"), (512, 0), id="an encoder generates nothing"),
        pytest.param("t5-small", ask("inference"), (512, 128), id="an encoder-decoder has room for both"),
        pytest.param("gpt2", ask("training"), (512, 0), id="a training step generates nothing"),
        pytest.param(
            "gpt2",
            ask("inference", input={"text": {"inputTokens": 1000}}),
            (1000, 24),
            id="the default output shrinks to what the maximum length leaves",
        ),
        pytest.param(
            "gpt2",
            ask("inference", input={"text": {"outputTokens": 900}}),
            (124, 900),
            id="the default input shrinks to what the output leaves",
        ),
    ],
)
def test_token_defaults(model: str, workload: WorkloadSpec, tokens: tuple[int, int]) -> None:
    resolved = resolve(arch(model), workload, RuntimeSpec(), gpus=1)
    assert not isinstance(resolved, Impossible)
    assert (resolved.input.input_tokens, resolved.input.output_tokens) == tokens


@pytest.mark.parametrize(
    ("model", "workload", "sound"),
    [
        pytest.param("whisper-tiny", ask("inference"), (30, 128), id="Whisper hears 30 s and writes 128 tokens"),
        pytest.param("whisper-tiny", ask("training"), (30, 128), id="Whisper is trained on targets of 128 tokens"),
        pytest.param("wav2vec2", ask("training"), (10, None), id="a waveform of 10 s"),
        pytest.param(
            "wav2vec2", ask("inference", input={"audio": {"seconds": 3}}), (3, None), id="a waveform as asked"
        ),
    ],
)
def test_sound_defaults(model: str, workload: WorkloadSpec, sound: tuple[int, int | None]) -> None:
    resolved = resolve(arch(model), workload, RuntimeSpec(), gpus=1)
    assert not isinstance(resolved, Impossible)
    assert (resolved.input.audio_seconds, resolved.input.output_tokens) == sound


@pytest.mark.parametrize(
    ("kind", "gpus", "precision"),
    [("inference", 1, "bf16"), ("training", 1, "bf16-mixed"), ("inference", 0, "fp32"), ("training", 0, "fp32")],
)
def test_precision_defaults_to_what_the_device_does_well(kind: str, gpus: int, precision: str) -> None:
    resolved = resolve(arch("gpt2"), ask(kind), RuntimeSpec(), gpus)
    assert not isinstance(resolved, Impossible)
    assert resolved.precision.value == precision


@pytest.mark.parametrize(
    ("model", "workload", "runtime", "gpus", "reason", "word"),
    [
        pytest.param(
            "gpt2",
            ask("inference"),
            {"precision": "tf32"},
            0,
            Reason.IMPOSSIBLE_PRECISION,
            "needs a GPU",
            id="tf32 on CPU",
        ),
        pytest.param(
            "gpt2",
            ask("inference"),
            {"precision": "fp32", "quantization": {"type": "BitsAndBytesNF4"}},
            1,
            Reason.IMPOSSIBLE_PRECISION,
            "only products of 16-bit numbers are described here; use bf16 or fp16",
            id="quantized matrices whose products are wider than what is described",
        ),
        pytest.param(
            "gpt2",
            ask("training"),
            {"precision": "fp16"},
            1,
            Reason.IMPOSSIBLE_PRECISION,
            "fp16-mixed",
            id="training in pure fp16",
        ),
        pytest.param(
            "gpt2",
            ask("inference"),
            {"precision": "bf16-mixed"},
            1,
            Reason.IMPOSSIBLE_PRECISION,
            "use bf16",
            id="mixed inference",
        ),
        pytest.param(
            "gpt2",
            ask("inference", input={"text": {"inputTokens": 1025}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "at most 1024",
            id="longer than the model",
        ),
        pytest.param(
            "bert-base-uncased",
            ask("inference", input={"text": {"outputTokens": 4}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "does not generate",
            id="an encoder asked to generate",
        ),
        pytest.param(
            "gpt2",
            ask("inference", input={"image": {}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "reads text",
            id="an image for a text model",
        ),
        pytest.param(
            "gemma-2-2b",
            ask("inference"),
            {"attention": "SDPA"},
            1,
            Reason.IMPOSSIBLE_ATTENTION,
            "use Auto or Eager",
            id="fused attention of a class that has none",
        ),
        pytest.param(
            "resnet-50",
            ask("inference"),
            {"attention": "SDPA"},
            1,
            Reason.IMPOSSIBLE_ATTENTION,
            "use Auto or Eager",
            id="fused attention of convolutions",
        ),
        pytest.param(
            "whisper-tiny",
            ask("inference", input={"audio": {"seconds": 10}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "hears 30 s",
            id="another length than the model takes",
        ),
        pytest.param(
            "whisper-tiny",
            ask("inference", input={"text": {"outputTokens": 449}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "writes 1 to 448 tokens",
            id="more than the model writes",
        ),
        pytest.param(
            "whisper-tiny",
            ask("inference", input={"text": {"inputTokens": 5}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "hears audio",
            id="text for a model that hears",
        ),
        pytest.param(
            "wav2vec2",
            ask("inference", input={"text": {"outputTokens": 5}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "does not generate",
            id="output of a model that only hears",
        ),
        pytest.param(
            "resnet-18",
            ask("inference", input={"audio": {}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "sees images",
            id="a sound for a vision model",
        ),
        pytest.param(
            "gpt2",
            ask("inference", input={"audio": {}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "reads text",
            id="a sound for a text model",
        ),
        pytest.param(
            "efficientnet-b0",
            ask("training", gradientCheckpointing="Full"),
            {},
            1,
            Reason.IMPOSSIBLE_TRAINING,
            "cannot checkpoint",
            id="checkpointing without layers to checkpoint",
        ),
        pytest.param(
            "albert",
            ask("training", gradientCheckpointing="Full"),
            {},
            1,
            Reason.IMPOSSIBLE_TRAINING,
            "cannot checkpoint",
            id="checkpointing of shared layers",
        ),
        pytest.param(
            "resnet-18",
            ask("inference", input={"text": {}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "sees images",
            id="text for a vision model",
        ),
        pytest.param(
            "resnet-18",
            ask("training", gradientCheckpointing="Full"),
            {},
            1,
            Reason.IMPOSSIBLE_TRAINING,
            "type resnet",
            id="checkpointing without transformer layers",
        ),
        pytest.param(
            "resnet-18",
            ask("training", lora={}),
            {},
            1,
            Reason.IMPOSSIBLE_TRAINING,
            "lora needs transformer layers",
            id="adapters without transformer layers",
        ),
        pytest.param(
            "resnet-18",
            ask("analysis", kind="AttentionVisualization"),
            {},
            1,
            Reason.IMPOSSIBLE_ANALYSIS,
            "has no attention",
            id="attention of a model without any",
        ),
        pytest.param(
            "bert",
            ask("analysis", kind="AttentionVisualization"),
            {"attention": "SDPA"},
            1,
            Reason.IMPOSSIBLE_ANALYSIS,
            "never holds its weights",
            id="attention weights of fused attention",
        ),
        pytest.param(
            "resnet-18",
            ask("analysis", kind="LayerAnalysis"),
            {},
            1,
            Reason.IMPOSSIBLE_ANALYSIS,
            "layers of one width",
            id="layers that differ in width",
        ),
        pytest.param(
            "albert",
            ask("analysis", kind="ConceptAnalysis"),
            {},
            1,
            Reason.IMPOSSIBLE_ANALYSIS,
            "weights of their own",
            id="a probe of one of several layers with the same weights",
        ),
        pytest.param(
            "bert",
            ask("analysis", kind="ConceptAnalysis", layer=13),
            {},
            1,
            Reason.IMPOSSIBLE_ANALYSIS,
            "at most 12",
            id="a layer beyond the last",
        ),
        pytest.param(
            "gpt2",
            ask("analysis", kind="LayerAnalysis", input={"text": {"outputTokens": 4}}),
            {},
            1,
            Reason.IMPOSSIBLE_INPUT,
            "an analysis generates nothing",
            id="an analysis asked to generate",
        ),
        pytest.param(
            "gpt2",
            ask("analysis", kind="GradientAnalysis"),
            {"precision": "bf16-mixed"},
            1,
            Reason.IMPOSSIBLE_PRECISION,
            "for analysis use bf16",
            id="mixed analysis",
        ),
        pytest.param(
            "bert",
            ask("inference", cache="Static"),
            {},
            1,
            Reason.IMPOSSIBLE_CACHE,
            "does not generate",
            id="a static cache of an encoder",
        ),
        pytest.param(
            "gpt2",
            ask("inference", cache="Static", input={"text": {"outputTokens": 0}}),
            {},
            1,
            Reason.IMPOSSIBLE_CACHE,
            "outputTokens is 0",
            id="a static cache that nothing is generated into",
        ),
        pytest.param(
            "gpt-neo-125m",
            ask("inference", cache="Static"),
            {},
            1,
            Reason.IMPOSSIBLE_CACHE,
            "gives other tokens",
            id="a static cache that the class reads wrongly",
        ),
    ],
)
def test_impossible(
    model: str, workload: WorkloadSpec, runtime: dict[str, str], gpus: int, reason: Reason, word: str
) -> None:
    answer = resolve(arch(model), workload, RuntimeSpec.model_validate(runtime), gpus)
    assert isinstance(answer, Impossible)
    assert answer.reason is reason
    assert word in answer.message


@pytest.mark.parametrize(
    ("model", "workload", "attention", "layer"),
    [
        pytest.param("bert", ask("analysis", kind="AttentionVisualization"), "Eager", None, id="weights need eager"),
        pytest.param("bert", ask("analysis", kind="GradientAnalysis"), "Auto", None, id="gradients do not"),
        pytest.param("bert", ask("analysis", kind="ConceptAnalysis"), "Auto", 6, id="the middle layer is probed"),
        pytest.param("t5-base", ask("analysis", kind="ConceptAnalysis"), "Auto", 6, id="the encoder's"),
        pytest.param("gpt2", ask("analysis", kind="ConceptAnalysis", layer=12), "Auto", 12, id="the layer asked for"),
    ],
)
def test_what_an_analysis_runs_with(model: str, workload: WorkloadSpec, attention: str, layer: int | None) -> None:
    resolved = resolve(arch(model), workload, RuntimeSpec(), gpus=1)
    assert not isinstance(resolved, Impossible)
    assert (resolved.attention.value, resolved.layer, resolved.input.output_tokens) == (attention, layer, 0)


@pytest.mark.parametrize(
    ("model", "workload", "cache"),
    [
        pytest.param("gpt2", ask("inference"), "Dynamic", id="a generation's cache grows by default"),
        pytest.param("whisper-tiny", ask("inference", cache="Static"), "Static", id="or is there from the start"),
        pytest.param("gpt2", ask("inference", input={"text": {"outputTokens": 0}}), None, id="a prefill has none"),
        pytest.param("gpt2", ask("training"), None, id="nor has a training step"),
    ],
)
def test_how_a_cache_is_kept(model: str, workload: WorkloadSpec, cache: str | None) -> None:
    resolved = resolve(arch(model), workload, RuntimeSpec(), gpus=1)
    assert not isinstance(resolved, Impossible)
    assert resolved.cache == cache


@pytest.mark.parametrize(
    ("model", "gpus", "words"),
    [
        pytest.param("meta-llama/Llama-3.1-8B", 3, "one of 2, 4, 8", id="heads for some numbers of GPUs"),
        pytest.param("Qwen/Qwen2.5-0.5B", 4, "14 heads, 2 of keys and values", id="too few heads of keys and values"),
        pytest.param("microsoft/resnet-50", 2, "has no attention to divide", id="no heads at all"),
    ],
)
def test_heads_that_cannot_be_divided(model: str, gpus: int, words: str) -> None:
    shared = ParallelismSpec(type=ParallelismType.TENSOR_PARALLEL)
    answer = resolve(arch(model), ask("inference"), RuntimeSpec(), gpus, shared)
    assert isinstance(answer, Impossible)
    assert answer.reason is Reason.IMPOSSIBLE_PARALLELISM
    assert words in answer.message


def test_who_shares_is_told_only_where_several_do() -> None:
    alone = resolve(arch("gpt2"), ask("training"), RuntimeSpec(), 1)
    shared = resolve(arch("gpt2"), ask("training"), RuntimeSpec(), 4, ParallelismSpec(type=ParallelismType.FSDP))
    assert isinstance(alone, Resolved) and isinstance(shared, Resolved)
    assert (alone.devices, alone.parallelism, alone.fsdp_strategy) == (None, None, None)
    assert (shared.devices, shared.parallelism) == (4, ParallelismType.FSDP)
