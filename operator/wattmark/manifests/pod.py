"""What every Job and Pod of ours has, whatever its container does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wattmark import __version__
from wattmark.api.model import ClaimSource, ModelSpec
from wattmark.api.order import MODEL_MOUNT, ORDER_VARIABLE, POD_UID_VARIABLE, TERMINATION_LOG, RunOrder
from wattmark.api.report import EXIT_TERMINATED
from wattmark.api.schema import API_VERSION
from wattmark.identity import CONTAINER, KIND_LABEL, NAME_LABEL

NON_ROOT = 65532


@dataclass(frozen=True, slots=True)
class Runner:
    """The runner image and how Pods get it."""

    image: str
    pull_policy: str
    pull_secrets: tuple[str, ...]
    progress_seconds: float


@dataclass(frozen=True, slots=True)
class Owner:
    """The object that a Job belongs to."""

    kind: str
    namespace: str
    name: str
    uid: str

    def labels(self, component: str) -> dict[str, str]:
        """The labels of its Job and Pods."""
        return {
            "app.kubernetes.io/name": "wattmark-runner",
            "app.kubernetes.io/instance": self.name,
            "app.kubernetes.io/component": component,
            "app.kubernetes.io/part-of": "wattmark",
            "app.kubernetes.io/managed-by": "wattmark",
            "app.kubernetes.io/version": __version__,
            KIND_LABEL: self.kind,
            NAME_LABEL: self.name,
        }


def job(owner: Owner, name: str, labels: Mapping[str, str], retries: int, pod: Mapping[str, Any]) -> dict[str, Any]:
    """A batch/v1 Job of one Pod. Disruptions are tried again, so many times; a failure of its own is not."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": dict(labels),
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": owner.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": retries,
            "podReplacementPolicy": "Failed",  # never two Pods of one run at a time
            "podFailurePolicy": {
                "rules": [
                    {"action": "Count", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                    {"action": "Count", "onExitCodes": _exit_codes("In", EXIT_TERMINATED)},
                    {"action": "FailJob", "onExitCodes": _exit_codes("NotIn", 0, EXIT_TERMINATED)},
                ]
            },
            "template": {"metadata": {"labels": dict(labels)}, "spec": dict(pod)},
        },
    }


def _exit_codes(operator: str, *codes: int) -> dict[str, Any]:
    return {"containerName": CONTAINER, "operator": operator, "values": list(codes)}


def pod(
    runner: Runner, container: Mapping[str, Any], volumes: list[dict[str, Any]], tolerations: list[dict[str, Any]]
) -> dict[str, Any]:
    """The spec of a Pod with one container, without rights and without a token."""
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 5,
        # The first process of a namespace ignores SIGTERM until it has a handler, and then is killed, which is an exit
        # code as any other to the Job controller. So the runner is not the first: it can be ended as it starts.
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": NON_ROOT,
            "runAsGroup": NON_ROOT,
            "fsGroup": NON_ROOT,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [dict(container)],
        "volumes": volumes,
        "tolerations": tolerations,
    }
    if runner.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in runner.pull_secrets]
    return spec


def container(
    runner: Runner, told: RunOrder, model: ModelSpec, resources: Mapping[str, Any], mounts: list[dict[str, Any]]
) -> dict[str, Any]:
    """The container that carries out an order; the model's volume is mounted beside the other `mounts`."""
    claimed = [] if claim(model) is None else [{"name": "model", "mountPath": MODEL_MOUNT, "readOnly": True}]
    return {
        "name": CONTAINER,
        "image": runner.image,
        "imagePullPolicy": runner.pull_policy,
        "env": _environment(told, model),
        "resources": dict(resources),
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "File",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [*mounts, *claimed],
    }


def _environment(told: RunOrder, model: ModelSpec) -> list[dict[str, Any]]:
    environment: list[dict[str, Any]] = [
        # The kubelet expands $(NAME) in a value; a doubled $ stands for itself.
        {"name": ORDER_VARIABLE, "value": told.model_dump_json(by_alias=True, exclude_none=True).replace("$", "$$")},
        {"name": POD_UID_VARIABLE, "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
    ]
    if told.hub is None:
        environment.append({"name": "HF_HUB_OFFLINE", "value": "1"})
    source = model.source
    if source and source.hub and source.hub.token_secret_ref:
        secret = source.hub.token_secret_ref
        environment.append(
            {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": secret.name, "key": secret.key}}}
        )
    return environment


def claim(model: ModelSpec) -> ClaimSource | None:
    """The volume that the model lies on."""
    return model.source.persistent_volume_claim if model.source else None


def claimed_folder(found: ClaimSource) -> str:
    """Where a container finds the model of that volume."""
    return f"{MODEL_MOUNT}/{found.path}".rstrip("/")


def claim_volumes(model: ModelSpec) -> list[dict[str, Any]]:
    """The volume of the model, if it lies on one."""
    found = claim(model)
    if found is None:
        return []
    return [{"name": "model", "persistentVolumeClaim": {"claimName": found.claim_name, "readOnly": True}}]


def mebibytes(size_bytes: int) -> str:
    """A quantity of memory, rounded up."""
    return f"{-(-size_bytes // 2**20)}Mi"
