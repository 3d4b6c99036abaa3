"""Many finished runs as evidence: bytes held for each, and ModelChecks answered anew after one more has ended."""

import gc
import pickle
import time
import tracemalloc
from dataclasses import replace
from itertools import count
from typing import Any

from tests.bench.figures import milliseconds
from tests.cluster.fleet import NODE_TYPES, node

from wattmark import evidence, model_facts, models, preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide import check
from wattmark.decide.plan import Identity
from wattmark.evidence import Run, Runs
from wattmark.evidence.run import RUNNER_SOFTWARE
from wattmark.fleet.nodes import read_node
from wattmark.identity import BENCHMARK_JOB, Key
from wattmark.models import Architecture
from wattmark.models.resolve import Impossible, resolve

MODELS = ("gpt2", "gpt2-medium", "bert-base-uncased", "Qwen/Qwen2.5-0.5B", "t5-small")
PRODUCTS = {"Tesla T4": "7.5", "NVIDIA L4": "8.9", "NVIDIA A100-SXM4-80GB": "8.0", "NVIDIA H100 80GB HBM3": "9.0"}
IDENTITY = Identity("team", "check", "uid", 1, 0.0, False)
GIB = 1 << 30


def with_evidence(finished: int, repeated: int) -> list[str]:
    """Bytes held for each run, and CPU time of all answers after another run has ended."""
    asked = [_question(MODELS[index % len(MODELS)], 1 + index // len(MODELS)) for index in range(repeated)]
    known = preflight.fleet([read_node(node(kind, 0)) for kind in NODE_TYPES], ())
    runs, places = Runs(), ((batch, model, gpu) for batch in count(1) for model in MODELS for gpu in PRODUCTS)
    read = time.process_time()
    found = [_run(index, *next(places)) for index in range(finished + 1)]
    read = (time.process_time() - read) / len(found)
    keys = [Key(BENCHMARK_JOB, run.namespace, run.name) for run in found]  # which the operator holds anyhow
    as_read = pickle.dumps(found)
    gc.collect()
    tracemalloc.start()
    *earlier, last = pickle.loads(as_read)  # anew, with what they share shared
    for key, run in zip(keys, earlier, strict=False):
        runs.put(key, replace(run, name=key.name))
    del earlier, run
    gc.collect()
    stored, _ = tracemalloc.get_traced_memory()
    runs.experience("team")
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    _answers(runs, known, asked)
    runs.put(keys[-1], last)
    begin = time.process_time()
    _answers(runs, known, asked)
    spent = time.process_time() - begin
    return [
        f"Evidence of {finished} finished runs:",
        f"  held: {held / finished:.0f} bytes a run (aim: 400), {(held - stored) / finished:.0f} of them to find it "
        f"again; read: {milliseconds(read)} each",
        f"  {repeated} ModelChecks of as many questions anew after one more has ended: {spent:.2f} s of CPU (aim: 2 s)",
    ]


def _answers(runs: Runs, known: preflight.Fleet, asked: list[ModelCheckSpec]) -> None:
    for spec in asked:
        experience = runs.experience("team")
        answer = preflight.for_check(spec, model_facts.facts(spec.model, None), known, experience=experience)
        assert answer.lesson.alike
        check.decide(IDENTITY, spec, ModelCheckStatus(), answer, 0.0).wire()


def _raw(model: str, batch: int) -> dict[str, Any]:
    return {"model": {"id": model}, "workload": {"type": "Inference", "inference": {"batchSizePerDevice": batch}}}


def _question(model: str, batch: int) -> ModelCheckSpec:
    return ModelCheckSpec.read(_raw(model, batch))


def _run(index: int, batch: int, model: str, gpu: str) -> Run:
    """A run as it is read from its object, with figures that nobody measured."""
    spec = BenchmarkJobSpec.read(_raw(model, batch))
    registered = models.lookup(model)
    assert registered is not None
    architecture = models.architecture(registered.config)
    assert isinstance(architecture, Architecture)
    resolved = resolve(architecture, spec.workload, spec.runtime, 1)
    assert not isinstance(resolved, Impossible)
    names = ("allocatedPeakBytes", "reservedPeakBytes", "processPeakBytes", "devicePeakBytes", "hostPeakBytes")
    status = BenchmarkJobStatus.read(
        {
            "resolved": resolved.wire(),
            "conditions": [
                {
                    "type": "Complete",
                    "status": "True",
                    "reason": "Measured",
                    "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                    "observedGeneration": 1,
                }
            ],
            "environment": {
                "device": "cuda",
                "gpuProduct": gpu,
                "computeCapability": PRODUCTS[gpu],
                "torchVersion": f"{RUNNER_SOFTWARE[0]}.0",
                "transformersVersion": f"{RUNNER_SOFTWARE[1]}.0",
            },
            "completionTime": f"2026-01-01T{index // 3600 % 24:02}:{index // 60 % 60:02}:{index % 60:02}Z",
            "results": {
                "throughput": {"samplesPerSecond": 1.0},
                "latencySeconds": {"p50": 1.0, "mean": 1.0, "count": 5},
                "memory": {name: 5 * GIB + at * GIB for at, name in enumerate(names)},
                "energy": {},
                "devices": [],
                "parameterCount": 1,
                "modelLoadSeconds": 1.0,
                "windowSeconds": 5.0,
                "iterations": 5,
                "warmupIterations": 1,
            },
        }
    )
    run = evidence.read("team", f"run-{index:05}", spec, status, architecture)
    assert run is not None
    return run
