"""Why a run's container does not run yet: from its Pod, or from the refusal to create one."""

from dataclasses import dataclass

from wattmark.api.conditions import Reason
from wattmark.observe import SeenPod

IMAGE_REASONS = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
)
ON_ITS_WAY = ("", "ContainerCreating", "PodInitializing")


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why the container does not run. `trouble`: somebody may have to act; told at once."""

    reason: Reason
    message: str
    trouble: bool


def waiting(pod: SeenPod, stuck: str = "") -> Waiting:
    """Why a Pod that has not ended does not run yet; `stuck` is what its Events say against it."""
    if pod.unschedulable:
        return Waiting(Reason.UNSCHEDULABLE, f"no node takes the Pod; the scheduler says: {pod.unschedulable}", True)
    detail = f": {pod.waiting_message}" if pod.waiting_message else ""
    if pod.waiting_reason in IMAGE_REASONS:
        return Waiting(
            Reason.IMAGE_NOT_PULLED,
            f"the runner image cannot be pulled on node {pod.node} ({pod.waiting_reason}){detail}; "
            "check the operator's image.runner setting and its pull secrets",
            True,
        )
    if pod.waiting_reason not in ON_ITS_WAY:
        return Waiting(
            Reason.CONTAINER_CANNOT_START,
            f"the container cannot be started on node {pod.node} ({pod.waiting_reason}){detail}",
            True,
        )
    if stuck:
        return Waiting(
            Reason.CONTAINER_CANNOT_START, f"the container cannot be started on node {pod.node}: {stuck}", True
        )
    if pod.node:
        return Waiting(
            Reason.SCHEDULED, f"the Pod is on node {pod.node}; its image is pulled and its container started", False
        )
    return Waiting(Reason.JOB_CREATED, "the Job is created; its Pod waits to be scheduled", False)


def refused(message: str) -> Waiting:
    """Why the API server refused to create the Pod (or the Job), from its own words."""
    lower = message.lower()
    if "exceeded quota" in lower or "failed quota" in lower:
        return Waiting(
            Reason.QUOTA_EXCEEDED, f"a ResourceQuota of the namespace is exhausted; free or raise it: {message}", True
        )
    if "violates podsecurity" in lower:
        return Waiting(
            Reason.POD_SECURITY_REFUSED,
            f"the namespace's Pod Security Standard refuses the runner Pod; allow it or use another namespace: "
            f"{message}",
            True,
        )
    return Waiting(Reason.POD_REFUSED, f"the API server refuses the runner Pod: {message}", True)
