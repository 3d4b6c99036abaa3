"""The same orders on a real GPU: what only a device can tell."""

import json

import pytest
import torch

from wattmark.api.figures import UnavailableReason
from wattmark.api.order import RunOrder
from wattmark.api.report import RunFailure
from wattmark_runner import run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")

CONFIG = {
    "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 4, "intermediate_size": 1024, "vocab_size": 8192, "max_position_embeddings": 2048,
}  # fmt: skip


def order(
    workload: str, text: dict[str, int] | None = None, batch: int = 4, seconds: int = 6, precision: str | None = None
) -> RunOrder:
    sample = {"text": text or {"inputTokens": 64}}
    return RunOrder.model_validate(
        {
            "runUid": "run",
            "modelId": "tiny-llama",
            "weights": "Random",
            "config": json.dumps(CONFIG),
            "workload": {"type": workload.capitalize(), workload: {"batchSizePerDevice": batch, "input": sample}},
            "runtime": {"precision": precision} if precision else {},
            "measure": {"warmupIterations": 3, "windowSeconds": seconds, "minIterations": 10},
            "gpus": 1,
            "runningSeconds": 120,
        }
    )


@pytest.mark.parametrize(
    ("workload", "text"),
    [
        pytest.param("inference", {"inputTokens": 64, "outputTokens": 0}, id="prefill"),
        pytest.param("inference", {"inputTokens": 64, "outputTokens": 16}, id="generation"),
        pytest.param("training", {"inputTokens": 64}, id="training"),
    ],
)
def test_a_run_on_a_gpu_has_the_devices_figures(workload: str, text: dict[str, int]) -> None:
    report = run(order(workload, text))
    assert report.failure is None and report.results is not None and report.environment is not None
    memory, device = report.results.memory, report.results.devices[0]
    assert memory.allocated_peak_bytes and memory.reserved_peak_bytes and memory.device_peak_bytes
    width = 4 if workload == "training" else 2
    assert report.results.parameter_count * width <= memory.allocated_peak_bytes <= memory.reserved_peak_bytes
    assert memory.reserved_peak_bytes < memory.device_peak_bytes
    assert device.allocated_peak_bytes == memory.allocated_peak_bytes
    assert report.environment.device == "cuda" and report.environment.compute_capability
    reasons = {missing.field: missing.reason for missing in report.unavailable}
    energy = report.results.energy
    if energy.gpu_joules is None:  # a MIG instance or a virtual GPU
        assert reasons["energy.gpuJoules"] is UnavailableReason.NO_ENERGY_COUNTER
    else:
        assert energy.mean_watts is not None and 10 < energy.mean_watts < 2000


def test_a_window_too_short_for_the_counter_has_no_energy() -> None:
    report = run(order("inference", seconds=1))
    assert report.results is not None and report.results.energy.gpu_joules is None
    assert "energy.gpuJoules" in {missing.field for missing in report.unavailable}


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16"])
def test_every_precision_of_inference_runs(precision: str) -> None:
    assert run(order("inference", seconds=1, precision=precision)).failure is None


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16-mixed"])
def test_every_precision_of_training_runs(precision: str) -> None:
    assert run(order("training", seconds=1, precision=precision)).failure is None


def test_out_of_device_memory_is_a_report_with_the_peak_before_it() -> None:
    report = run(order("training", {"inputTokens": 2048}, batch=65536))
    assert report.failure is not None and report.failure.reason is RunFailure.DEVICE_OUT_OF_MEMORY
    assert "GiB allocated" in report.failure.message
