"""Divided parameters, gradients and states; tests/torch/test_fsdp.py compares them with the framework's."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.shared_runs import FSDP, GRADIENTS, on_each
from tests.unit.test_estimate_need import part

from wattmark.api.answers import ComponentName, Need
from wattmark.estimate import Unknown

LLAMA = "meta-llama/Llama-3.1-8B"
UNKNOWN: list[Any] = [
    pytest.param(
        "microsoft/resnet-50",
        {},
        "a model of type resnet is divided; use parallelism.type DDP",
        id="no layers to gather one by one",
    ),
    pytest.param(
        "albert-base-v2",
        {},
        "shared layers (albert) are divided; use parallelism.type DDP",
        id="layers that are one and the same",
    ),
    pytest.param(
        "gpt2",
        {"optimizer": "Adafactor"},
        "how Adafactor keeps its states of divided parameters; use training.optimizer AdamW, or parallelism.type DDP",
        id="states by rows and columns",
    ),
]


@pytest.mark.parametrize(("model", "shape", "words"), UNKNOWN)
def test_what_is_not_known(model: str, shape: dict[str, Any], words: str) -> None:
    answer = on_each(model, 4, FSDP, **shape)
    assert isinstance(answer, Unknown) and words in answer.reason


def test_sixteen_bytes_a_parameter_are_divided() -> None:
    found = on_each(LLAMA, 8, FSDP, precision="bf16-mixed", batchSizePerDevice=1)
    assert isinstance(found, Need)
    assert part(found, ComponentName.WEIGHTS) == 4 * 8_030_261_248 // 8
    assert part(found, ComponentName.OPTIMIZER) == 8 * 8_030_261_248 // 8
    assert part(found, ComponentName.NCCL) > 0


needs = st.tuples(
    st.sampled_from(["gpt2", LLAMA, "bert-base-uncased", "t5-small", "google/vit-base-patch16-224"]),
    st.sampled_from([FSDP, GRADIENTS]),
    st.sampled_from(["fp32", "bf16", "bf16-mixed"]),
    st.integers(1, 64),
    st.sampled_from(["None", "Full"]),
)


@settings(deadline=None)
@given(needs, st.integers(2, 15))
def test_more_gpus_never_hold_more_each_but_for_what_is_rounded_up(drawn: Any, gpus: int) -> None:
    model, how, precision, batch, checkpointing = drawn
    shape = {"precision": precision, "batchSizePerDevice": batch, "gradientCheckpointing": checkpointing}
    few, many = on_each(model, gpus, how, **shape), on_each(model, gpus + 1, how, **shape)
    assert isinstance(few, Need) and isinstance(many, Need)
    # Whole layers are gathered: a row more of each tensor may be.
    assert many.allocated_bytes.likely <= few.allocated_bytes.likely * 1.01
    assert sum(c.likely_bytes for c in few.components) == pytest.approx(
        few.device_bytes.likely if few.device_bytes else 0
    )


@settings(deadline=None)
@given(needs, st.integers(2, 16))
def test_what_is_dropped_between_passes_saves_memory(drawn: Any, gpus: int) -> None:
    model, _, precision, batch, checkpointing = drawn
    shape = {"precision": precision, "batchSizePerDevice": batch, "gradientCheckpointing": checkpointing}
    full, kept = on_each(model, gpus, FSDP, **shape), on_each(model, gpus, GRADIENTS, **shape)
    assert isinstance(full, Need) and isinstance(kept, Need)
    assert full.allocated_bytes.likely <= kept.allocated_bytes.likely
