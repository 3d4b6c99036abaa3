"""What a decision reads and what it gives back: Seen -> Plan."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus, Progress
from wattmark.api.conditions import Reason
from wattmark.observe import SeenJob, SeenPod
from wattmark.preflight import Preflight


class CreationFailure(StrEnum):
    """Why the run's Job could not be created just now."""

    STRANGER = "Stranger"  # a Job of that name which is not ours
    OLDER = "Older"  # the Job of an earlier BenchmarkJob of the same name, on its way out
    REFUSED = "Refused"  # the API server says no for now: quota, policy
    INVALID = "Invalid"  # the API server says no for good: a field of the Job cannot be so


@dataclass(frozen=True, slots=True)
class NotCreated:
    """The answer to the last attempt at creating the Job, when it was not created."""

    why: CreationFailure
    message: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The object that is decided about. `created` is in seconds since 1970."""

    namespace: str
    name: str
    uid: str
    generation: int
    created: float
    deleting: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is seen of one BenchmarkJob.

    `spec` is a sentence where the stored spec cannot be read. `preflight` is a sentence where the model's facts could
    not be had yet. `job` is the Job of the run's name, whoever owns it; `pods` are those that carry our labels.
    """

    identity: Identity
    spec: BenchmarkJobSpec | str
    status: BenchmarkJobStatus
    job: SeenJob | None
    pods: tuple[SeenPod, ...]
    preflight: Preflight | str | None = None
    not_created: NotCreated | None = None
    refusal: str = ""
    stuck: str = ""
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the run's Job."""

    manifest: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SuspendJob:
    """Suspend the Job, or let it go on."""

    name: str
    uid: str
    suspend: bool


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job and its Pods."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class ExpireJob:
    """Give the finished Job its time to live."""

    name: str
    uid: str
    seconds: int


Action = CreateJob | SuspendJob | DeleteJob | ExpireJob


@dataclass(frozen=True, slots=True)
class Announcement:
    """A Kubernetes Event, posted after the status write that it speaks of."""

    warning: bool
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: write the status if it differs, then act, then announce; look again after so many seconds."""

    status: BenchmarkJobStatus | None = None
    actions: tuple[Action, ...] = ()
    announcement: Announcement | None = None
    look_again_seconds: float | None = None
