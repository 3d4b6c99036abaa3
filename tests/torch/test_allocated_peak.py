"""The closed form of the allocated peak against torch's own tracker of live tensors, on a CPU."""

import warnings
from typing import Any

import pytest
from tests.torch.small_models import MODELS, SIDE, attention_of, built

from wattmark.api.answers import Need
from wattmark.api.order import Resolved
from wattmark.api.workload import Precision, RuntimeSpec, Weights, WorkloadSpec, WorkloadType
from wattmark.estimate import need
from wattmark.models import Architecture, Family, Modality, architecture, head_for
from wattmark.models.resolve import Impossible, resolve

torch = pytest.importorskip("torch")
from torch.distributed._tools.mem_tracker import MemTracker  # noqa: E402

BATCH, TOKENS, VOCABULARY = 8, 128, 1000


def asked(read: Architecture, name: str, workload: WorkloadType, precision: Precision) -> Resolved:
    text: dict[str, int] = {"inputTokens": TOKENS}
    if workload is WorkloadType.INFERENCE and read.decoder:
        text["outputTokens"] = 0
    image = {"heightPixels": SIDE, "widthPixels": SIDE}
    sample = {"text": text} if read.modality is Modality.TEXT else {"image": image}
    shape = {"batchSizePerDevice": BATCH, "input": sample}
    spec = WorkloadSpec.model_validate({"type": workload, workload.value.lower(): shape})
    resolved = resolve(read, spec, RuntimeSpec(precision=precision, attention=attention_of(name)), 0)
    assert not isinstance(resolved, Impossible)
    return resolved


def batch(read: Architecture, training: bool, dtype: Any) -> dict[str, Any]:
    """The inputs that the runner gives."""
    if read.modality is Modality.IMAGE:
        given = {"pixel_values": torch.randn(BATCH, 3, SIDE, SIDE, dtype=dtype)}
        return given | {"labels": torch.zeros(BATCH, dtype=torch.long)} if training else given
    ids = torch.randint(0, VOCABULARY, (BATCH, TOKENS))
    if read.family is Family.ENCODER:
        return {"input_ids": ids, "labels": torch.zeros(BATCH, dtype=torch.long)} if training else {"input_ids": ids}
    if training:
        return {"input_ids": ids, "labels": ids} | ({"use_cache": False} if read.family is Family.DECODER else {})
    if read.family is Family.DECODER:
        return {"input_ids": ids, "use_cache": True, "logits_to_keep": 1}
    return {"input_ids": ids, "decoder_input_ids": ids, "use_cache": True}


def peak(read: Architecture, name: str, workload: WorkloadType, precision: Precision, config: dict[str, Any]) -> int:
    """Most bytes of live tensors in one forward pass, or in the second training step (the first makes the states)."""
    training = workload is WorkloadType.TRAINING
    dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    model = built(config, head_for(read, workload), attention_of(name), dtype).train(training)
    optimizer = torch.optim.AdamW(model.parameters()) if training else None
    inputs = batch(read, training, dtype)

    def step() -> None:
        if optimizer is None:
            with torch.no_grad():
                model(**inputs)
            return
        with torch.autocast("cpu", torch.bfloat16, enabled=precision is Precision.BF16_MIXED):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    if training:
        step()
    tracker = MemTracker()
    tracker.track_external(model, *([optimizer] if optimizer else []))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its hooks warn of a batch that needs no gradient
        with tracker:
            step()
    return sum(
        size
        for device in tracker.get_tracker_snapshot("peak").values()
        for kind, size in device.items()
        if str(kind) == "Total"
    )


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
    config = MODELS[name] | ({"vocab_size": VOCABULARY} if "vocab_size" in MODELS[name] else {})
    read = architecture(config)
    assert isinstance(read, Architecture), read
    found = need(read, asked(read, name, workload, precision), Weights.RANDOM, None)
    assert isinstance(found, Need)
    tracked, predicted = peak(read, name, workload, precision, config), found.allocated_bytes
    error = predicted.likely / tracked - 1
    print(f"{name:32} {workload:10} {precision:10} tracked {tracked:>11} predicted {predicted.likely:>11} {error:+.1%}")
    assert predicted.low <= tracked <= predicted.high
    assert abs(error) < 0.15
