"""The closed form of an analysis's memory: against living storages on a CPU, and against a trace for a GPU."""

import json
from typing import Any

import pytest
from tests.torch.live import Live
from tests.torch.small_models import MODELS, SIDE

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import Need
from wattmark.api.model import Weights
from wattmark.api.order import ResolvedMeasure, RunOrder
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Gpu, need

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


def print_both(name: str, kind: AnalysisKind, precision: Precision, truth: int, found: Need) -> float:
    likely = found.allocated_bytes.likely
    print(f"{name:42} {kind:24} {precision:5} truth {truth:>10} predicted {likely:>10} {likely / truth - 1:+.1%}")
    return abs(likely / truth - 1)


CASES = [
    (n, k)
    for n in MODELS
    for k in AnalysisKind
    if not ("residual" in n and k not in (AnalysisKind.ACTIVATION_EXTRACTION, AnalysisKind.GRADIENT_ANALYSIS))
    and not (n == "ALBERT" and k in (AnalysisKind.LAYER_ANALYSIS, AnalysisKind.CONCEPT_ANALYSIS))
    and not (k is AnalysisKind.GRADIENT_ANALYSIS and ("Mixtral" in n or "experts" in n))
    and "eager" not in n
]


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_cpu(name, kind, precision, monkeypatch):
    asked = order(name, kind, precision, 0)
    truth, found = tracked(asked, monkeypatch), said(asked, None)
    error = print_both(name, kind, precision, truth, found)
    assert found.allocated_bytes.low <= truth <= found.allocated_bytes.high
    assert error < 0.1


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_gpu(name, kind, precision):
    asked = order(name, kind, precision, 1)
    truth, found = trace(asked, AMPERE), said(asked, AMPERE)
    error = print_both(name, kind, precision, truth.allocated_bytes.likely, found)
    print(
        {c.name.value: c.likely_bytes for c in truth.components},
        {c.name.value: c.likely_bytes for c in found.components},
    )
    assert error < 0.1
