"""Leaves what the order's model id asks for in the termination log, and exits as it asks. Its figures mean nothing."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

ORDER = json.loads(os.environ["WATTMARK_ORDER"])
FIGURES = {
    "throughput": {"samplesPerSecond": 20.0},
    "latencySeconds": {"p50": 0.1, "mean": 0.1, "count": 10},
    "memory": {"hostPeakBytes": 1048576},
    "energy": {},
    "devices": [],
    "parameterCount": 1000,
    "modelLoadSeconds": time.time() % 1000 + 0.001,  # what tells one run's figures from another's
    "windowSeconds": 1.0,
    "iterations": 10,
    "warmupIterations": 1,
}


def report(**changes: Any) -> str:
    """A report that the operator accepts, but for the changes."""
    whole = {
        "schemaVersion": 1,
        "runUid": ORDER["runUid"],
        "podUid": os.environ["WATTMARK_POD_UID"],
        "results": FIGURES,
        "steadiness": {"driftRatio": 0.0, "variationRatio": 0.0},
        "unavailable": [],
        "environment": {"device": "cpu", "torchVersion": "0", "transformersVersion": "0"},
    }
    return json.dumps({k: v for k, v in {**whole, **changes}.items() if v is not None})


MEMORY = {
    "peakPhase": "Forward",
    "components": [{"name": "Weights", "allocatedBytes": 1048576}],
    "reservedBytes": 2097152,
    "weightsBytes": 1048576,
}
TRACE = {
    "resolved": {
        "workloadType": "Inference",
        "batchSizePerDevice": 2,
        "input": {"inputTokens": 16, "outputTokens": 0},
        "precision": "bf16",
        "attention": "Auto",
    },
    "parameterCount": 1000,
    "convolutional": False,
    "memory": [{"computeCapability": kind, **MEMORY} for kind in ("7.5", "8.0", "9.0")],
}


def traced() -> str:
    """The report of a trace that the operator accepts."""
    told = {"schemaVersion": 1, "runUid": ORDER["runUid"], "podUid": os.environ["WATTMARK_POD_UID"]}
    return json.dumps({**told, "question": ORDER["question"], "trace": TRACE})


def failure(reason: str, message: str) -> str:
    """A report without figures."""
    told = {"reason": reason, "message": message}
    return report(results=None, steadiness=None, environment=None, failure=told)


def rated(value: str) -> str:
    """A good report whose throughput is written in these very characters."""
    return report().replace('"samplesPerSecond": 20.0', f'"samplesPerSecond": {value}')


OUT_OF_MEMORY = "CUDA ran out of memory while running the workload: 79.1 GiB were allocated; lower batchSizePerDevice"
ENDS: dict[str, tuple[str, int]] = {
    "good": (report(), 0),
    "starting": (report(), 0),
    "no-report": ("", 0),
    "no-report-and-code-3": ("", 3),
    "not-json": ("Traceback (most recent call last):", 0),
    "half-a-report": (report()[:200], 0),
    "no-throughput": (report(results={**FIGURES, "throughput": {}}), 0),
    "negative": (rated("-1"), 0),
    "text-for-a-number": (rated('"20"'), 0),
    "field-twice": (report().replace('"runUid"', '"runUid": "x", "runUid"', 1), 0),
    "too-large": (report(padding="x" * 8000), 0),
    "other-run": (report(runUid="00000000-0000-0000-0000-000000000000"), 0),
    "other-pod": (report(podUid="00000000-0000-0000-0000-000000000000"), 0),
    "nan": (rated("NaN"), 0),
    "infinity": (rated("Infinity"), 0),
    "huge": (rated("1e999"), 0),
    "failure-and-code-0": (failure("RunnerError", "it broke"), 0),
    "figures-and-code-1": (report(), 1),
    "figures-and-failure": (report(failure={"reason": "RunnerError", "message": "it broke"}), 165),
    "cuda-out-of-memory": (failure("DeviceOutOfMemory", OUT_OF_MEMORY), 163),
    "terminated": ("", 143),
}


def main() -> None:
    """End as told; an id NAME.SECONDS ends like NAME after so many seconds, and "starting" has no answer to SIGTERM."""
    name, _, seconds = ORDER["modelId"].partition(".")
    if name != "starting":
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    time.sleep(float(seconds or 0))
    message, code = (traced(), 0) if (name, "question" in ORDER) == ("good", True) else ENDS[name]
    if message:
        Path("/dev/termination-log").write_text(message)
    os._exit(code)


main()
