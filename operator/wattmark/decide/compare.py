"""Predicted against measured, and the key of what may be compared with what."""

import hashlib
import json

from wattmark.api.answers import BytesEstimate, Need
from wattmark.api.benchmarkjob import BenchmarkJobSpec, Comparison
from wattmark.api.figures import Environment, Memory
from wattmark.api.order import Resolved


def comparison(need: Need | None, memory: Memory) -> list[Comparison]:
    """Each memory figure that was both predicted and measured."""
    if need is None:
        return []
    pairs = (
        ("memory.allocatedPeakBytes", need.allocated_bytes, memory.allocated_peak_bytes),
        ("memory.reservedPeakBytes", need.reserved_bytes, memory.reserved_peak_bytes),
        ("memory.processPeakBytes", need.process_bytes, memory.process_peak_bytes),
        ("memory.devicePeakBytes", need.device_bytes, memory.device_peak_bytes),
        ("memory.hostPeakBytes", need.host_bytes, memory.host_peak_bytes),
    )
    return [_compared(metric, predicted, measured) for metric, predicted, measured in pairs if predicted and measured]


def _compared(metric: str, predicted: BytesEstimate, measured: int) -> Comparison:
    return Comparison(
        metric=metric,
        predicted_bytes=predicted,
        measured_bytes=measured,
        error_ratio=round((predicted.likely - measured) / measured, 4),
        within_interval=predicted.low <= measured <= predicted.high,
    )


def comparability_key(spec: BenchmarkJobSpec, resolved: Resolved | None, environment: Environment) -> str:
    """16 hexadecimal digits of a hash over what must be equal for two results to be compared: model, workload as
    resolved, device and software. Node, clocks and image are not part of it."""
    parts = {
        "model": spec.model.wire(),
        "resolved": resolved.wire() if resolved else spec.workload.wire(),
        "measure": spec.measure.resolved().wire(),
        "gpus": spec.resources.gpus_per_node,
        "environment": environment.model_dump(
            mode="json",
            include={
                "device",
                "gpu_product",
                "driver_version",
                "cuda_version",
                "power_limit_watts",
                "cpu_model",
                "cpu_threads",
                "torch_version",
                "transformers_version",
                "attention",
                "model_revision",
            },
        ),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
