"""What quantized matrices take, and what their products need beside them."""

import pytest
from tests.unit.test_estimate_need import (
    DOUBLE,
    GPU,
    INT8,
    LEEWAY,
    NF4,
    UNKNOWN_GPU,
    asked,
    known,
    needed,
    part,
    stored,
)

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.model import Weights
from wattmark.api.runtime import Precision, QuantizationSpec
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Question, Unknown, phases
from wattmark.estimate.quantized import matrices, weight_bytes
from wattmark.models import known_ids

LLAMA = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14336)  # elements of Llama 3.1 8B's matrices within layers
LLAMA_ROWS = 32 * (2 * 4096 + 2 * 1024 + 2 * 14336 + 4096)
LLAMA_REST = 8_030_261_248 - LLAMA
TABLES = 32 * 7
STORED = [
    pytest.param(INT8, LLAMA + 4 * LLAMA_ROWS, id="int8: a byte, and a scale per row"),
    pytest.param(NF4, LLAMA // 2 + 4 * LLAMA // 64 + 64 * TABLES, id="NF4: half a byte, and a scale per 64"),
    pytest.param(
        DOUBLE,
        LLAMA // 2 + LLAMA // 64 + 4 * LLAMA // 64 // 256 + (64 + 1024 + 4) * TABLES,
        id="double quantization: scales of a byte, and one of four bytes per 256",
    ),
]


@pytest.mark.parametrize(("quantization", "size"), STORED)
def test_matrices_within_layers_are_quantized_and_nothing_else(quantization: QuantizationSpec, size: int) -> None:
    read = known("llama-3.1-8b")
    resolved = stored(asked(read, precision=Precision.BF16), quantization)
    assert weight_bytes(Question(read, resolved, Weights.RANDOM, on_gpu=True)) == size + 2 * LLAMA_REST
    assert part(needed(read, resolved), ComponentName.WEIGHTS) == size + 2 * LLAMA_REST


@pytest.mark.parametrize(
    ("precision", "bytes_kept"),
    [
        pytest.param(Precision.BF16, 2, id="bf16: T5's second matrices stay 16-bit"),
        pytest.param(Precision.FP16, 4, id="fp16: they are raised to fp32"),
    ],
)
def test_what_a_class_keeps_wide_is_not_quantized(precision: Precision, bytes_kept: int) -> None:
    read = known("t5-base")
    question = Question(read, stored(asked(read, precision=precision), INT8), Weights.RANDOM, on_gpu=True)
    wide, rest = 24 * 768 * 3072, question.count.total - 24 * 768 * 3072
    quantized = sum(w.outputs * w.inputs * w.count for w in matrices(question))
    rows = sum(w.outputs * w.count for w in matrices(question))
    assert weight_bytes(question) == bytes_kept * wide + 2 * (rest - quantized) + quantized + 4 * rows


def test_a_mixture_keeps_its_experts() -> None:
    read = known("mixtral-8x7b")
    whole, quantized = (needed(read, stored(asked(read), how)) for how in (None, NF4))
    attention = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024)
    saved = part(whole, ComponentName.WEIGHTS) - part(quantized, ComponentName.WEIGHTS)
    assert 1.4 * attention < saved < 1.5 * attention


ONE_OF_EACH_CLASS = {
    known(i).model_type: i for i in known_ids() if not known(i).unmodelled and not known(i).convolutions
}
CASES = [
    (name, workload)
    for name in ONE_OF_EACH_CLASS.values()
    for workload in WorkloadType
    # What a speech model saves is unknown
    if workload is WorkloadType.INFERENCE or not known(name).only_inference
]


@pytest.mark.parametrize("quantization", [INT8, NF4, DOUBLE], ids=["int8", "NF4", "doubly"])
@pytest.mark.parametrize(("name", "workload"), CASES)
def test_the_parts_are_the_whole(name: str, workload: WorkloadType, quantization: QuantizationSpec) -> None:
    read = known(name)
    adapters = {"lora": {}} if workload is WorkloadType.TRAINING else {}
    for gpu in (GPU, UNKNOWN_GPU):
        found = needed(read, stored(asked(read, workload, **adapters), quantization), gpu)
        whole = found.device_bytes
        assert whole is not None, gpu
        assert sum(c.likely_bytes for c in found.components) == whole.likely, gpu
        assert sum(c.low_bytes for c in found.components) - LEEWAY * whole.likely <= whole.low <= whole.likely, gpu
        assert whole.likely <= sum(c.high_bytes for c in found.components) <= whole.high, gpu


def moments(name: str, phase: Phase, quantization: QuantizationSpec, **shape: object) -> list[dict[str, int]]:
    read = known(name)
    every = phases(Question(read, stored(asked(read, **shape), quantization), Weights.RANDOM, on_gpu=True))
    assert not isinstance(every, Unknown)
    return [{p.name: p.size.likely for p in found.parts} for found in every if found.phase is phase]


@pytest.mark.parametrize(
    ("quantization", "copies"),
    [pytest.param(INT8, 2, id="int8: in 16 bits twice"), pytest.param(NF4, 1, id="NF4: in 16 bits")],
)
def test_matrices_are_loaded_one_after_the_other(quantization: QuantizationSpec, copies: int) -> None:
    (loading,) = moments("llama-3.1-8b", Phase.LOAD, quantization)
    assert loading[ComponentName.WORKSPACE] == copies * 2 * 4096 * 14336


@pytest.mark.parametrize(
    ("batch", "made"),
    [
        pytest.param(4, 0, id="few rows are multiplied as they are stored"),
        pytest.param(5, 2 * 4096 * 14336 - 5 * 14336 * 2, id="more take the matrix in 16 bits, less a width"),
    ],
)
def test_a_product_with_a_matrix_of_4_bits(batch: int, made: int) -> None:
    shape = {"batchSizePerDevice": batch, "inputTokens": 1, "outputTokens": 8}
    (decoding,) = moments("llama-3.1-8b", Phase.DECODE, NF4, **shape)
    assert decoding[ComponentName.WORKSPACE] == made


def test_int8_inputs_are_kept_beside_what_is_computed_again() -> None:
    read = known("llama-3.1-8b")
    shape = {"batchSizePerDevice": 1, "inputTokens": 4096, "lora": {}, "gradientCheckpointing": "Full"}
    resolved = asked(read, WorkloadType.TRAINING, Precision.BF16, **shape)
    int8, nf4 = (part(needed(read, stored(resolved, how)), ComponentName.ACTIVATIONS) for how in (INT8, NF4))
    assert int8 - nf4 == 32 * 4096 * (2 * 4096 + 4096 + 14336) * 2
