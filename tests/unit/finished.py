"""Builders: finished BenchmarkJobs as they are stored, and the runs that are read from them."""

from typing import Any

from wattmark import evidence, model_facts, models
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.evidence import Run, Subject, subject
from wattmark.evidence.run import RUNNER_SOFTWARE
from wattmark.models import Architecture
from wattmark.models.resolve import Impossible, resolve

GIB = 1 << 30
L4 = "NVIDIA L4"
GPU = {
    "device": "cuda",
    "gpuProduct": L4,
    "computeCapability": "8.9",
    "driverVersion": "580.65.06",
    "torchVersion": f"{RUNNER_SOFTWARE[0]}.0+cu130",
    "transformersVersion": f"{RUNNER_SOFTWARE[1]}.0",
}
CPU = {"device": "cpu", "torchVersion": GPU["torchVersion"], "transformersVersion": GPU["transformersVersion"]}


def architecture(model: str) -> Architecture:
    """A model of the registry."""
    known = models.lookup(model)
    assert known is not None
    found = models.architecture(known.config)
    assert isinstance(found, Architecture)
    return found


def spec(model: str = "gpt2", gpus: int = 1, **changes: Any) -> dict[str, Any]:
    """A manifest's spec; `batch` and the rest of `changes` as the API has them."""
    batch = changes.pop("batch", 8)
    workload = {"type": "Inference", "inference": {"batchSizePerDevice": batch}}
    resources = {"gpusPerNode": gpus, **changes.pop("resources", {})}
    return {"model": {"id": model}, "workload": workload, "resources": resources, **changes}


def condition(kind: str, reason: str) -> dict[str, Any]:
    """A condition that is true."""
    at = "2026-01-01T00:00:00Z"
    return {
        "type": kind,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": at,
        "observedGeneration": 1,
    }


def finished(
    raw: dict[str, Any], memory: dict[str, int] | None = None, reason: str = "Measured", second: int = 0, **status: Any
) -> tuple[BenchmarkJobSpec, BenchmarkJobStatus]:
    """A BenchmarkJob that ended at this second of the minute, with figures where `memory` holds some."""
    asked = BenchmarkJobSpec.read(raw)
    resolved = resolve(architecture(asked.model.id), asked.workload, asked.runtime, asked.resources.gpus_per_node)
    assert not isinstance(resolved, Impossible)
    results = {
        "throughput": {"samplesPerSecond": 1.0},
        "latencySeconds": {"p50": 1.0, "mean": 1.0, "count": 5},
        "memory": memory,
        "energy": {},
        "devices": [],
        "parameterCount": 1,
        "modelLoadSeconds": 1.0,
        "windowSeconds": 5.0,
        "iterations": 5,
        "warmupIterations": 1,
    }
    stored = {
        "conditions": [condition("Complete" if memory else "Failed", reason)],
        "resolved": resolved.wire(),
        "environment": GPU if asked.resources.gpus_per_node else CPU,
        "completionTime": f"2026-01-01T00:00:{second:02}Z",
        **({"results": results} if memory else {}),
        **status,
    }
    return asked, BenchmarkJobStatus.read(stored)


def run(
    raw: dict[str, Any],
    memory: dict[str, int] | None = None,
    name: str = "run",
    namespace: str = "team",
    **changes: Any,
) -> Run:
    """The run of a finished BenchmarkJob."""
    asked, status = finished(raw, memory, **changes)
    found = evidence.read(namespace, name, asked, status, architecture(asked.model.id))
    assert found is not None
    return found


def about(raw: dict[str, Any]) -> Subject:
    """What this spec asks about."""
    asked, status = finished(raw)
    assert status.resolved is not None
    gpus = asked.resources.gpus_per_node
    return subject(architecture(asked.model.id), status.resolved, asked.model.weights, gpus)


def known(raw: dict[str, Any]) -> tuple[BenchmarkJobSpec, model_facts.Facts]:
    """A spec and its model's facts."""
    asked = BenchmarkJobSpec.read(raw)
    facts = model_facts.facts(asked.model, None)
    assert isinstance(facts, model_facts.Facts)
    return asked, facts


def on_gpu(size: float) -> dict[str, int]:
    """Figures of a GPU run: so many GiB allocated, and what contains them."""
    names = ("allocatedPeakBytes", "reservedPeakBytes", "processPeakBytes", "devicePeakBytes")
    steps = (0, 0.2, 0.7, 1.0)
    return {
        **{name: int((size + more) * GIB) for name, more in zip(names, steps, strict=True)},
        "hostPeakBytes": 2 * GIB,
    }
