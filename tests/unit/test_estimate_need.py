"""The need as a whole: its parts, its totals, and how it moves with the workload."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import ComponentName, Need, Phase
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.runtime import NF4Spec, Precision, QuantizationSpec, QuantizationType, RuntimeSpec
from wattmark.api.training import GradientCheckpointing, LoraTargets, Optimizer
from wattmark.api.workload import WorkloadSpec, WorkloadType
from wattmark.estimate import Gpu, Question, Unknown, need, phases
from wattmark.estimate.interval import LEAST_DEVIATION, Z_95
from wattmark.models import Architecture, Head, architecture, known_ids, lookup, parameters
from wattmark.models.resolve import Impossible, resolve

GIB = 1 << 30
LEEWAY = LEAST_DEVIATION * Z_95  # no whole is surer, however sure its parts are
GPU = Gpu((8, 0))
UNKNOWN_GPU = Gpu()
INT8 = QuantizationSpec(type=QuantizationType.INT8)
NF4 = QuantizationSpec(type=QuantizationType.NF4)
DOUBLE = QuantizationSpec(type=QuantizationType.NF4, bits_and_bytes_nf4=NF4Spec(double_quantization=True))


def known(name: str) -> Architecture:
    model = lookup(name)
    assert model is not None
    read = architecture(model.config)
    assert isinstance(read, Architecture)
    return read


def asked(
    read: Architecture,
    workload: WorkloadType = WorkloadType.INFERENCE,
    precision: Precision | None = None,
    gpus: int = 1,
    **shape: Any,
) -> Resolved:
    text = {k: shape.pop(k) for k in ("inputTokens", "outputTokens") if k in shape}
    shape |= {"input": {"text": text}} if text else {}
    if workload is WorkloadType.ANALYSIS:
        shape = {"kind": AnalysisKind.ACTIVATION_EXTRACTION, **shape}
    spec = WorkloadSpec.model_validate({"type": workload, workload.value.lower(): shape})
    resolved = resolve(read, spec, RuntimeSpec(precision=precision), gpus)
    assert not isinstance(resolved, Impossible), resolved
    return resolved


def stored(resolved: Resolved, quantization: QuantizationSpec | None) -> Resolved:
    return resolved.model_copy(update={"quantization": quantization})


def needed(read: Architecture, resolved: Resolved, gpu: Gpu | None = GPU, weights: Weights = Weights.RANDOM) -> Need:
    found = need(read, resolved, weights, gpu)
    assert isinstance(found, Need), found
    return found


def part(found: Need, name: ComponentName) -> int:
    return next((c.likely_bytes for c in found.components if c.name is name), 0)


@pytest.mark.parametrize("model_id", [i for i in known_ids() if known(i).unmodelled])
def test_layers_without_a_formula_are_unknown_and_named(model_id: str) -> None:
    read = known(model_id)
    found = need(read, asked(read), Weights.RANDOM, GPU)
    assert isinstance(found, Unknown)
    assert read.unmodelled in found.reason


ASKED_ON = (GPU, Gpu((9, 0)), Gpu((7, 5)), UNKNOWN_GPU, None)


@pytest.mark.parametrize("workload", [WorkloadType.TRAINING, WorkloadType.ANALYSIS])
@pytest.mark.parametrize("model_id", [i for i in known_ids() if known(i).only_inference and not known(i).unmodelled])
def test_a_workload_without_a_formula_is_unknown_where_inference_is_not(model_id: str, workload: WorkloadType) -> None:
    read = known(model_id)
    found = need(read, asked(read, workload), Weights.RANDOM, GPU)
    assert isinstance(found, Unknown)
    assert read.only_inference in found.reason


FORMULATED = [i for i in known_ids() if not known(i).unmodelled]
# Of each class the smallest model, for a step of training is followed layer by layer; of inference, all.
TRAINED = {
    known(i).model_type: i
    for i in sorted(FORMULATED, key=lambda i: parameters(known(i), Head.BASE).total, reverse=True)
    if not known(i).only_inference
}
DESCRIBED = [
    *((i, WorkloadType.INFERENCE) for i in FORMULATED),
    *((i, workload) for i in TRAINED.values() for workload in (WorkloadType.TRAINING, WorkloadType.ANALYSIS)),
]


@pytest.mark.parametrize(("model_id", "workload"), DESCRIBED)
def test_the_parts_are_the_whole(model_id: str, workload: WorkloadType) -> None:
    read = known(model_id)
    for gpu in ASKED_ON:
        found = needed(read, asked(read, workload, gpus=0 if gpu is None else 1), gpu)
        whole = found.allocated_bytes if found.device_bytes is None else found.device_bytes
        assert sum(c.likely_bytes for c in found.components) == whole.likely, gpu
        # Another phase than the likely peak may reach further at either end, and no whole is surer than such are.
        assert sum(c.low_bytes for c in found.components) - LEEWAY * whole.likely <= whole.low <= whole.likely, gpu
        assert whole.likely <= sum(c.high_bytes for c in found.components) <= whole.high, gpu
        assert len({c.name for c in found.components}) == len(found.components), gpu
        (peak,) = [one for one in found.phases if one.phase is found.peak_phase]
        assert peak.likely_bytes == found.allocated_bytes.likely == max(one.likely_bytes for one in found.phases), gpu
        assert all(one.low_bytes <= one.likely_bytes <= one.high_bytes for one in found.phases), gpu
        assert found.phases[0].phase is Phase.LOAD, gpu
        assert found.host_bytes is not None, gpu
        if gpu is None:
            assert found.process_bytes is None
            assert found.host_bytes.likely > found.allocated_bytes.likely
        else:
            assert found.process_bytes is not None and found.device_bytes is not None, gpu
            assert found.allocated_bytes.likely < found.reserved_bytes.likely < found.process_bytes.likely, gpu
            # What is cached is given back before memory runs out: a GPU need not offer it.
            assert found.required_bytes is not None, gpu
            cached = part(found, ComponentName.ALLOCATOR_CACHE)
            assert found.required_bytes.likely == found.device_bytes.likely - cached > found.allocated_bytes.likely, gpu
            assert found.required_bytes.high <= found.device_bytes.high, gpu


@pytest.mark.parametrize(
    ("precision", "per_parameter"),
    [
        pytest.param(Precision.FP32, 16, id="fp32: weight, gradient and two states of 4 bytes"),
        pytest.param(Precision.BF16, 8, id="pure bf16: the same of 2 bytes"),
        pytest.param(Precision.BF16_MIXED, 16, id="autocast keeps all four in fp32; its copies are gone by the step"),
    ],
)
def test_a_large_model_in_training_takes_so_many_bytes_per_parameter(precision: Precision, per_parameter: int) -> None:
    read = known("llama-3.1-8b")
    resolved = asked(read, WorkloadType.TRAINING, precision, batchSizePerDevice=1, inputTokens=128)
    found = needed(read, resolved)
    states = (ComponentName.WEIGHTS, ComponentName.GRADIENTS, ComponentName.OPTIMIZER)
    assert found.peak_phase is Phase.OPTIMIZER_STEP
    assert sum(part(found, name) for name in states) == per_parameter * 8_030_261_248


GPT2_STATES = 124_439_808


@pytest.mark.parametrize(
    ("optimizer", "states", "temporaries"),
    [
        pytest.param("AdamW", 8 * GPT2_STATES, 4 * GPT2_STATES, id="AdamW: two states, a list of all parameters"),
        pytest.param("AdamWFused", 8 * GPT2_STATES, 0, id="a fused AdamW: two states, updated in place"),
        pytest.param("Lion", 4 * GPT2_STATES, 0, id="Lion: one state of four bytes, updated in place"),
        pytest.param(
            "AdamW8Bit",
            # Matrices take a byte per element and four per 256 in each state; a layer's biases and norms are small.
            2 * ((GPT2_STATES - 12 * 13 * 768 - 2 * 768) * 260 // 256 + 4 * (12 * 13 * 768 + 2 * 768)),
            0,
            id="AdamW in 8 bits: two states of a byte, of four in small tensors",
        ),
        pytest.param("SGDMomentum", 4 * GPT2_STATES, 0, id="SGD with momentum: one state"),
        pytest.param("SGD", 0, 0, id="plain SGD: none"),
        pytest.param(
            "Adafactor",
            # Matrices keep rows and columns: of two embeddings, and of query, key, value, output, up and down in each
            # layer. Vectors keep every element: a layer's biases are 9 hidden wide, its norms 4, the last one 2.
            4 * (50257 + 1024 + 2 * 768 + 12 * ((4 * 2 + 5 + 5) * 768 + (9 + 4) * 768) + 2 * 768),
            4 * ((50257 + 1024) * 768 + 50257 + 768),
            id="Adafactor: rows and columns, two updates one after the other",
        ),
    ],
)
def test_what_an_optimizer_keeps_and_what_its_step_takes(optimizer: str, states: int, temporaries: int) -> None:
    read = known("gpt2")
    resolved = asked(read, WorkloadType.TRAINING, Precision.FP32, optimizer=optimizer)
    every = phases(Question(read, resolved, Weights.RANDOM, on_gpu=True))
    assert not isinstance(every, Unknown)
    step = {part.name: part.size.likely for part in every[-1].parts}
    assert every[-1].phase is Phase.OPTIMIZER_STEP
    assert step[ComponentName.OPTIMIZER] == states
    assert step[ComponentName.WORKSPACE] == temporaries


@pytest.mark.parametrize(
    ("targets", "widths"),
    [
        pytest.param("Attention", 4096 * 2 + 4096 * 2 + 2 * (4096 + 1024), id="query, output, key and value"),
        pytest.param("AllLinear", 4 * 4096 + 2 * 5120 + 3 * (4096 + 14336), id="gate, up and down as well"),
    ],
)
def test_adapters_alone_have_gradients_and_states(targets: str, widths: int) -> None:
    read = known("llama-3.1-8b")
    lora = {"rank": 16, "targets": targets}
    found = needed(read, asked(read, WorkloadType.TRAINING, Precision.BF16, batchSizePerDevice=1, lora=lora))
    adapters = 2 * 32 * 16 * widths
    assert part(found, ComponentName.WEIGHTS) == 2 * 8_030_261_248 + adapters
    assert part(found, ComponentName.OPTIMIZER) == 2 * adapters
    assert part(found, ComponentName.GRADIENTS) <= adapters
    full = needed(read, asked(read, WorkloadType.TRAINING, Precision.BF16, batchSizePerDevice=1))
    assert found.allocated_bytes.high < full.allocated_bytes.low / 2


def test_accumulated_gradients_are_there_in_the_forward_pass() -> None:
    read = known("llama-3.1-8b")
    shape = {"batchSizePerDevice": 8, "inputTokens": 2048, "optimizer": "SGD"}
    once, twice = (
        needed(read, asked(read, WorkloadType.TRAINING, Precision.BF16, gradientAccumulationSteps=steps, **shape))
        for steps in (1, 2)
    )
    assert part(twice, ComponentName.GRADIENTS) - part(once, ComponentName.GRADIENTS) == 2 * 8_030_261_248
    assert twice.peak_phase is once.peak_phase is Phase.BACKWARD


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama-3.1-8b", "t5-base", "vit-base"])
def test_layers_that_are_computed_again_keep_little(name: str) -> None:
    read = known(name)
    kept, again = (
        needed(
            read,
            asked(read, WorkloadType.TRAINING, batchSizePerDevice=32, gradientCheckpointing=value, optimizer="SGD"),
        )
        for value in ("None", "Full")
    )
    assert part(again, ComponentName.ACTIVATIONS) < 0.4 * part(kept, ComponentName.ACTIVATIONS)
    assert again.allocated_bytes.high < kept.allocated_bytes.high


@pytest.mark.parametrize(
    ("name", "shape", "kv_bytes"),
    [
        pytest.param(
            "llama-2-7b",
            {"batchSizePerDevice": 2, "inputTokens": 1000, "outputTokens": 24},
            2 * 32 * 4096 * 2 * 2 * 1024,
            id="every head has keys of its own",
        ),
        pytest.param(
            "llama-3.1-8b",
            {"batchSizePerDevice": 64, "inputTokens": 100, "outputTokens": 3900},
            2 * 32 * 8 * 128 * 2 * 64 * 3999,
            id="grouped heads share keys, and nothing reads the last token",
        ),
        pytest.param(
            "mistral-7b-v0.1",
            {"batchSizePerDevice": 64, "inputTokens": 100, "outputTokens": 9900},
            2 * 32 * 8 * 128 * 2 * 64 * 4096,
            id="a window keeps no more than the window",
        ),
        pytest.param(
            "t5-base",
            {"batchSizePerDevice": 256, "inputTokens": 16, "outputTokens": 1000},
            2 * 12 * 12 * 64 * 2 * 256 * (1000 + 16),
            id="an encoder-decoder keeps its own keys and the encoder's",
        ),
    ],
)
def test_the_cache_of_a_generation(name: str, shape: dict[str, Any], kv_bytes: int) -> None:
    read = known(name)
    found = needed(read, asked(read, precision=Precision.BF16, **shape))
    if found.peak_phase is Phase.PREFILL:
        kv_bytes = kv_bytes * 1000 // 1024
    assert part(found, ComponentName.KV_CACHE) == kv_bytes


def test_a_checkpoint_that_unties_its_projection_needs_more() -> None:
    read = known("flan-t5-base")
    random, pretrained = (needed(read, asked(read), weights=weights) for weights in Weights)
    extra = part(pretrained, ComponentName.WEIGHTS) - part(random, ComponentName.WEIGHTS)
    # 47.1 MiB are handed out as 48: less than 1 MiB would be left.
    assert extra == 48 << 20


def test_a_projection_of_its_own_is_trained_apart_from_the_embedding() -> None:
    read = known("flan-t5-base")
    resolved = asked(read, WorkloadType.TRAINING, precision=Precision.FP32)
    random, pretrained = (
        next(
            phase
            for phase in phases(Question(read, resolved, weights, on_gpu=True))
            if phase.phase is Phase.OPTIMIZER_STEP
        )
        for weights in Weights
    )
    # The weight, its gradient, two states, and as much again for the list of their roots.
    assert pretrained.allocated.likely - random.allocated.likely == 5 * 32128 * 768 * 4


def test_what_no_formula_covers_is_unknown_with_its_reason() -> None:
    model = lookup("llama-3.1-8b")
    assert model is not None
    read = architecture({**model.config, "hidden_act": "xielu"})
    assert isinstance(read, Architecture)
    found = need(read, asked(read), Weights.RANDOM, GPU)
    assert found == Unknown("the closed form does not know what activation 'xielu' saves")


@given(
    name=st.sampled_from(["bert", "gpt2", "qwen2.5-7b", "t5-base", "resnet-50", "vit-base"]),
    workload=st.sampled_from(WorkloadType),
    precision=st.sampled_from([Precision.FP32, Precision.BF16]),
    batch=st.integers(1, 512),
    options=st.fixed_dictionaries(
        {},
        optional={
            "optimizer": st.sampled_from(Optimizer),
            "gradientAccumulationSteps": st.integers(1, 1024),
            "gradientCheckpointing": st.sampled_from(GradientCheckpointing),
            "lora": st.fixed_dictionaries({"rank": st.integers(1, 64), "targets": st.sampled_from(LoraTargets)}),
        },
    ),
    quantization=st.sampled_from([None, INT8, NF4, DOUBLE]),
)
def test_a_larger_batch_never_needs_less(
    name: str,
    workload: WorkloadType,
    precision: Precision,
    batch: int,
    options: dict[str, Any],
    quantization: QuantizationSpec | None,
) -> None:
    read = known(name)
    if workload is not WorkloadType.TRAINING:
        options = {}
    if name == "resnet-50":
        options = {key: value for key, value in options.items() if key not in ("gradientCheckpointing", "lora")}
    small, large = (
        needed(
            read, stored(asked(read, workload, precision, batchSizePerDevice=size, **options), quantization)
        ).allocated_bytes
        for size in (batch, batch + 1)
    )
    assert small.low <= large.low
    assert small.likely <= large.likely
    assert small.high <= large.high


@given(
    tokens=st.integers(1, 4096),
    name=st.sampled_from(["llama-3.1-8b", "mistral-7b-v0.1", "t5-base"]),
    quantization=st.sampled_from([None, INT8, NF4, DOUBLE]),
)
def test_a_longer_input_never_needs_less(tokens: int, name: str, quantization: QuantizationSpec | None) -> None:
    read = known(name)
    short, long = (
        needed(read, stored(asked(read, inputTokens=size, outputTokens=8), quantization)).allocated_bytes
        for size in (tokens, tokens + 1)
    )
    assert short.low <= long.low
    assert short.likely <= long.likely
    assert short.high <= long.high


def test_eager_attention_needs_the_scores() -> None:
    read = known("llama-3.1-8b")
    resolved = asked(read, inputTokens=4096, outputTokens=8, batchSizePerDevice=8)
    fused = needed(read, resolved)
    eager = needed(read, Resolved.model_validate({**resolved.model_dump(), "attention": "Eager"}))
    scores = 8 * 32 * 4096 * 4096 * (2 * 2 + 4)
    assert part(eager, ComponentName.ACTIVATIONS) - part(fused, ComponentName.ACTIVATIONS) > 0.9 * scores


def test_a_known_gpu_narrows_what_it_takes_for_itself() -> None:
    read = known("bert")
    anywhere, a100 = (needed(read, asked(read), gpu).device_bytes for gpu in (UNKNOWN_GPU, GPU))
    assert anywhere is not None
    assert a100 is not None
    assert a100.high - a100.low < anywhere.high - anywhere.low
