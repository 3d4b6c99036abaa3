"""A trace: the real model class without memory, on any machine, for a GPU."""

import json
from typing import Any

import pytest

from wattmark.api.answers import ComponentName, Need, Phase, Source
from wattmark.api.model import Weights
from wattmark.api.order import ResolvedMeasure, RunOrder
from wattmark.api.runtime import Attention, Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Gpu
from wattmark.estimate.simulation.replay import Allocated
from wattmark.estimate.traced import KINDS, complete, kind_of, traced

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
from torch._subclasses.fake_tensor import FakeTensorMode  # noqa: E402

from wattmark_runner import trace as runner  # noqa: E402
from wattmark_runner.trace_events import Recorder  # noqa: E402
from wattmark_runner.trace_kernels import DEVICE, Kernels  # noqa: E402

GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 256, "n_head": 4, "vocab_size": 5000, "n_positions": 512}
BERT = {
    "model_type": "bert", "num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 4,
    "intermediate_size": 1024, "vocab_size": 5000,
}  # fmt: skip
AMPERE = Gpu((8, 0))


def order(
    config: dict[str, Any],
    workload: dict[str, Any],
    precision: Precision = Precision.BF16,
    attention: Attention = Attention.AUTO,
) -> RunOrder:
    return RunOrder(
        run_uid="1",
        model_id="small",
        weights=Weights.RANDOM,
        config=json.dumps(config),
        workload=WorkloadSpec.model_validate(workload),
        runtime=RuntimeSpec(precision=precision, attention=attention),
        measure=ResolvedMeasure(warmup_iterations=1, window_seconds=1, min_iterations=2),
        gpus=1,
        running_seconds=60,
    )


def trace(told: RunOrder, gpu: Gpu) -> Need:
    """The need on one GPU."""
    return traced(runner.trace(told, (kind_of(gpu),)), told.weights, gpu)


def inference(tokens: int = 256, output: int = 4, batch: int = 4) -> dict[str, Any]:
    text = {"inputTokens": tokens, "outputTokens": output}
    return {"type": "Inference", "inference": {"batchSizePerDevice": batch, "input": {"text": text}}}


def training(tokens: int = 256, batch: int = 4, optimizer: str = "AdamW") -> dict[str, Any]:
    shape = {"batchSizePerDevice": batch, "input": {"text": {"inputTokens": tokens}}, "optimizer": optimizer}
    return {"type": "Training", "training": shape}


def part(found: Need, name: ComponentName) -> int:
    return next((c.likely_bytes for c in found.components if c.name is name), 0)


def test_generation_holds_weights_and_the_cache_it_fills() -> None:
    found = trace(order(GPT2, inference()), AMPERE)
    parameters = 5000 * 256 + 512 * 256 + 2 * (12 * 256 * 256 + 13 * 256) + 2 * 256
    assert found.allocated_bytes.source is Source.TRACED
    assert found.peak_phase is Phase.PREFILL
    assert 1 <= part(found, ComponentName.WEIGHTS) / (2 * parameters) < 1.1
    assert part(found, ComponentName.KV_CACHE) == 2 * 2 * 4 * 256 * 256 * 2


def test_a_training_step_holds_two_states_for_each_parameter_from_its_second_one_on() -> None:
    found = trace(order(GPT2, training(), Precision.FP32), AMPERE)
    weights = part(found, ComponentName.WEIGHTS)
    assert 1.9 < part(found, ComponentName.OPTIMIZER) / weights < 2.1
    assert part(trace(order(GPT2, training(optimizer="SGD"), Precision.FP32), AMPERE), ComponentName.OPTIMIZER) == 0


def test_autocast_casts_as_on_a_gpu_and_keeps_its_copies() -> None:
    found = trace(order(GPT2, training(), Precision.BF16_MIXED), AMPERE)
    matrices = 5000 * 256 + 2 * 12 * 256 * 256
    assert 1 <= part(found, ComponentName.AUTOCAST_COPIES) / (2 * matrices) < 1.2
    assert part(trace(order(GPT2, training(), Precision.FP32), AMPERE), ComponentName.AUTOCAST_COPIES) == 0


@pytest.mark.parametrize(
    ("attention", "capability", "precision", "grows"),
    [
        pytest.param(Attention.AUTO, (8, 0), Precision.BF16, 2, id="flash attention keeps no scores"),
        pytest.param(Attention.AUTO, (8, 0), Precision.FP32, 2, id="nor does efficient attention, in fp32"),
        pytest.param(Attention.AUTO, (7, 5), Precision.BF16, 3, id="bf16 before Ampere has neither"),
        pytest.param(Attention.EAGER, (8, 0), Precision.BF16, 3, id="eager attention keeps them"),
    ],
)
def test_attention_is_the_gpus(attention: Attention, capability: Any, precision: Precision, grows: int) -> None:
    def activations(tokens: int) -> int:
        workload = training(tokens, batch=8)
        found = trace(order(BERT, workload, precision, attention), Gpu(capability))
        return part(found, ComponentName.ACTIVATIONS)

    ratio = activations(512) / activations(256)
    assert (ratio < 2.2) == (grows == 2), ratio


def test_a_gpus_kernel_is_not_written_out_in_steps() -> None:
    recorder = Recorder(0)
    with FakeTensorMode(), Kernels((8, 0), recorder.autocast_copied).chosen(), recorder:
        given = torch.ones(512, device=DEVICE, requires_grad=True)
        result = torch.nn.functional.silu(given).sum()
        before = len([event for event in recorder.events if isinstance(event, Allocated)])
        result.backward()
    made = [event for event in recorder.events[before:] if isinstance(event, Allocated)]
    assert len(made) == 2  # a gradient of one element, for the sum's; silu's, all at once


@pytest.mark.parametrize("kind", ["bert", "deberta-v2"])
def test_no_class_looks_at_labels_that_a_trace_does_not_have(kind: str) -> None:
    config = BERT | {"model_type": kind, "relative_attention": True, "pos_att_type": "c2p|p2c"}
    assert trace(order(config, training(64)), AMPERE).peak_phase in (
        Phase.FORWARD,
        Phase.BACKWARD,
        Phase.OPTIMIZER_STEP,
    )


def test_nothing_stays_behind_when_a_trace_is_done() -> None:
    before = torch.autocast, torch.is_autocast_enabled, torch.clear_autocast_cache
    trace(order(BERT, {"type": "Inference", "inference": {}}), AMPERE)
    assert (torch.autocast, torch.is_autocast_enabled, torch.clear_autocast_cache) == before
    assert torch.nn.Linear(2, 2)(torch.ones(1, 2)).shape == (1, 2)


@pytest.mark.parametrize(
    ("workload", "precision"),
    [
        pytest.param(inference(), Precision.BF16, id="kernels that differ"),
        pytest.param(training(), Precision.FP32, id="kernels that do not, recorded once"),
    ],
)
def test_a_trace_of_every_kind_is_what_a_trace_of_each_alone_is(workload: dict[str, Any], precision: Precision) -> None:
    told = order(GPT2, workload, precision)
    every = runner.trace(told)
    assert complete(every)
    alone = [runner.trace(told, (kind,)).memory[0] for kind in KINDS]
    assert every.memory == alone
    assert every.parameter_count == 5000 * 256 + 512 * 256 + 2 * (12 * 256 * 256 + 13 * 256) + 2 * 256


ONCE = [
    pytest.param(GPT2, inference(), True, id="generation"),
    pytest.param(BERT, {"type": "Analysis", "analysis": {"kind": "GradientAnalysis"}}, True, id="gradients"),
    pytest.param(GPT2, training(optimizer="SGD"), True, id="a step without states"),
    pytest.param(GPT2, training(), False, id="a step with states"),
    pytest.param(BERT, {"type": "Analysis", "analysis": {"kind": "LayerAnalysis"}}, False, id="sums that are kept"),
]


@pytest.mark.parametrize(("config", "workload", "once"), ONCE)
def test_an_iteration_that_leaves_nothing_is_recorded_once_and_told_twice(
    config: dict[str, Any], workload: dict[str, Any], once: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, repeated, answers = order(config, workload), Recorder.repeated, []

    def counted(recorder: Recorder, begun: int) -> bool:
        answers.append(repeated(recorder, begun))
        return answers[-1]

    monkeypatch.setattr(Recorder, "repeated", counted)
    found = trace(told, AMPERE)
    assert answers == [once]
    monkeypatch.setattr(Recorder, "repeated", lambda *_: False)
    assert trace(told, AMPERE) == found
