"""Conditions: their types, every reason that may stand in one, and the rule for when they change."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattmark.api.schema import Model, Timestamp


class ConditionType(StrEnum):
    """What a condition speaks of."""

    ACCEPTED = "Accepted"
    MODEL_FITS = "ModelFits"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    RESULTS_AVAILABLE = "ResultsAvailable"
    MEASUREMENT_VALID = "MeasurementValid"
    ENERGY_VALID = "EnergyValid"
    COMPLETE = "Complete"
    FAILED = "Failed"
    EVALUATED = "Evaluated"
    FITS = "Fits"
    CALIBRATED = "Calibrated"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """One word per cause; tools may match on it."""

    # accepting the spec
    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"
    UNKNOWN_MODEL = "UnknownModel"
    UNSUPPORTED_MODEL = "UnsupportedModel"
    HUB_UNREACHABLE = "HubUnreachable"
    INTERNAL_ERROR = "InternalError"
    IMPOSSIBLE_ATTENTION = "ImpossibleAttention"
    IMPOSSIBLE_PRECISION = "ImpossiblePrecision"
    IMPOSSIBLE_CACHE = "ImpossibleCache"
    IMPOSSIBLE_INPUT = "ImpossibleInput"
    IMPOSSIBLE_TRAINING = "ImpossibleTraining"
    IMPOSSIBLE_ANALYSIS = "ImpossibleAnalysis"
    IMPOSSIBLE_PARALLELISM = "ImpossibleParallelism"
    NAME_CONFLICT = "NameConflict"
    # whether it fits
    FITS_ALL = "FitsAll"
    FITS_SOME = "FitsSome"
    FITS_TIGHT = "FitsTight"
    FITS_ADAPTED = "FitsAdapted"
    DOES_NOT_FIT = "DoesNotFit"
    NO_GPU_NODES = "NoGpuNodes"
    NOT_ESTIMATED = "NotEstimated"
    NODES_UNKNOWN = "NodesUnknown"
    CHECK_OFF = "CheckOff"
    # on the way to a running container
    SUSPENDED = "Suspended"
    RESUMED = "Resumed"
    WAITING_FOR_OLD_RUN = "WaitingForOldRun"
    JOB_CREATED = "JobCreated"
    SCHEDULED = "Scheduled"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_NOT_PULLED = "ImageNotPulled"
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_SECURITY_REFUSED = "PodSecurityRefused"
    POD_REFUSED = "PodRefused"
    JOB_REFUSED = "JobRefused"
    RUNNING = "Running"
    RETRYING = "Retrying"
    ENDED = "Ended"
    # how a run can fail
    PENDING_DEADLINE_EXCEEDED = "PendingDeadlineExceeded"
    RUNNING_DEADLINE_EXCEEDED = "RunningDeadlineExceeded"
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"
    DEVICE_OUT_OF_MEMORY = "DeviceOutOfMemory"
    DEVICE_UNAVAILABLE = "DeviceUnavailable"
    MODEL_NOT_LOADABLE = "ModelNotLoadable"
    NOT_TRACEABLE = "NotTraceable"
    INVALID_ORDER = "InvalidOrder"
    RUNNER_ERROR = "RunnerError"
    EVICTED = "Evicted"
    NO_REPORT = "NoReport"
    REPORT_MALFORMED = "ReportMalformed"
    REPORT_TOO_LARGE = "ReportTooLarge"
    REPORT_NOT_FINITE = "ReportNotFinite"
    REPORT_OF_ANOTHER_RUN = "ReportOfAnotherRun"
    REPORT_LOST = "ReportLost"
    JOB_DELETED = "JobDeleted"
    # the end
    MEASURED = "Measured"
    STEADY = "Steady"
    NOT_STEADY = "NotSteady"
    WARM_UP_NOT_STEADY = "WarmUpNotSteady"
    CLOCKS_LOWERED = "ClocksLowered"
    GPU_SHARED = "GpuShared"
    ENERGY_MEASURED = "EnergyMeasured"
    ENERGY_UNAVAILABLE = "EnergyUnavailable"
    ENERGY_SHARED = "EnergyShared"
    IN_PROGRESS = "InProgress"
    # ModelCheck
    EVALUATED = "Evaluated"
    TRACING = "Tracing"
    FITS_NONE = "FitsNone"
    UNKNOWN = "Unknown"
    CALIBRATED = "Calibrated"
    NO_EVIDENCE = "NoEvidence"
    REQUIREMENT_MET = "RequirementMet"
    REQUIREMENT_NOT_MET = "RequirementNotMet"


class Condition(Model):
    """One observation about the object, in the form of metav1.Condition."""

    type: ConditionType = Field(description="What the condition speaks of.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: Reason = Field(description="The cause, as one word.")
    message: Annotated[str, Field(max_length=1024)] = Field(description="The cause as a sentence that says what to do.")
    last_transition_time: Timestamp = Field(description="When status last changed.")
    observed_generation: Annotated[int, Field(ge=0)] = Field(description="metadata.generation that this speaks of.")


def merged(old: Iterable[Condition], new: Iterable[Condition]) -> list[Condition]:
    """The new conditions, sorted by type, each keeping its transition time if its status did not change."""
    before = {c.type: c for c in old}
    kept = [
        c.model_copy(update={"last_transition_time": before[c.type].last_transition_time})
        if c.type in before and before[c.type].status is c.status
        else c
        for c in new
    ]
    order = list(ConditionType)
    return sorted(kept, key=lambda c: order.index(c.type))
