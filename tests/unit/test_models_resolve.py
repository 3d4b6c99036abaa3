import pytest

from wattmark.api.conditions import Reason
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


def ask(kind: str, **shape: object) -> WorkloadSpec:
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
    ],
)
def test_impossible(
    model: str, workload: WorkloadSpec, runtime: dict[str, str], gpus: int, reason: Reason, word: str
) -> None:
    answer = resolve(arch(model), workload, RuntimeSpec.model_validate(runtime), gpus)
    assert isinstance(answer, Impossible)
    assert answer.reason is reason
    assert word in answer.message
