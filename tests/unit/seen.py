"""Builders: an ordinary BenchmarkJob and all that can be seen of it; tests change what they speak of by `replace`."""

import json
from dataclasses import replace
from typing import Any

from wattmark.api.answers import BytesEstimate, Component, ComponentName, Need, Phase, Source
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus, JobReference
from wattmark.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from wattmark.api.figures import Distribution, Energy, Environment, Memory, Results, Steadiness, Throughput
from wattmark.api.report import Report
from wattmark.decide.benchmark import decide
from wattmark.decide.plan import DeleteJob, Identity, Plan, Seen
from wattmark.decide.saying import timestamp
from wattmark.manifests import Runner
from wattmark.observe import Ended, SeenJob, SeenPod
from wattmark.preflight import Preflight

CREATED = 1_800_000_000.0
GIB = 2**30
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
    of_kind="BenchmarkJob",
    of_name="bert",
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

RESULTS = Results(
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
)
ENVIRONMENT = Environment(device="cpu", torch_version="2.9.0", transformers_version="5.0.0")
REPORT = Report(
    schema_version=1,
    run_uid=RUN,
    pod_uid=POD,
    results=RESULTS,
    steadiness=Steadiness(drift_ratio=0.01, variation_ratio=0.02),
    environment=ENVIRONMENT,
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


RECORDED = JobReference(name="bert-run", uid=JOB)
WITH_JOB = replace(SEEN, job=THE_JOB, preflight=None)
RUNNING = replace(WITH_JOB, pods=(RUNNING_POD,))
STRANGER = replace(THE_JOB, owner_kind="", owner_name="", owner_uid="", uid="stranger-uid")
OLDER = replace(THE_JOB, owner_uid="earlier-uid", uid="older-uid")
SUSPENDED_JOB = replace(THE_JOB, suspended=True)
POD_ON_NODE = replace(THE_POD, node="node-1", waiting_reason="ContainerCreating")
NO_IMAGE = replace(POD_ON_NODE, waiting_reason="ErrImagePull")
UNSCHEDULABLE = replace(THE_POD, unschedulable="0/1 nodes are available")
EVICTED = failed(137, disruption="EvictionByEvictionAPI", created=CREATED + 1)
RETRY = replace(RUNNING_POD, uid=OTHER_POD, name="bert-run-fghij", created=CREATED + 400)

PENDING = {"deadlines": {"pendingSeconds": 100}}
SILENT = "the hub cannot be reached (TimeoutError); asked again soon"
DELETE = DeleteJob("bert-run", JOB)
YES, NO = ConditionStatus.TRUE, ConditionStatus.FALSE


def step(seen: Seen, seconds: float = 2.0) -> Plan:
    """What is decided so many seconds after the object's creation."""
    return decide(seen, CREATED + seconds, RUNNER)


def onward(seen: Seen, seconds: float = 2.0) -> Seen:
    """The same seen again after its status was written."""
    status = step(seen, seconds).status
    assert status is not None
    return replace(seen, status=status)


def says(plan: Plan, kind: ConditionType) -> tuple[ConditionStatus, Reason]:
    """Status and reason of a condition in the status that is to be written."""
    assert plan.status is not None
    found = condition(kind, plan.status)
    assert found is not None, kind
    return found.status, found.reason


def estimate(gib: int) -> BytesEstimate:
    """The same number of GiB at all three points."""
    return BytesEstimate(low=gib * GIB, likely=gib * GIB, high=gib * GIB, source=Source.CLOSED_FORM)


NEED = Need(
    peak_phase=Phase.FORWARD,
    allocated_bytes=estimate(14),
    reserved_bytes=estimate(15),
    device_bytes=estimate(16),
    required_bytes=estimate(16),
    components=[
        Component(name=ComponentName.WEIGHTS, low_bytes=GIB, likely_bytes=GIB, high_bytes=GIB, formula="parameters")
    ],
)
