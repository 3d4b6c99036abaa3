"""The runner's report: what travels in the container's termination message, at most 4,096 bytes."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from wattmark.api.figures import Environment, Results, Steadiness, Unavailable
from wattmark.api.schema import Model, map_list

REPORT_LIMIT_BYTES = 4096  # the kubelet keeps the last 4,096 bytes of a container's termination message
SCHEMA_VERSION = 1


class RunFailure(StrEnum):
    """Failures that the runner itself can tell."""

    INVALID_ORDER = "InvalidOrder"
    DEVICE_UNAVAILABLE = "DeviceUnavailable"
    MODEL_NOT_LOADABLE = "ModelNotLoadable"
    DEVICE_OUT_OF_MEMORY = "DeviceOutOfMemory"
    HOST_OUT_OF_MEMORY = "HostOutOfMemory"
    RUNNING_DEADLINE_EXCEEDED = "RunningDeadlineExceeded"
    NOT_TRACEABLE = "NotTraceable"
    RUNNER_ERROR = "RunnerError"


# Distinct per failure, none in [0, 143]: the Job's failure policy retries 143 (SIGTERM) and fails on these.
EXIT_CODES: dict[RunFailure, int] = {
    RunFailure.INVALID_ORDER: 160,
    RunFailure.DEVICE_UNAVAILABLE: 161,
    RunFailure.MODEL_NOT_LOADABLE: 162,
    RunFailure.DEVICE_OUT_OF_MEMORY: 163,
    RunFailure.RUNNING_DEADLINE_EXCEEDED: 164,
    RunFailure.RUNNER_ERROR: 165,
    RunFailure.HOST_OUT_OF_MEMORY: 166,
    RunFailure.NOT_TRACEABLE: 167,
}
EXIT_TERMINATED = 143  # on SIGTERM the runner leaves at once, never with 0


class Failure(Model):
    """Why the run gave no figures. Figures and a failure exclude each other."""

    reason: RunFailure = Field(description="The failure as one word.")
    message: Annotated[str, Field(max_length=512)] = Field(description="What happened and what to do.")


class Report(Model):
    """One run's outcome. Exactly one of `results` and `failure` is there."""

    schema_version: Literal[1] = Field(description="Version of this schema.")
    run_uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the BenchmarkJob that this run answers.")
    pod_uid: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="UID of the Pod that ran; absent without a cluster."
    )
    results: Results | None = Field(None, description="The figures.")
    steadiness: Steadiness | None = Field(None, description="How steady the measured window was; with results.")
    unavailable: Annotated[list[Unavailable], Field(max_length=16), map_list("field")] = Field(
        default_factory=list, description="Figures that could not be had, each with its reason."
    )
    environment: Environment | None = Field(
        None, description="Where and with what the run ran; absent if it failed before that was known."
    )
    failure: Failure | None = Field(None, description="Why there are no figures.")
