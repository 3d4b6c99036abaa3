"""The closed form of the allocated peak against a count of living storages, on a CPU."""

from typing import Any

import pytest
from tests.torch.live import Live
from tests.torch.small_models import MODELS, SIDE, attention_of, built

from wattmark.api.answers import BytesEstimate, Need
from wattmark.api.benchmarkjob import ESTIMATED_OPTIMIZERS
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.training import GradientCheckpointing, Optimizer
from wattmark.api.workload import WorkloadSpec, WorkloadType
from wattmark.estimate import need
from wattmark.models import Architecture, Family, Modality, architecture, head_for
from wattmark.models.resolve import Impossible, resolve

torch = pytest.importorskip("torch")

from wattmark_runner.workloads.adapters import adapt  # noqa: E402
from wattmark_runner.workloads.training import optimizer_of  # noqa: E402

BATCH, TOKENS, VOCABULARY = 8, 128, 1000


def asked(
    read: Architecture, name: str, workload: WorkloadType, precision: Precision, options: dict[str, Any]
) -> Resolved:
    text: dict[str, int] = {"inputTokens": TOKENS}
    if workload is WorkloadType.INFERENCE and read.decoder:
        text["outputTokens"] = 0
    image = {"heightPixels": SIDE, "widthPixels": SIDE}
    sample = {"text": text} if read.modality is Modality.TEXT else {"image": image}
    shape = {"batchSizePerDevice": BATCH, "input": sample, **options}
    spec = WorkloadSpec.model_validate({"type": workload, workload.value.lower(): shape})
    resolved = resolve(read, spec, RuntimeSpec(precision=precision, attention=attention_of(name)), 0)
    assert not isinstance(resolved, Impossible)
    return resolved


def batch(read: Architecture, training: bool, dtype: Any, rows: int, tokens: int) -> dict[str, Any]:
    """The inputs that the runner gives."""
    if read.modality is Modality.IMAGE:
        given = {"pixel_values": torch.randn(rows, 3, SIDE, SIDE, dtype=dtype)}
        return given | {"labels": torch.zeros(rows, dtype=torch.long)} if training else given
    ids = torch.randint(0, VOCABULARY, (rows, tokens))
    if read.family is Family.ENCODER:
        return {"input_ids": ids, "labels": torch.zeros(rows, dtype=torch.long)} if training else {"input_ids": ids}
    if training:
        return {"input_ids": ids, "labels": ids} | ({"use_cache": False} if read.family is Family.DECODER else {})
    if read.family is Family.DECODER:
        return {"input_ids": ids, "use_cache": True, "logits_to_keep": 1}
    return {"input_ids": ids, "decoder_input_ids": ids, "use_cache": True}


def peak(read: Architecture, name: str, resolved: Resolved, config: dict[str, Any]) -> int:
    """Most bytes of live tensors in one forward pass, or in the second training step (the first makes the states)."""
    training = resolved.workload_type is WorkloadType.TRAINING
    dtype = torch.bfloat16 if resolved.precision is Precision.BF16 else torch.float32
    model = built(config, head_for(read, resolved.workload_type), attention_of(name), dtype).train(training)
    if resolved.gradient_checkpointing is GradientCheckpointing.FULL:
        model.activation_checkpointing_enable({"use_reentrant": False})
    if resolved.lora:
        adapt(model, resolved.lora)
    optimizer = optimizer_of(resolved, model.parameters()) if training else None
    inputs = batch(read, training, dtype, BATCH, TOKENS)

    def step(given: dict[str, Any]) -> None:
        if optimizer is None:
            with torch.no_grad():
                model(**given)
            return
        for _ in range(resolved.gradient_accumulation_steps or 1):
            with torch.autocast("cpu", torch.bfloat16, enabled=resolved.precision is Precision.BF16_MIXED):
                loss = model(**given).loss
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    if training:
        step(batch(read, training, dtype, 2, 8))  # makes the states, whose sizes no batch changes
    held = [*model.parameters(), *model.buffers(), *inputs.values()]
    if optimizer:
        held += [value for state in optimizer.state.values() for value in state.values()]
    with Live(held) as live:
        step(inputs)
    return live.peak


def compared(
    name: str, workload: WorkloadType, precision: Precision, options: dict[str, Any] | None = None
) -> tuple[BytesEstimate, int]:
    """The predicted and the tracked peak."""
    config = MODELS[name] | ({"vocab_size": VOCABULARY} if "vocab_size" in MODELS[name] else {})
    read = architecture(config)
    assert isinstance(read, Architecture), read
    resolved = asked(read, name, workload, precision, options or {})
    found = need(read, resolved, Weights.RANDOM, None)
    assert isinstance(found, Need)
    tracked, predicted = peak(read, name, resolved, config), found.allocated_bytes
    error = predicted.likely / tracked - 1
    print(
        f"{name:32} {workload:10} {precision:10} {options or ''!s:60} tracked {tracked:>11} "
        f"predicted {predicted.likely:>11} {error:+.1%}"
    )
    return predicted, tracked


@pytest.mark.parametrize(
    ("workload", "precision"),
    [
        (WorkloadType.INFERENCE, Precision.FP32),
        (WorkloadType.INFERENCE, Precision.BF16),
        (WorkloadType.TRAINING, Precision.FP32),
        (WorkloadType.TRAINING, Precision.BF16),
        (WorkloadType.TRAINING, Precision.BF16_MIXED),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_the_predicted_peak_is_the_tracked_one(name: str, workload: WorkloadType, precision: Precision) -> None:
    predicted, tracked = compared(name, workload, precision)
    assert predicted.low <= tracked <= predicted.high
    assert abs(predicted.likely / tracked - 1) < (0.05 if workload is WorkloadType.TRAINING else 0.15)


CHECKPOINTED = {"gradientCheckpointing": "Full"}
ACCUMULATED = {"gradientAccumulationSteps": 2, "optimizer": "AdamWFused"}


WHOLLY = ("an encoder", "GPT-2", "Llama with grouped heads", "Mixtral", "T5", "a vision transformer")  # every option
OPTIONS: list[Any] = [
    pytest.param(name, options, precision, id=f"{name} {options} {precision}")
    for name in MODELS
    if "residual" not in name and name != "ALBERT"
    for options in (CHECKPOINTED, ACCUMULATED, CHECKPOINTED | ACCUMULATED)
    for precision in (Precision.FP32, Precision.BF16_MIXED)
    # Of the others each option once: what is computed again in fp32, what is added up beside it under autocast.
    if name in WHOLLY
    or (options, precision) in ((CHECKPOINTED, Precision.FP32), (CHECKPOINTED | ACCUMULATED, Precision.BF16_MIXED))
]


@pytest.mark.parametrize(("name", "options", "precision"), OPTIONS)
def test_recomputed_layers_and_accumulated_gradients(name: str, options: dict[str, Any], precision: Precision) -> None:
    predicted, tracked = compared(name, WorkloadType.TRAINING, precision, options)
    assert predicted.low <= tracked <= predicted.high
    assert abs(predicted.likely / tracked - 1) < 0.05


@pytest.mark.parametrize(
    ("options", "precision"),
    [
        pytest.param({"lora": {}}, Precision.FP32, id="all matrices"),
        pytest.param({"lora": {}}, Precision.BF16_MIXED, id="all matrices under autocast"),
        pytest.param({"lora": {"targets": "Attention"}}, Precision.BF16, id="those of attention"),
        pytest.param(CHECKPOINTED | {"lora": {}}, Precision.BF16_MIXED, id="all, layers computed again under autocast"),
    ],
)
@pytest.mark.parametrize("name", ["an encoder", "GPT-2", "Llama with grouped heads", "T5", "a vision transformer"])
def test_adapters_beside_frozen_weights(name: str, options: dict[str, Any], precision: Precision) -> None:
    predicted, tracked = compared(name, WorkloadType.TRAINING, precision, options)
    assert predicted.low <= tracked <= predicted.high
    # What autocast copies for an adapter is not followed copy by copy.
    assert abs(predicted.likely / tracked - 1) < (0.1 if precision is Precision.BF16_MIXED else 0.05)


@pytest.mark.parametrize("optimizer", [o for o in Optimizer if o not in ESTIMATED_OPTIMIZERS])
@pytest.mark.parametrize("name", ["an encoder", "GPT-2", "Llama with grouped heads", "T5", "a residual network"])
def test_what_an_optimizer_takes(monkeypatch: pytest.MonkeyPatch, name: str, optimizer: Optimizer) -> None:
    monkeypatch.setitem(globals(), "BATCH", 1)  # activations small beside the states
    monkeypatch.setitem(globals(), "TOKENS", 8)
    predicted, tracked = compared(name, WorkloadType.TRAINING, Precision.FP32, {"optimizer": optimizer})
    assert predicted.low <= tracked <= predicted.high
    assert abs(predicted.likely / tracked - 1) < 0.05
