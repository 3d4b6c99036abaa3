"""Builders: an ordinary BenchmarkJob and all that can be seen of it; tests change what they speak of by `replace`."""

import json
from dataclasses import replace
from typing import Any

from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.conditions import Condition, ConditionType, Reason
from wattmark.api.figures import Distribution, Energy, Environment, Memory, Results, Steadiness, Throughput
from wattmark.api.report import Report
from wattmark.decide.plan import Identity, Seen
from wattmark.decide.saying import timestamp
from wattmark.manifests import Runner
from wattmark.observe import Ended, SeenJob, SeenPod
from wattmark.preflight import Preflight

CREATED = 1_800_000_000.0
RUN, OTHER_RUN, JOB, POD, OTHER_POD = "run-uid", "other-run-uid", "job-uid", "pod-uid", "other-pod-uid"
RUNNER = Runner("runner.invalid/runner:1", "IfNotPresent", (), 5.0)

IDENTITY = Identity("team", "bert", RUN, generation=1, created=CREATED, deleting=False)
SPEC = BenchmarkJobSpec.model_validate({"model": {"id": "bert-base-uncased"}})
PREFLIGHT = Preflight(
    resolved=None,
    need=None,
    predictions=(),
    unavailable=(),
    fits=True,
    reason=Reason.FITS_ALL,
    message="fits 1 of 1 node types",
    config="{}",
    products=None,
)
SEEN = Seen(IDENTITY, SPEC, BenchmarkJobStatus(), job=None, pods=(), preflight=PREFLIGHT)

THE_JOB = SeenJob(
    namespace="team",
    name="bert-run",
    uid=JOB,
    owner_kind="BenchmarkJob",
    owner_name="bert",
    owner_uid=RUN,
    created=CREATED,
    deleting=False,
    suspended=False,
    ttl=None,
    active=1,
    ready=0,
    succeeded=False,
    failed_reason="",
    failed_message="",
    finished=False,
)
THE_POD = SeenPod(
    namespace="team",
    name="bert-run-abcde",
    uid=POD,
    owner_uid=JOB,
    benchmark="bert",
    created=CREATED + 1,
    node="",
    phase="Pending",
    reason="",
    message="",
    deleting=False,
    unschedulable="",
    disruption="",
    waiting_reason="",
    waiting_message="",
    running_since=None,
    ended=None,
    image_id="",
)
RUNNING_POD = replace(THE_POD, node="node-1", phase="Running", running_since=CREATED + 5)

REPORT = Report(
    schema_version=1,
    run_uid=RUN,
    pod_uid=POD,
    results=Results(
        throughput=Throughput(samples_per_second=250.0, input_tokens_per_second=128000.0),
        latency_seconds=Distribution(p50=0.03, p90=0.04, p99=0.05, mean=0.032, count=1875),
        memory=Memory(host_peak_bytes=2 * 2**30),
        energy=Energy(),
        devices=[],
        parameter_count=109_482_240,
        model_load_seconds=1.5,
        window_seconds=60.0,
        iterations=1875,
        warmup_iterations=10,
    ),
    steadiness=Steadiness(drift_ratio=0.01, variation_ratio=0.02),
    environment=Environment(device="cpu", torch_version="2.9.0", transformers_version="5.0.0"),
)


def wire(report: Report = REPORT) -> dict[str, Any]:
    """A report as a dictionary that tests break."""
    return report.wire()


def failure(reason: str, message: str = "what to do") -> str:
    """The termination message of a runner that failed and could say so."""
    told = {"schemaVersion": 1, "runUid": RUN, "podUid": POD, "failure": {"reason": reason, "message": message}}
    return json.dumps(told)


def ended(code: int = 0, message: str = "", reason: str = "") -> Ended:
    """A container's end, five minutes after its start."""
    return Ended(code, reason or ("Completed" if code == 0 else "Error"), message, CREATED + 5, CREATED + 305)


def succeeded(message: str | None = None) -> SeenPod:
    """A Pod that ended well; with the ordinary report unless another message is given."""
    told = json.dumps(wire()) if message is None else message
    return replace(RUNNING_POD, phase="Succeeded", running_since=None, ended=ended(0, told))


def failed(code: int, message: str = "", reason: str = "", **changes: Any) -> SeenPod:
    """A Pod that failed with an exit code."""
    pod = replace(RUNNING_POD, phase="Failed", running_since=None, ended=ended(code, message, reason))
    return replace(pod, **changes)


def spec(**changes: Any) -> BenchmarkJobSpec:
    """The ordinary spec with other top-level fields, as a manifest has them."""
    return BenchmarkJobSpec.model_validate({**SPEC.wire(), **changes})


def condition(kind: ConditionType, status: BenchmarkJobStatus) -> Condition | None:
    """One condition of a status."""
    return next((c for c in status.conditions if c.type is kind), None)


def at(seconds: float) -> str:
    """A time so many seconds after the object's creation, as status holds it."""
    return timestamp(CREATED + seconds)
