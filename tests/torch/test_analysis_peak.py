"""The closed form of an analysis's memory: against living storages on a CPU, and against a trace for a GPU."""

import json
from typing import Any

import pytest
from tests.torch.live import Live
from tests.torch.small_models import MODELS, SIDE

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import ComponentName, Need
from wattmark.api.model import Weights
from wattmark.api.order import ResolvedMeasure, RunOrder
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Gpu, need
from wattmark.estimate.traced import kind_of
from wattmark.estimate.traced import traced as traced_need

torch = pytest.importorskip("torch")

from wattmark_runner.device import Cpu  # noqa: E402
from wattmark_runner.models import load, read  # noqa: E402
from wattmark_runner.trace import trace  # noqa: E402
from wattmark_runner.workloads.analysis import step_of  # noqa: E402

BATCH, TOKENS, VOCABULARY = 8, 128, 1000
AMPERE = Gpu((8, 0))


def order(name: str, kind: AnalysisKind, precision: Precision, gpus: int) -> RunOrder:
    config = MODELS[name] | ({"vocab_size": VOCABULARY} if "vocab_size" in MODELS[name] else {})
    sees = config["model_type"] in ("vit", "resnet")
    sample: dict[str, Any] = (
        {"image": {"heightPixels": SIDE, "widthPixels": SIDE}} if sees else {"text": {"inputTokens": TOKENS}}
    )
    shape = {"kind": kind, "batchSizePerDevice": BATCH, "input": sample}
    return RunOrder(
        run_uid="1",
        model_id="small",
        weights=Weights.RANDOM,
        config=json.dumps(config),
        workload=WorkloadSpec.model_validate({"type": "Analysis", "analysis": shape}),
        runtime=RuntimeSpec(precision=precision),
        measure=ResolvedMeasure(warmup_iterations=1, window_seconds=1, min_iterations=2),
        gpus=gpus,
        running_seconds=60,
    )


def on_gpu(asked: RunOrder) -> Need:
    """The need on an A100, traced."""
    return traced_need(trace(asked, (kind_of(AMPERE),)), asked.weights, AMPERE)


def said(asked: RunOrder, gpu: Gpu | None) -> Need:
    _, known, resolved = read(asked, None)
    found = need(known, resolved, Weights.RANDOM, gpu)
    assert isinstance(found, Need), found
    return found


def tracked(asked: RunOrder, monkeypatch: pytest.MonkeyPatch) -> int:
    # In inference mode operators come to a dispatch mode whole, with what they allocate inside unseen
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    loaded = load(asked, Cpu(), None)
    step = step_of(loaded, torch.device("cpu"))
    step()
    with Live([*loaded.model.parameters(), *loaded.model.buffers()]) as live:
        step()
    return live.peak


def compared(name: str, kind: AnalysisKind, precision: Precision, truth: int, found: Need) -> float:
    """The estimate's error."""
    allocated = found.allocated_bytes
    error = allocated.likely / truth - 1
    print(f"{name:42} {kind:24} {precision:5} truth {truth:>10} predicted {allocated.likely:>10} {error:+.1%}")
    assert allocated.low <= truth <= allocated.high
    return error


COMPARED = ("an encoder", "GPT-2", "Llama with grouped heads", "T5", "a vision transformer", "a residual network")
OF_CONVOLUTIONS = (AnalysisKind.ACTIVATION_EXTRACTION, AnalysisKind.GRADIENT_ANALYSIS)
CASES = [
    pytest.param(name, kind, id=f"{name}-{kind}")
    for name in COMPARED
    for kind in (OF_CONVOLUTIONS if "residual" in name else AnalysisKind)
]
IN_PRECISIONS = [
    pytest.param(*case.values, precision, id=f"{case.id}-{precision}")
    for case in CASES
    for precision in (Precision.FP32, Precision.BF16)
    if precision is Precision.BF16 or case.values[0] in ("an encoder", "GPT-2")
]
BOUND = 0.04


@pytest.mark.parametrize(("name", "kind", "precision"), IN_PRECISIONS)
def test_on_a_cpu_the_closed_form_is_what_lives(
    name: str, kind: AnalysisKind, precision: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = order(name, kind, precision, gpus=0)
    error = compared(name, kind, precision, tracked(asked, monkeypatch), said(asked, None))
    assert abs(error) < BOUND


@pytest.mark.parametrize(("name", "kind", "precision"), IN_PRECISIONS)
def test_for_a_gpu_the_closed_form_is_what_a_trace_finds(name: str, kind: AnalysisKind, precision: Precision) -> None:
    asked = order(name, kind, precision, gpus=1)
    traced = on_gpu(asked)
    assert traced.components
    error = compared(f"{name} on a GPU", kind, precision, traced.allocated_bytes.likely, said(asked, AMPERE))
    assert abs(error) < BOUND


@pytest.mark.parametrize(
    ("kind", "component"),
    [
        (AnalysisKind.ACTIVATION_EXTRACTION, ComponentName.HIDDEN_STATES),
        (AnalysisKind.ATTENTION_VISUALIZATION, ComponentName.ATTENTION_WEIGHTS),
    ],
)
def test_what_is_kept_is_named_in_a_trace(kind: AnalysisKind, component: ComponentName) -> None:
    found = on_gpu(order("GPT-2", kind, Precision.BF16, gpus=1))
    kept = next(part.likely_bytes for part in found.components if part.name is component)
    one = BATCH * TOKENS * 2 * (128 if component is ComponentName.HIDDEN_STATES else 4 * TOKENS)
    assert kept in (4 * one, 5 * one)  # four layers; the embeddings, too, or the last layer's at the fullest moment
