"""Raw Job, Pod and Event bodies -> what decisions need. Total: odd input gives an empty field, never an exception."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from wattmark.api.schema import GROUP
from wattmark.identity import CONTAINER, KIND_LABEL, NAME_LABEL, QUESTION_LABEL

Body = Mapping[str, Any]

# Control and bidirectional-override characters would let a Pod's message forge lines in logs and terminals.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|[MGTPE]i?|[eE][0-9]{1,2})?")
_FACTORS: Mapping[str, float] = {"": 1.0, "m": 1e-3, "k": 1e3, "Ki": 1024.0} | {
    prefix + i: base**power for power, prefix in enumerate("MGTPE", 2) for i, base in (("", 1000.0), ("i", 1024.0))
}


def clean(text: object, limit: int = 1024) -> str:
    """Foreign text made safe to show: one line, no control characters, bounded."""
    line = _CONTROL.sub(" ", str(text)).strip()
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def mapping(value: object) -> Body:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> list[Body]:
    """The objects of a list; anything else is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def quantity(value: object) -> float | None:
    """A Kubernetes quantity as a number; None where it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if 0 <= value < 2**63 else None
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) and len(value) <= 32 else None
    if match is None:
        return None
    number, suffix = float(match[1]), match[2] or ""
    factor = _FACTORS.get(suffix)
    return number * (10.0 ** int(suffix[1:]) if factor is None else factor)


def _shown(value: object, limit: int = 1024) -> str:
    return clean(text(value), limit)


def epoch(value: object) -> float | None:
    """Seconds since 1970 of an RFC 3339 time; None where there is none."""
    if not isinstance(value, str):
        return None
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, OverflowError):  # the latter for years that the platform cannot count
        return None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a container ended."""

    exit_code: int
    reason: str
    message: str
    started: float | None
    finished: float | None


@dataclass(frozen=True, slots=True)
class SeenPod:
    """A runner Pod, as far as decisions read it. Times are seconds since 1970."""

    namespace: str
    name: str
    uid: str
    owner_uid: str
    of_kind: str  # by its labels: the kind and the name of the object that it works for
    of_name: str
    created: float
    node: str
    phase: str
    reason: str  # status.reason: Evicted, DeadlineExceeded, UnexpectedAdmissionError, NodeLost
    message: str
    deleting: bool
    unschedulable: str  # the scheduler's words; empty when it was scheduled or not yet looked at
    disruption: str  # reason of condition DisruptionTarget; empty where it is not True
    waiting_reason: str  # why the container does not run yet
    waiting_message: str
    running_since: float | None
    ended: Ended | None
    image_id: str

    @property
    def terminal(self) -> bool:
        """Whether the Pod will not run again."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def succeeded(self) -> bool:
        """Whether its runner ended well.

        The kubelet tells the container's end a second before the Pod's: it holds the phase back until all of the Pod
        is cleared away, and that is as long as a container lasts which others put beside ours. A runner is never
        started twice in a Pod, so its exit code 0 is final.
        """
        early = self.phase == "Running" and self.ended is not None and self.ended.exit_code == 0
        return early or self.phase == "Succeeded"

    @property
    def running(self) -> bool:
        """Whether its container runs, and nobody has told it to end."""
        return self.running_since is not None and not self.terminal and not self.deleting


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A Job, as far as decisions read it."""

    namespace: str
    name: str
    uid: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    created: float
    deleting: bool
    suspended: bool
    ttl: int | None
    succeeded: bool  # by condition Complete or SuccessCriteriaMet
    failed_reason: str  # of condition Failed or FailureTarget; empty while there is none
    failed_message: str
    finished: bool  # by condition Complete or Failed: its controller is done with it
    question: str = ""  # of a trace: the digest of what it was asked


def controller(metadata: Body) -> Body:
    """The owner reference that controls the object; empty where none does."""
    return next((o for o in items(metadata.get("ownerReferences")) if o.get("controller") is True), {})


def _true(conditions: Iterable[Body], *types: str) -> Body | None:
    return next((c for c in conditions if c.get("type") in types and c.get("status") == "True"), None)


def job(body: Body) -> SeenJob:
    """A batch/v1 Job."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    owner, conditions = controller(metadata), items(status.get("conditions"))
    failed = _true(conditions, "Failed", "FailureTarget") or {}
    ttl = spec.get("ttlSecondsAfterFinished")
    return SeenJob(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        owner_kind=text(owner.get("kind")) if text(owner.get("apiVersion")).startswith(f"{GROUP}/") else "",
        owner_name=text(owner.get("name")),
        owner_uid=text(owner.get("uid")),
        created=epoch(metadata.get("creationTimestamp")) or 0.0,
        deleting=metadata.get("deletionTimestamp") is not None,
        suspended=spec.get("suspend") is True,
        ttl=ttl if isinstance(ttl, int) else None,
        succeeded=_true(conditions, "Complete", "SuccessCriteriaMet") is not None,
        failed_reason=text(failed.get("reason")),
        failed_message=_shown(failed.get("message")),
        finished=_true(conditions, "Complete", "Failed") is not None,
        question=text(mapping(metadata.get("labels")).get(QUESTION_LABEL)),
    )


def pod(body: Body) -> SeenPod:
    """A runner Pod. Its message is kept whole: it is the report, and judged elsewhere."""
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    labels, conditions = mapping(metadata.get("labels")), items(status.get("conditions"))
    unscheduled = next((c for c in conditions if c.get("type") == "PodScheduled" and c.get("status") == "False"), {})
    # By name: what injects containers into Pods may put its own first.
    container = next((c for c in items(status.get("containerStatuses")) if c.get("name") == CONTAINER), {})
    state = mapping(container.get("state"))
    waiting, running = mapping(state.get("waiting")), mapping(state.get("running"))
    disruption = _true(conditions, "DisruptionTarget") or {}
    return SeenPod(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        owner_uid=text(controller(metadata).get("uid")),
        of_kind=text(labels.get(KIND_LABEL)),
        of_name=text(labels.get(NAME_LABEL)),
        created=epoch(metadata.get("creationTimestamp")) or 0.0,
        node=text(spec.get("nodeName")),
        phase=text(status.get("phase")),
        reason=_shown(status.get("reason"), 64),
        message=_shown(status.get("message")),
        deleting=metadata.get("deletionTimestamp") is not None,
        unschedulable=_shown(unscheduled.get("message")) if unscheduled.get("reason") == "Unschedulable" else "",
        disruption=_shown(disruption.get("reason"), 64),
        waiting_reason=_shown(waiting.get("reason"), 64),
        waiting_message=_shown(waiting.get("message")),
        running_since=epoch(running.get("startedAt")),
        ended=_ended(mapping(state.get("terminated"))),
        image_id=_shown(container.get("imageID"), 512),
    )


def _ended(terminated: Body) -> Ended | None:
    code = terminated.get("exitCode")
    if not isinstance(code, int):
        return None
    return Ended(
        exit_code=code,
        reason=_shown(terminated.get("reason"), 64),
        message=text(terminated.get("message")),
        started=epoch(terminated.get("startedAt")),
        finished=epoch(terminated.get("finishedAt")),
    )


NO_POD = ("FailedCreate",)  # of a Job: the API server refused its Pod
NO_CONTAINER = ("FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox")  # of a Pod: told nowhere else


def latest_trouble(events: Iterable[Body], reasons: tuple[str, ...], since: float) -> str:
    """The newest message among Events of these reasons that are not older than `since`; empty where there is none."""
    troubles = [e for e in events if e.get("reason") in reasons and _event_time(e) >= since]
    newest = max(troubles, key=_event_time, default=None)
    return "" if newest is None else _shown(newest.get("message"))


def _event_time(event: Body) -> float:
    series = mapping(event.get("series"))
    times = (event.get("lastTimestamp"), series.get("lastObservedTime"), event.get("eventTime"))
    return next((t for value in times if (t := epoch(value)) is not None), 0.0)
