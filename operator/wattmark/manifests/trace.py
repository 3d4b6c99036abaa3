"""ModelCheck -> the Job that traces its model: on the CPU, with the tenant's own sight of volume and token."""

import hashlib
import json
from typing import Any

from wattmark.api.benchmarkjob import MeasureSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import HubModel, RunOrder
from wattmark.api.report import SCHEMA_VERSION
from wattmark.identity import QUESTION_LABEL, trace_name
from wattmark.manifests.pod import Owner, Runner, claim, claim_volumes, claimed_folder, container, job, mebibytes, pod
from wattmark.observe import quantity

GIB = 2**30
# Measured: 1.03 GB for Llama-3.1-8B with 128 tokens generated, of which torch and transformers take the most. A model
# of more layers or a longer generation has more events to keep.
REQUEST_BYTES, LIMIT_BYTES = 3 * GIB // 2, 6 * GIB
REQUEST_CPU = "500m"  # it works on one core, and takes what is idle
RETRIES = 3
RUNNING_SECONDS = 3600
# The Job's, image pull and wait for a node included: no GPU is held up, so there is no spec field for it.
DEADLINE_SECONDS = 2 * RUNNING_SECONDS


def trace_job(owner: Owner, digest: str, config: str | None, spec: ModelCheckSpec, runner: Runner) -> dict[str, Any]:
    """The batch/v1 Job that traces. `config` is config.json, where the operator knows it.

    The spec's node selector speaks of where GPUs are, and is left out; tolerations let the Pod land where the tenant's
    Pods do.
    """
    told = trace_order(owner.uid, digest, config, spec)
    mounts = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - an emptyDir of the Pod's own
    volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}, *claim_volumes(spec.model)]
    asked = quantity(spec.resources.memory) or 0
    resources = {
        "requests": {"cpu": REQUEST_CPU, "memory": mebibytes(REQUEST_BYTES)},
        "limits": {"memory": mebibytes(max(LIMIT_BYTES, int(asked)))},
    }
    inside = container(runner, told, spec.model, resources, mounts)
    tolerations = [t.wire() for t in spec.placement.tolerations or ()]
    labels = owner.labels("trace") | {QUESTION_LABEL: digest}
    made = job(owner, trace_name(owner.name), labels, RETRIES, pod(runner, inside, volumes, tolerations))
    made["spec"]["activeDeadlineSeconds"] = DEADLINE_SECONDS
    return made


def question(spec: ModelCheckSpec) -> str:
    """Digest of all that a trace depends on; what else the spec says, such as where a run may land, is not in it.

    Fields at their default are left out, so that a release that brings a new one asks nothing anew.
    """
    asked = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for field in ("method", "require", "placement", "resources"):
        asked.pop(field, None)
    asked["gpusPerNode"], asked["memory"] = spec.resources.gpus_per_node, spec.resources.memory
    return hashlib.sha256(json.dumps([SCHEMA_VERSION, asked], sort_keys=True).encode()).hexdigest()[:32]


def trace_order(uid: str, digest: str, config: str | None, spec: ModelCheckSpec) -> RunOrder:
    """What the runner is told to trace; it reads the configuration itself where `config` is None."""
    source, found = spec.model.source, claim(spec.model)
    hub = None
    if config is None and found is None:
        hub = HubModel(repository=spec.model.id, revision=source.hub.revision if source and source.hub else None)
    return RunOrder(
        run_uid=uid,
        model_id=spec.model.id,
        weights=spec.model.weights,
        config=config if found is None else None,
        folder=None if found is None else claimed_folder(found),
        hub=hub,
        workload=spec.workload,
        runtime=spec.runtime,
        measure=MeasureSpec().resolved(),
        gpus=spec.resources.gpus_per_node,
        running_seconds=RUNNING_SECONDS,
        question=digest,
    )
