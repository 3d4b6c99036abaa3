"""BenchmarkJob -> the Job that runs it."""

from dataclasses import dataclass
from typing import Any

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.model import Weights
from wattmark.api.order import HubModel, RunOrder
from wattmark.identity import BENCHMARK_JOB, run_name
from wattmark.manifests.pod import Owner, Runner, claim, claim_volumes, claimed_folder, container, job, mebibytes, pod

GIB = 2**30
# Where no estimate speaks: room for a model of some billion parameters, and a ceiling that guards the node.
UNKNOWN_MEMORY_REQUEST_BYTES, UNKNOWN_MEMORY_LIMIT_BYTES = 4 * GIB, 16 * GIB
# Beyond the runner's own deadline, so that the runner ends itself first and says so.
DEADLINE_MARGIN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Asked:
    """What the Job needs to know beside the spec."""

    namespace: str
    name: str
    uid: str
    config: str | None  # config.json, where the operator knows it
    host_memory_bytes: int | None  # the estimate's high end
    products: tuple[str, ...] | None  # GPU products on which the run fits; None: any


def run_job(asked: Asked, spec: BenchmarkJobSpec, runner: Runner) -> dict[str, Any]:
    """The batch/v1 Job of a run."""
    owner = Owner(BENCHMARK_JOB, asked.namespace, asked.name, asked.uid)
    made = _pod(asked, spec, runner)
    return job(owner, run_name(asked.name), owner.labels("runner"), spec.max_infrastructure_retries, made)


def _pod(asked: Asked, spec: BenchmarkJobSpec, runner: Runner) -> dict[str, Any]:
    placement = spec.placement
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the Pod's own
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    told = order(asked, spec, runner.progress_seconds)
    inside = container(runner, told, spec.model, _resources(asked, spec), mounts)
    made = pod(runner, inside, _volumes(spec), _tolerations(spec))
    # The backstop for a runner that cannot end itself; it counts from the kubelet's first sight of the Pod.
    made["activeDeadlineSeconds"] = (
        spec.deadlines.pending_seconds + spec.deadlines.running_seconds + DEADLINE_MARGIN_SECONDS
    )
    if placement.node_selector:
        made["nodeSelector"] = dict(placement.node_selector)
    if asked.products is not None:
        made["affinity"] = _affinity(asked.products)
    if placement.priority_class_name:
        made["priorityClassName"] = placement.priority_class_name
    if placement.runtime_class_name:
        made["runtimeClassName"] = placement.runtime_class_name
    return made


def order(asked: Asked, spec: BenchmarkJobSpec, progress_seconds: float) -> RunOrder:
    """What the runner is told to do."""
    source, found = spec.model.source, claim(spec.model)
    hub = None
    # Random weights need the hub for a configuration that only the runner can read.
    if found is None and (spec.model.weights is Weights.PRETRAINED or asked.config is None):
        hub = HubModel(repository=spec.model.id, revision=source.hub.revision if source and source.hub else None)
    return RunOrder(
        run_uid=asked.uid,
        model_id=spec.model.id,
        weights=spec.model.weights,
        config=asked.config,
        folder=None if found is None else claimed_folder(found),
        hub=hub,
        workload=spec.workload,
        runtime=spec.runtime,
        measure=spec.measure.resolved(),
        gpus=spec.resources.gpus_per_node,
        running_seconds=spec.deadlines.running_seconds,
        progress_seconds=progress_seconds or 60.0,
    )


def _resources(asked: Asked, spec: BenchmarkJobSpec) -> dict[str, Any]:
    asked_for = spec.resources
    if asked_for.memory is not None:
        memory_request = memory_limit = str(asked_for.memory)
    elif asked.host_memory_bytes is not None:
        memory_request = mebibytes(asked.host_memory_bytes)
        memory_limit = mebibytes(2 * asked.host_memory_bytes)  # an estimate must not kill a run that it misjudged
    else:
        memory_request = mebibytes(UNKNOWN_MEMORY_REQUEST_BYTES)
        memory_limit = mebibytes(UNKNOWN_MEMORY_LIMIT_BYTES)
    requests = {"cpu": str(asked_for.cpu) if asked_for.cpu is not None else "1", "memory": memory_request}
    limits = {"memory": memory_limit}
    if asked_for.cpu is not None:
        limits["cpu"] = str(asked_for.cpu)
    if asked_for.gpus_per_node:
        limits[gpu_resource(spec)] = requests[gpu_resource(spec)] = str(asked_for.gpus_per_node)
    return {"requests": requests, "limits": limits}


def gpu_resource(spec: BenchmarkJobSpec) -> str:
    """The extended resource that a GPU of this spec is requested as."""
    return spec.resources.gpu.resource_name if spec.resources.gpu else "nvidia.com/gpu"


def _tolerations(spec: BenchmarkJobSpec) -> list[dict[str, Any]]:
    own = [t.wire() for t in spec.placement.tolerations or ()]
    if spec.resources.gpus_per_node == 0:
        return own
    vendor = gpu_resource(spec).split("/", 1)[0]
    return [{"key": f"{vendor}/gpu", "operator": "Exists"}, *own]


def _affinity(products: tuple[str, ...]) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": "nvidia.com/gpu.product", "operator": "In", "values": list(products)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}


def _volumes(spec: BenchmarkJobSpec) -> list[dict[str, Any]]:
    downloads = spec.model.weights is Weights.PRETRAINED and claim(spec.model) is None
    return [
        {"name": "tmp", "emptyDir": {"sizeLimit": "512Gi" if downloads else "2Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
        *claim_volumes(spec.model),
    ]
