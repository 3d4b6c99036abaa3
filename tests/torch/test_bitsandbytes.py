"""What bitsandbytes quantizes and how many bytes its matrices and states take, against the library itself."""

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.torch.live import Live
from tests.torch.small_models import IMPLEMENTATIONS, MODELS, attention_of, built
from tests.torch.test_allocated_peak import BATCH, TOKENS, VOCABULARY, asked, batch
from tests.torch.test_parameter_counts import built as on_meta
from tests.torch.test_parameter_counts import known

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import ComponentName, Need
from wattmark.api.model import Weights
from wattmark.api.order import Resolved, ResolvedInput
from wattmark.api.runtime import Precision, QuantizationSpec, QuantizationType, RuntimeSpec
from wattmark.api.training import GradientCheckpointing, Optimizer
from wattmark.api.workload import WorkloadSpec, WorkloadType
from wattmark.estimate import Question, Unknown, need, phases
from wattmark.estimate.optimizer import states
from wattmark.estimate.quantized import matrices, weight_bytes
from wattmark.models import Architecture, architecture, head_for, known_ids
from wattmark.models.resolve import resolve

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
bitsandbytes = pytest.importorskip("bitsandbytes")
from transformers.integrations.bitsandbytes import replace_with_bnb_linear  # noqa: E402
from transformers.quantizers.base import HfQuantizer  # noqa: E402

from wattmark_runner.models import Loaded  # noqa: E402
from wattmark_runner.precision import NUMERICS  # noqa: E402
from wattmark_runner.workloads.adapters import adapt  # noqa: E402
from wattmark_runner.workloads.analysis import step_of  # noqa: E402
from wattmark_runner.workloads.training import optimizer_of  # noqa: E402

INT8 = {"type": "BitsAndBytesInt8"}
NF4 = {"type": "BitsAndBytesNF4"}
DOUBLE = {**NF4, "bitsAndBytesNF4": {"doubleQuantization": True}}
OPTIONS: list[Any] = [
    pytest.param(INT8, {"load_in_8bit": True}, id="int8"),
    pytest.param(NF4, {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, id="NF4"),
    pytest.param(
        DOUBLE,
        {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
        id="NF4 with double quantization",
    ),
]


def question(
    read: Architecture,
    workload: WorkloadType,
    quantization: dict[str, Any] | None = None,
    optimizer: Optimizer | None = None,
) -> Question:
    resolved = Resolved(
        workload_type=workload,
        batch_size_per_device=1,
        input=ResolvedInput(input_tokens=8),
        optimizer=optimizer,
        precision=Precision.BF16,
        attention=attention_of(""),
        quantization=None if quantization is None else QuantizationSpec.read(quantization),
    )
    return Question(read, resolved, Weights.RANDOM, on_gpu=True)


def one_of_each_kind() -> list[Any]:
    """A known model of each class, tied or not, with each head that a workload puts on it."""
    found: dict[Any, Any] = {}
    for model_id in known_ids():
        read = known(model_id)[1]
        for workload in () if read.unrunnable else WorkloadType:
            head = head_for(read, workload)
            case = pytest.param(model_id, workload, id=f"{model_id} {head}")
            found.setdefault((read.model_type, read.tied, head), case)
    return list(found.values())


@pytest.mark.parametrize(("model_id", "workload"), one_of_each_kind())
def test_the_matrices_are_those_that_transformers_replaces(model_id: str, workload: WorkloadType) -> None:
    config, read = known(model_id)
    model = on_meta(config, head_for(read, workload))
    wanted = question(read, workload, INT8)
    config_of_it = transformers.BitsAndBytesConfig(load_in_8bit=True)
    skipped = HfQuantizer.get_modules_to_not_convert(model, None, model._keep_in_fp32_modules)
    replace_with_bnb_linear(model, skipped, config_of_it)
    replaced = [m for m in model.modules() if isinstance(m, bitsandbytes.nn.Linear8bitLt)]
    sizes = Counter((m.out_features, m.in_features) for m in replaced)
    predicted: Counter[tuple[int, int]] = Counter()
    for weight in matrices(wanted):
        predicted[weight.outputs, weight.inputs] += weight.count
    assert predicted == sizes


def kept(model: Any) -> list[Any]:
    """Parameters, what bitsandbytes keeps beside them, and buffers that are no fixed tables."""
    buffers = [b for n, b in model.named_buffers() if n in model.state_dict() and b.is_floating_point()]
    found = [*model.parameters(), *buffers]
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            found += [state.absmax, state.code]
            found += [] if state.offset is None else [state.offset, state.state2.absmax, state.state2.code]
        found += [parameter.SCB] if getattr(parameter, "SCB", None) is not None else []
    return found


def bytes_of(model: Any) -> int:
    """Bytes of the unique storages."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in kept(model)}
    return sum(storages.values())


@pytest.mark.parametrize(("quantization", "options"), OPTIONS)
@pytest.mark.parametrize("name", [name for name in MODELS if "eager" not in name])
def test_quantized_weights_take_as_many_bytes(
    name: str, quantization: dict[str, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    read = architecture(MODELS[name])
    assert isinstance(read, Architecture)
    head = head_for(read, WorkloadType.INFERENCE)
    built(copy.deepcopy(MODELS[name]), head, attention_of(name), torch.bfloat16).save_pretrained(tmp_path)
    model = getattr(transformers, head.value).from_pretrained(
        tmp_path,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        quantization_config=transformers.BitsAndBytesConfig(**options, bnb_4bit_compute_dtype=torch.bfloat16),
    )
    wanted = question(read, WorkloadType.INFERENCE, quantization)
    assert weight_bytes(wanted) == bytes_of(model)


def loaded(config: dict[str, Any], read: Architecture, name: str, resolved: Resolved, folder: Path) -> Any:
    """A quantized model with adapters, as peft prepares it: under autocast all but quantized matrices are in fp32."""
    head = head_for(read, WorkloadType.TRAINING)
    built(copy.deepcopy(config), head, attention_of(name), torch.bfloat16).save_pretrained(folder)
    assert resolved.quantization is not None and resolved.lora is not None
    how = {"load_in_8bit": True} if resolved.quantization.type is QuantizationType.INT8 else {"load_in_4bit": True}
    model = (
        getattr(transformers, head.value)
        .from_pretrained(
            folder,
            dtype=torch.bfloat16,
            device_map={"": "cpu"},
            attn_implementation=IMPLEMENTATIONS[attention_of(name)],
            quantization_config=transformers.BitsAndBytesConfig(
                **how, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
            ),
        )
        .train()
    )
    if resolved.precision is Precision.BF16_MIXED:
        for parameter in model.parameters():
            if parameter.dtype == torch.bfloat16:
                parameter.data = parameter.data.float()
    if resolved.gradient_checkpointing is GradientCheckpointing.FULL:
        model.activation_checkpointing_enable({"use_reentrant": False})
    adapt(model, resolved.lora)
    return model


def tracked(model: Any, inputs: dict[str, Any], resolved: Resolved) -> int:
    """Most bytes of live tensors in the second training step."""
    optimizer = optimizer_of(resolved, model.parameters())

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=resolved.precision is Precision.BF16_MIXED):
            loss = model(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    with Live([*kept(model), *inputs.values(), *states]) as live:
        step()
    return live.peak


EVERYWHERE: dict[str, Any] = {"lora": {}}
IN_ATTENTION: dict[str, Any] = {"lora": {"targets": "Attention"}}
CHECKPOINTED = {**EVERYWHERE, "gradientCheckpointing": "Full"}


@pytest.mark.parametrize(
    ("options", "quantization", "precision"),
    [
        pytest.param(EVERYWHERE, NF4, Precision.BF16, id="NF4"),
        pytest.param(CHECKPOINTED, NF4, Precision.BF16_MIXED, id="NF4 under autocast, layers computed again"),
        # Under autocast a CPU multiplies otherwise than a GPU: its result is 16-bit, not as wide as the input.
        pytest.param(EVERYWHERE, INT8, Precision.BF16, id="int8"),
        pytest.param(IN_ATTENTION, INT8, Precision.BF16, id="int8, adapters in attention"),
    ],
)
@pytest.mark.parametrize("name", ["an encoder", "GPT-2", "Llama with grouped heads", "T5"])
def test_adapters_beside_quantized_matrices(
    name: str, options: dict[str, Any], quantization: dict[str, Any], precision: Precision, tmp_path: Path
) -> None:
    config = MODELS[name] | {"vocab_size": VOCABULARY}
    read = architecture(config)
    assert isinstance(read, Architecture)
    plain = asked(read, name, WorkloadType.TRAINING, precision, options)
    resolved = plain.model_copy(update={"quantization": QuantizationSpec.read(quantization)})
    model = loaded(config, read, name, resolved, tmp_path)
    dtype = torch.float32 if precision is Precision.BF16_MIXED else torch.bfloat16
    inputs = batch(read, True, dtype, BATCH, TOKENS)
    measured = tracked(model, inputs, resolved)
    found = need(read, resolved, Weights.RANDOM, None)
    assert isinstance(found, Need)
    predicted = found.allocated_bytes
    assert predicted.low <= measured <= predicted.high
    # What autocast and peft convert is not followed copy by copy.
    assert abs(predicted.likely / measured - 1) < (0.1 if precision is Precision.BF16_MIXED else 0.055)


def analysed(name: str, kind: AnalysisKind, quantization: dict[str, Any], folder: Path) -> tuple[Loaded, Architecture]:
    """A quantized model as an analysis takes it."""
    config = MODELS[name] | {"vocab_size": VOCABULARY}
    read = architecture(config)
    assert isinstance(read, Architecture)
    shape = {"kind": kind, "batchSizePerDevice": BATCH, "input": {"text": {"inputTokens": TOKENS}}}
    runtime = RuntimeSpec.model_validate({"precision": Precision.BF16, "quantization": quantization})
    resolved = resolve(read, WorkloadSpec.model_validate({"type": "Analysis", "analysis": shape}), runtime, 0)
    assert isinstance(resolved, Resolved), resolved
    head = head_for(read, resolved.workload_type, kind)
    built(copy.deepcopy(config), head, attention_of(name), torch.bfloat16).save_pretrained(folder)
    how = {"load_in_8bit": True} if quantization is INT8 else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    model = getattr(transformers, head.value).from_pretrained(
        folder,
        dtype=torch.bfloat16,
        device_map={"": "cpu"},
        attn_implementation="eager" if kind is AnalysisKind.ATTENTION_VISUALIZATION else "sdpa",
        quantization_config=transformers.BitsAndBytesConfig(**how, bnb_4bit_compute_dtype=torch.bfloat16),
    )
    return Loaded(model.eval(), read, resolved, NUMERICS[Precision.BF16], None, 0.0), read


@pytest.mark.parametrize(
    ("quantization", "bound"), [pytest.param(NF4, 0.05, id="NF4"), pytest.param(INT8, 0.12, id="int8")]
)
@pytest.mark.parametrize("kind", AnalysisKind)
@pytest.mark.parametrize("name", ["an encoder", "GPT-2", "Llama with grouped heads", "T5"])
def test_analyses_of_quantized_models(
    name: str,
    kind: AnalysisKind,
    quantization: dict[str, Any],
    bound: float,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # in it operators are not seen from inside
    model, read = analysed(name, kind, quantization, tmp_path)
    step = step_of(model, torch.device("cpu"))
    step()
    with Live(kept(model.model)) as live:
        step()
    wanted = Question(read, model.resolved, Weights.RANDOM, on_gpu=False)
    every = phases(wanted)
    if wanted.kept_wide and quantization is INT8 and kind is AnalysisKind.GRADIENT_ANALYSIS:
        assert isinstance(every, Unknown)  # some of its matrices save what they read, others do not
        return
    assert not isinstance(every, Unknown)
    # A CPU multiplies 8-bit matrices otherwise than a GPU, whose integers it does not make: those parts are left out.
    predicted = max(
        sum(part.size.likely for part in phase.parts if part.name is not ComponentName.WORKSPACE) for phase in every
    )
    error = predicted / live.peak - 1
    print(
        f"{name:28} {kind:24} {quantization['type']:18} tracked {live.peak:>10} predicted {predicted:>10} {error:+.1%}"
    )
    assert abs(error) < bound


BNB_OPTIMIZERS = {Optimizer.ADAMW_8BIT: bitsandbytes.optim.AdamW8bit, Optimizer.LION: bitsandbytes.optim.Lion}


@pytest.mark.parametrize("optimizer", BNB_OPTIMIZERS)
@pytest.mark.parametrize("name", MODELS)
def test_states_take_as_many_bytes(name: str, optimizer: Optimizer) -> None:
    read = architecture(MODELS[name])
    assert isinstance(read, Architecture)
    model = built(MODELS[name], head_for(read, WorkloadType.TRAINING), attention_of(name), torch.bfloat16)
    real = BNB_OPTIMIZERS[optimizer](model.parameters(), lr=1e-5)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    real.step()
    tables = ("qmap1", "qmap2")  # two for all tensors
    kept = [v for s in real.state.values() for k, v in s.items() if isinstance(v, torch.Tensor) and k not in tables]
    predicted = states(question(read, WorkloadType.TRAINING, optimizer=optimizer)).size.likely
    assert predicted == sum(value.nbytes for value in kept)
