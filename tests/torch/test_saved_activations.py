"""The closed form of what a forward pass saves for the backward pass, against what autograd really keeps."""

from typing import Any

import pytest
from tests.torch.small_models import MODELS, SIDE, attention_of, built

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.model import Weights
from wattmark.api.order import Resolved, ResolvedInput
from wattmark.api.runtime import Attention, Precision
from wattmark.api.training import Optimizer
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Question, Unknown, phases
from wattmark.models import Architecture, Modality, architecture, head_for

torch = pytest.importorskip("torch")

BATCH, TOKENS = 4, 96


def question(read: Architecture, precision: Precision, attention: Attention) -> Question:
    text = read.modality is Modality.TEXT
    sample = ResolvedInput(input_tokens=TOKENS) if text else ResolvedInput(height_pixels=SIDE, width_pixels=SIDE)
    resolved = Resolved(
        workload_type=WorkloadType.TRAINING,
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
    # Of images autocast saves a copy; the caller holds them themselves.
    images = asked.pixel_bytes if asked.formats.mixed else 0
    return sum(part.size.likely for part in forward.parts if part.name in kept) - images


def really_saved(config: dict[str, Any], read: Architecture, precision: Precision, attention: Attention) -> int:
    """Bytes of the unique storages that autograd packs, parameters and tables apart."""
    dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    model = built(config, head_for(read, WorkloadType.TRAINING), attention, dtype).train()
    parameters = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
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
    attention = attention_of(name)
    measured = really_saved(MODELS[name], read, precision, attention)
    likely = predicted(question(read, precision, attention))
    print(f"{name:26} {precision.value:11} measured {measured:>11} predicted {likely:>11} {likely / measured - 1:+.1%}")
    assert abs(likely / measured - 1) < 0.05
