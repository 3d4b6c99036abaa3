"""The kind BenchmarkJob: run a model on the cluster and read in status what it really did."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from wattmark.api.answers import BytesEstimate, Need, NodeTypeAnswer
from wattmark.api.conditions import Condition
from wattmark.api.fallback import MOST_FALLBACKS, Fallback
from wattmark.api.figures import Environment, Results, Steadiness, Unavailable
from wattmark.api.model import ModelSpec
from wattmark.api.order import Resolved, ResolvedMeasure
from wattmark.api.placement import PlacementSpec, ResourcesSpec
from wattmark.api.runtime import QuantizationType, RuntimeSpec
from wattmark.api.schema import Bytes, Model, Rule, Seconds, ShortText, Timestamp, map_list, ruled
from wattmark.api.training import Optimizer
from wattmark.api.workload import DEFAULT_WORKLOAD, WorkloadSpec


class Profile(StrEnum):
    """How thoroughly is measured."""

    SMOKE = "Smoke"
    STANDARD = "Standard"
    PUBLICATION = "Publication"


class PreflightPolicy(StrEnum):
    """What an estimate that does not fit leads to."""

    ENFORCE = "Enforce"
    ADAPT = "Adapt"
    WARN = "Warn"
    OFF = "Off"


class MeasureSpec(Model):
    """How long and how often is measured."""

    profile: Profile = Field(
        Profile.STANDARD,
        description="Smoke: 3 warm-up iterations, a window of 10 s and 5 iterations. Standard: 10, 60 s, 30. "
        "Publication: 30, 600 s, 100. Each is the least of its kind.",
    )
    warmup_iterations: Annotated[int, Field(ge=1, le=10000)] | None = Field(
        None,
        description="Least number of iterations before the measured window, excluded from it. There are more until "
        "their latency shows no trend: for a tenth of the window's length at least, half of it or 120 s at most. "
        "Default: from the profile.",
    )
    window_seconds: Annotated[int, Field(ge=1, le=86400)] | None = Field(
        None, description="Least length of the measured window, in seconds. Default: from the profile."
    )
    min_iterations: Annotated[int, Field(ge=2, le=100000)] | None = Field(
        None, description="Least number of iterations in the window. Default: from the profile."
    )

    def resolved(self) -> ResolvedMeasure:
        """The profile's values, overridden by those given."""
        base = PROFILES[self.profile]
        return ResolvedMeasure(
            warmup_iterations=self.warmup_iterations or base.warmup_iterations,
            window_seconds=self.window_seconds or base.window_seconds,
            min_iterations=self.min_iterations or base.min_iterations,
        )


PROFILES: dict[Profile, ResolvedMeasure] = {
    Profile.SMOKE: ResolvedMeasure(warmup_iterations=3, window_seconds=10, min_iterations=5),
    Profile.STANDARD: ResolvedMeasure(warmup_iterations=10, window_seconds=60, min_iterations=30),
    Profile.PUBLICATION: ResolvedMeasure(warmup_iterations=30, window_seconds=600, min_iterations=100),
}


class PreflightSpec(Model):
    """The check before any GPU is taken."""

    policy: PreflightPolicy = Field(
        PreflightPolicy.ENFORCE,
        description="Enforce: a run that fits no node type is refused before any Pod exists; an unknown answer runs. "
        "Adapt: such a run is changed, once and before it starts, by the best fallback that changes no result, and "
        "refused where there is none. Those are: fused attention instead of eager; more resources.memory; in training "
        "also fused AdamW, gradient checkpointing, and (but for models with batch norm) more and smaller passes of a "
        "step. "
        "Warn: it runs all the same and condition ModelFits says so. Off: no check.",
    )


class Deadlines(Model):
    """How long a run may wait and may take."""

    pending_seconds: Annotated[int, Field(ge=10, le=604800)] = Field(
        3600, description="Most seconds from creation (or resumption) to a running container; then the run fails."
    )
    running_seconds: Annotated[int, Field(ge=10, le=604800)] = Field(
        3600, description="Most seconds of one attempt from the runner's own start; the runner ends itself then."
    )


ONE_GPU = "spec.resources.gpusPerNode is at most 1: a BenchmarkJob runs on one GPU; a ModelCheck asks about several"


def _fixed(field: str, shown: str | None = None) -> Rule:
    """The rule that a field of spec cannot be changed, added or removed."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"spec.{shown or field} cannot be changed: a measurement is of one spec. Create a BenchmarkJob with another "
        "name",
    )


NOT_QUANTIZED = Rule(
    "self.runtime.quantization.type == 'None'",
    "spec.runtime.quantization must be None: a ModelCheck estimates quantized models, the runner does not run them",
)
ESTIMATED_OPTIMIZERS = (Optimizer.ADAMW_8BIT, Optimizer.LION)
PYTORCHS_OPTIMIZER = Rule(
    "!has(self.workload.training) || !(self.workload.training.optimizer in ['AdamW8Bit', 'Lion'])",
    "spec.workload.training.optimizer must not be AdamW8Bit or Lion: a ModelCheck estimates them, the runner does not "
    "run them",
)


class BenchmarkJobSpec(Model):
    """What is to be measured. Immutable but for suspend, ttlSecondsAfterFinished and deadlines.pendingSeconds."""

    model_config = ruled(
        *(
            _fixed(f)
            for f in (
                "model",
                "workload",
                "runtime",
                "resources",
                "placement",
                "measure",
                "preflight",
                "maxInfrastructureRetries",
            )
        ),
        Rule(
            "self.deadlines.runningSeconds == oldSelf.deadlines.runningSeconds",
            "spec.deadlines.runningSeconds cannot be changed: a measurement is of one spec. "
            "Create a BenchmarkJob with another name",
        ),
        Rule("self.resources.gpusPerNode <= 1", ONE_GPU),
        Rule(
            "self.resources.gpusPerNode > 0 || !has(self.resources.gpu)",
            "spec.resources.gpu goes with gpusPerNode 1; remove it, or ask for a GPU",
        ),
        NOT_QUANTIZED,
        PYTORCHS_OPTIMIZER,
    )

    model: ModelSpec = Field(description="Which model.")
    workload: WorkloadSpec = Field(DEFAULT_WORKLOAD, description="What is done with it, in which shape.")
    runtime: RuntimeSpec = Field(RuntimeSpec(), description="How it is executed.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="What the run takes from a node.")
    placement: PlacementSpec = Field(PlacementSpec(), description="Where the run may land.")
    measure: MeasureSpec = Field(MeasureSpec(), description="How long and how often is measured.")
    preflight: PreflightSpec = Field(PreflightSpec(), description="The check before any GPU is taken.")
    deadlines: Deadlines = Field(Deadlines(), description="How long a run may wait and may take.")
    max_infrastructure_retries: Annotated[int, Field(ge=0, le=10)] = Field(
        3, description="New attempts after the cluster (not the run) ended one: eviction, preemption, drain, SIGTERM."
    )
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31536000)] | None = Field(
        None,
        description="Seconds after the result is recorded until the Job and its Pods are removed; the BenchmarkJob "
        "and its "
        "status stay. Default: they stay until the BenchmarkJob is deleted.",
    )
    suspend: bool = Field(
        False, description="True: the run is not started, or stopped if it runs; false again: it starts anew."
    )

    @model_validator(mode="after")
    def _gpu_goes_with_gpus(self) -> Self:
        if self.resources.gpus_per_node == 0 and self.resources.gpu is not None:
            raise ValueError("spec.resources.gpu goes with gpusPerNode 1; remove it, or ask for a GPU")
        return self

    @model_validator(mode="after")
    def _what_the_runner_runs(self) -> Self:
        if self.resources.gpus_per_node > 1:
            raise ValueError(ONE_GPU)
        if self.runtime.quantization.type is not QuantizationType.NONE:
            raise ValueError(NOT_QUANTIZED.message)
        if self.workload.training is not None and self.workload.training.optimizer in ESTIMATED_OPTIMIZERS:
            raise ValueError(PYTORCHS_OPTIMIZER.message)
        return self


class RunPhase(StrEnum):
    """Where a BenchmarkJob stands, for people; tools read the conditions."""

    PENDING = "Pending"
    SUSPENDED = "Suspended"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"


class JobReference(Model):
    """The run's Job."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the batch/v1 Job.")
    uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the Job; a later namesake is not this run.")


class Attempt(Model):
    """One Pod of the run."""

    pod_name: Annotated[str, Field(max_length=253)] = Field(description="Name of the Pod.")
    pod_uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the Pod.")
    node: Annotated[str, Field(max_length=253)] | None = Field(None, description="Node it was bound to.")
    start_time: Timestamp | None = Field(None, description="When its container started.")
    end_time: Timestamp | None = Field(None, description="When its container ended.")
    outcome: ShortText | None = Field(None, description="How it ended, as one word; absent while it has not.")


class ProgressPhase(StrEnum):
    """What the runner is doing."""

    LOADING = "Loading"
    WARMING_UP = "WarmingUp"
    MEASURING = "Measuring"


class Progress(Model):
    """How far the running attempt is, as its log said last; best effort, not a result."""

    phase: ProgressPhase = Field(description="What the runner is doing.")
    percent: Annotated[int, Field(ge=0, le=100)] = Field(
        description="Share of the whole attempt that is done, in percent."
    )
    remaining_seconds: Seconds | None = Field(None, description="Seconds that the runner expects to need still.")


class Comparison(Model):
    """One predicted figure against the measured one."""

    metric: Annotated[str, Field(max_length=64)] = Field(description="Which figure: its path below results.")
    predicted_bytes: BytesEstimate | None = Field(
        None, description="What was predicted, stored before the run; of a figure in bytes."
    )
    measured_bytes: Bytes | None = Field(None, description="What was measured, in bytes; of a figure in bytes.")
    error_ratio: Annotated[float, Field(ge=-1, le=1e16, allow_inf_nan=False)] = Field(
        description="(likely prediction - measured) / measured: above 0, the prediction was too high."
    )
    within_interval: bool = Field(description="Whether the measured value lies in the predicted interval.")


class Summary(Model):
    """Strings for the columns of `kubectl get`."""

    model: Annotated[str, Field(max_length=96)] | None = Field(None, description="The model's id.")
    gpu: ShortText | None = Field(None, description="GPUs of the run: number and product, or CPU.")
    progress: ShortText | None = Field(None, description="Progress while it runs.")
    throughput: ShortText | None = Field(None, description="The main throughput figure with its unit.")
    p99: ShortText | None = Field(
        None, description="99th percentile of latencySeconds, in milliseconds; - below 100 samples."
    )
    peak_memory: ShortText | None = Field(None, description="Peak device memory (host memory on CPU), in GiB.")
    energy: ShortText | None = Field(
        None, description="Energy per unit of work, in joules; - where it could not be read."
    )
    valid: ShortText | None = Field(None, description="Status of condition MeasurementValid.")


class BenchmarkJobStatus(Model):
    """What is known of the run."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that this status speaks of."
    )
    phase: RunPhase | None = Field(None, description="Where it stands, for people; tools read the conditions.")
    conditions: Annotated[list[Condition], Field(max_length=16), map_list("type")] = Field(
        default_factory=list, description="Observations, each with its reason."
    )
    summary: Summary | None = Field(None, description="Strings for the columns of kubectl get.")
    resolved: Resolved | None = Field(
        None, description="The spec's workload with every default that depends on the model filled in."
    )
    need: Need | None = Field(None, description="Predicted memory need, stored before the run.")
    predictions: Annotated[list[NodeTypeAnswer], Field(max_length=16), map_list("nodeType")] = Field(
        default_factory=list,
        description="Predicted fit on each node type, stored before the run; best first, at most 16.",
    )
    fallbacks: Annotated[list[Fallback], Field(max_length=MOST_FALLBACKS), map_list("rank")] = Field(
        default_factory=list,
        description="Where it fits none of the node types: changes with which it fits one, best first. The spec of a "
        "BenchmarkJob cannot be changed: patch its manifest (kubectl patch --local) under another name.",
    )
    adaptation: Fallback | None = Field(
        None,
        description="The change that preflight.policy Adapt made before the run; resolved, need, predictions and "
        "results are with it.",
    )
    job: JobReference | None = Field(None, description="The run's Job.")
    attempts: Annotated[list[Attempt], Field(max_length=12), map_list("podUid")] = Field(
        default_factory=list, description="The run's Pods, oldest first."
    )
    progress: Progress | None = Field(None, description="How far the running attempt is; best effort.")
    results: Results | None = Field(None, description="What the run really did; only ever there after it succeeded.")
    steadiness: Steadiness | None = Field(None, description="How steady the measured window was.")
    unavailable: Annotated[list[Unavailable], Field(max_length=24), map_list("field")] = Field(
        default_factory=list, description="Figures that are not known, each with its reason."
    )
    comparison: Annotated[list[Comparison], Field(max_length=8), map_list("metric")] = Field(
        default_factory=list, description="Predicted against measured."
    )
    environment: Environment | None = Field(None, description="Where and with what it ran.")
    comparability_key: Annotated[str, Field(max_length=64)] | None = Field(
        None,
        description="Hash of what must be equal for two results to be compared: model, resolved workload, device, "
        "software.",
    )
    gpu_seconds: Seconds | None = Field(
        None, description="Seconds for which the run's containers held GPUs, times their number, over all attempts."
    )
    start_time: Timestamp | None = Field(None, description="When the operator first saw the object.")
    completion_time: Timestamp | None = Field(None, description="When the run ended, as complete or failed.")
