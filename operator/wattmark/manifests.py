"""BenchmarkJob -> its Job: an allow-list of fields, under the restricted Pod Security Standard."""

from dataclasses import dataclass
from typing import Any

from wattmark import __version__
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.model import ClaimSource, Weights
from wattmark.api.order import MODEL_MOUNT, ORDER_VARIABLE, POD_UID_VARIABLE, TERMINATION_LOG, HubModel, RunOrder
from wattmark.api.report import EXIT_TERMINATED
from wattmark.api.schema import API_VERSION
from wattmark.identity import BENCHMARK_JOB, CONTAINER, KIND_LABEL, NAME_LABEL, run_name

NON_ROOT = 65532
GIB = 2**30
# Where no estimate speaks: room for a model of some billion parameters, and a ceiling that guards the node.
UNKNOWN_MEMORY_REQUEST_BYTES, UNKNOWN_MEMORY_LIMIT_BYTES = 4 * GIB, 16 * GIB
# Beyond the runner's own deadline, so that the runner ends itself first and says so.
DEADLINE_MARGIN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Runner:
    """The runner image and how Pods get it."""

    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]
    progress_seconds: float


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
    labels = _labels(asked.name)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": run_name(asked.name),
            "namespace": asked.namespace,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": BENCHMARK_JOB,
                    "name": asked.name,
                    "uid": asked.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": spec.max_infrastructure_retries,
            "podReplacementPolicy": "Failed",  # never two Pods of one run at a time
            "podFailurePolicy": {
                "rules": [
                    {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "Count", "onExitCodes": _exit_codes("In", EXIT_TERMINATED)},
                    {"action": "FailJob", "onExitCodes": _exit_codes("NotIn", 0, EXIT_TERMINATED)},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": _pod(asked, spec, runner)},
        },
    }


def _exit_codes(operator: str, *codes: int) -> dict[str, Any]:
    return {"containerName": CONTAINER, "operator": operator, "values": list(codes)}


def _labels(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "wattmark-runner",
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": "runner",
        "app.kubernetes.io/part-of": "wattmark",
        "app.kubernetes.io/managed-by": "wattmark",
        "app.kubernetes.io/version": __version__,
        KIND_LABEL: BENCHMARK_JOB,
        NAME_LABEL: name,
    }


def _pod(asked: Asked, spec: BenchmarkJobSpec, runner: Runner) -> dict[str, Any]:
    placement = spec.placement
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        # The backstop for a runner that cannot end itself; it counts from the kubelet's first sight of the Pod.
        "activeDeadlineSeconds": spec.deadlines.pending_seconds
        + spec.deadlines.running_seconds
        + DEADLINE_MARGIN_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NON_ROOT,
            "runAsGroup": NON_ROOT,
            "fsGroup": NON_ROOT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(asked, spec, runner)],
        "volumes": _volumes(spec),
        "tolerations": _tolerations(spec),
    }
    if placement.node_selector:
        pod["nodeSelector"] = dict(placement.node_selector)
    if asked.products is not None:
        pod["affinity"] = _affinity(asked.products)
    if placement.priority_class_name:
        pod["priorityClassName"] = placement.priority_class_name
    if placement.runtime_class_name:
        pod["runtimeClassName"] = placement.runtime_class_name
    if runner.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in runner.pull_secrets]
    return pod


def _container(asked: Asked, spec: BenchmarkJobSpec, runner: Runner) -> dict[str, Any]:
    mounts: list[dict[str, Any]] = [
        {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - an emptyDir of the Pod's own
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108
    ]
    if _claim(spec) is not None:
        mounts.append({"name": "model", "mountPath": MODEL_MOUNT, "readOnly": True})
    return {
        "name": CONTAINER,
        "image": runner.image,
        "imagePullPolicy": runner.pull_policy,
        "env": _environment(asked, spec, runner),
        "resources": _resources(asked, spec),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def order(asked: Asked, spec: BenchmarkJobSpec, progress_seconds: float) -> RunOrder:
    """What the runner is told to do."""
    source, claim = spec.model.source, _claim(spec)
    hub = None
    if claim is None and spec.model.weights is Weights.PRETRAINED:
        hub = HubModel(repository=spec.model.id, revision=source.hub.revision if source and source.hub else None)
    return RunOrder(
        run_uid=asked.uid,
        model_id=spec.model.id,
        weights=spec.model.weights,
        config=asked.config,
        folder=None if claim is None else f"{MODEL_MOUNT}/{claim.path}".rstrip("/"),
        hub=hub,
        workload=spec.workload,
        runtime=spec.runtime,
        measure=spec.measure.resolved(),
        gpus=spec.resources.gpus_per_node,
        running_seconds=spec.deadlines.running_seconds,
        progress_seconds=progress_seconds or 60.0,
    )


def _environment(asked: Asked, spec: BenchmarkJobSpec, runner: Runner) -> list[dict[str, Any]]:
    told = order(asked, spec, runner.progress_seconds)
    environment: list[dict[str, Any]] = [
        # The kubelet expands $(NAME) in a value; a doubled $ stands for itself.
        {"name": ORDER_VARIABLE, "value": told.model_dump_json(by_alias=True, exclude_none=True).replace("$", "$$")},
        {"name": POD_UID_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    ]
    if told.hub is None:
        environment.append({"name": "HF_HUB_OFFLINE", "value": "1"})
    source = spec.model.source
    if source and source.hub and source.hub.token_secret_ref:
        secret = source.hub.token_secret_ref
        environment.append(
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
        )
    return environment


def _resources(asked: Asked, spec: BenchmarkJobSpec) -> dict[str, Any]:
    asked_for = spec.resources
    if asked_for.memory is not None:
        memory_request = memory_limit = str(asked_for.memory)
    elif asked.host_memory_bytes is not None:
        memory_request = _mebibytes(asked.host_memory_bytes)
        memory_limit = _mebibytes(2 * asked.host_memory_bytes)  # an estimate must not kill a run that it misjudged
    else:
        memory_request = _mebibytes(UNKNOWN_MEMORY_REQUEST_BYTES)
        memory_limit = _mebibytes(UNKNOWN_MEMORY_LIMIT_BYTES)
    requests = {"cpu": str(asked_for.cpu) if asked_for.cpu is not None else "1", "memory": memory_request}
    limits = {"memory": memory_limit}
    if asked_for.cpu is not None:
        limits["cpu"] = str(asked_for.cpu)
    if asked_for.gpus_per_node:
        limits[gpu_resource(spec)] = requests[gpu_resource(spec)] = str(asked_for.gpus_per_node)
    return {"requests": requests, "limits": limits}


def _mebibytes(size_bytes: int) -> str:
    return f"{-(-size_bytes // 2**20)}Mi"


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
    downloads = spec.model.weights is Weights.PRETRAINED and _claim(spec) is None
    volumes: list[dict[str, Any]] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "512Gi" if downloads else "2Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
    ]
    claim = _claim(spec)
    if claim is not None:
        volumes.append({"name": "model", "persistentVolumeClaim": {"claimName": claim.claim_name, "readOnly": True}})
    return volumes


def _claim(spec: BenchmarkJobSpec) -> ClaimSource | None:
    return spec.model.source.persistent_volume_claim if spec.model.source else None
