"""The kind ModelCheck: will this model, with this workload and precision, fit the cluster's GPUs."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from wattmark.api.answers import Need, NodeTypeAnswer, Source
from wattmark.api.benchmarkjob import ESTIMATED_OPTIMIZERS, JobReference
from wattmark.api.conditions import Condition, Reason
from wattmark.api.fallback import MOST_FALLBACKS, Fallback
from wattmark.api.figures import Unavailable
from wattmark.api.model import ModelSpec
from wattmark.api.order import Resolved
from wattmark.api.parallelism import TRAINING_ONLY, ParallelismSpec, ParallelismType
from wattmark.api.placement import PlacementSpec, ResourcesSpec
from wattmark.api.runtime import QuantizationType, RuntimeSpec
from wattmark.api.schema import Count, Model, Rule, ShortText, Text, Timestamp, map_list, ruled
from wattmark.api.trace import Trace
from wattmark.api.workload import DEFAULT_WORKLOAD, WorkloadSpec, WorkloadType

ABOUT_GPUS = "spec.resources.gpusPerNode must be at least 1: the question is about GPUs"
SEVERAL_TOGETHER = (
    "spec.resources.gpusPerNode above 1 goes with a spec.parallelism.type other than None (training: FSDP, ZeRO1 or "
    "DDP; inference: TensorParallel), and only with it"
)
TRAINS = "spec.parallelism.type DDP, ZeRO1 and FSDP are for training; for inference on several GPUs use TensorParallel"
INFERS = "spec.parallelism.type TensorParallel is for inference; for training on several GPUs use FSDP, ZeRO1 or DDP"
TRACED_ALONE = "spec.method Traced is of one GPU: with spec.resources.gpusPerNode above 1 leave spec.method out"
TRACED_WHOLE = "spec.method Traced is of weights as they are: with spec.runtime.quantization leave spec.method out"
TRACED_OPTIMIZER = (
    "spec.method Traced takes PyTorch's own optimizers: with spec.workload.training.optimizer AdamW8Bit or Lion leave "
    "spec.method out"
)


class Method(StrEnum):
    """How the need is found."""

    CLOSED_FORM = "ClosedForm"
    TRACED = "Traced"
    AUTO = "Auto"


class Require(StrEnum):
    """Which answer makes the object ready."""

    NONE = "None"
    FITS_TIGHT = "FitsTight"
    FITS = "Fits"
    FITS_NOW = "FitsNow"


QUANTIZED_TRAINING = Rule(
    "self.runtime.quantization.type == 'None' || !has(self.workload.training) || has(self.workload.training.lora)",
    "spec.workload.training.lora goes with spec.runtime.quantization: quantized matrices cannot be trained themselves",
)


class ModelCheckSpec(Model):
    """The question. Editable: it is answered anew."""

    model_config = ruled(
        Rule("self.resources.gpusPerNode > 0", ABOUT_GPUS),
        Rule("(self.resources.gpusPerNode > 1) == (self.parallelism.type != 'None')", SEVERAL_TOGETHER),
        Rule("!(self.parallelism.type in ['DDP', 'ZeRO1', 'FSDP']) || self.workload.type == 'Training'", TRAINS),
        Rule("self.parallelism.type != 'TensorParallel' || self.workload.type == 'Inference'", INFERS),
        QUANTIZED_TRAINING,
        Rule("self.method != 'Traced' || self.resources.gpusPerNode == 1", TRACED_ALONE),
        Rule("self.method != 'Traced' || self.runtime.quantization.type == 'None'", TRACED_WHOLE),
        Rule(
            "self.method != 'Traced' || !has(self.workload.training) || "
            "!(self.workload.training.optimizer in ['AdamW8Bit', 'Lion'])",
            TRACED_OPTIMIZER,
        ),
    )

    model: ModelSpec = Field(description="Which model.")
    workload: WorkloadSpec = Field(DEFAULT_WORKLOAD, description="What is done with it, in which shape.")
    runtime: RuntimeSpec = Field(RuntimeSpec(), description="How it is executed.")
    resources: ResourcesSpec = Field(ResourcesSpec(), description="What one run would take from a node.")
    parallelism: ParallelismSpec = Field(
        ParallelismSpec(), description="How several GPUs of one node share the workload; goes with gpusPerNode above 1."
    )
    placement: PlacementSpec = Field(
        PlacementSpec(), description="Where it might land; taints that it does not tolerate count against a node type."
    )
    method: Method = Field(
        Method.CLOSED_FORM,
        description="How the need is found. ClosedForm: by formulas, at once; Unknown where there is none. Traced: by "
        "the model's own class, run once on tensors without memory, in a Pod of this namespace that takes a CPU and no "
        "GPU for seconds to minutes; for any model that this release can run, and the only way where the configuration "
        "lies on a volume or is gated. Auto: the closed form where there is one, else traced.",
    )
    require: Require = Field(
        Require.NONE,
        description="Which answer makes the object Ready. None: any answer. FitsTight, Fits: at least one node type "
        "with "
        "that verdict or better. FitsNow: at least one node type on which it fits now.",
    )

    @model_validator(mode="after")
    def _about_gpus(self) -> Self:
        if self.resources.gpus_per_node == 0:
            raise ValueError(ABOUT_GPUS)
        return self

    @model_validator(mode="after")
    def _shared_by_the_gpus(self) -> Self:
        kind = self.parallelism.type
        if (self.resources.gpus_per_node > 1) != (kind is not ParallelismType.NONE):
            raise ValueError(SEVERAL_TOGETHER)
        if kind in TRAINING_ONLY and self.workload.type is not WorkloadType.TRAINING:
            raise ValueError(TRAINS)
        if kind is ParallelismType.TENSOR_PARALLEL and self.workload.type is not WorkloadType.INFERENCE:
            raise ValueError(INFERS)
        return self

    @model_validator(mode="after")
    def _only_adapters_are_trained(self) -> Self:
        quantized, training = self.runtime.quantization.type is not QuantizationType.NONE, self.workload.training
        if quantized and training is not None and training.lora is None:
            raise ValueError(QUANTIZED_TRAINING.message)
        return self

    @model_validator(mode="after")
    def _can_be_traced(self) -> Self:
        if self.method is Method.TRACED and self.resources.gpus_per_node > 1:
            raise ValueError(TRACED_ALONE)
        if self.method is Method.TRACED and self.runtime.quantization.type is not QuantizationType.NONE:
            raise ValueError(TRACED_WHOLE)
        if self.method is Method.TRACED and self.estimated_optimizer:
            raise ValueError(TRACED_OPTIMIZER)
        return self

    @property
    def estimated_optimizer(self) -> bool:
        """Whether the optimizer is one of those that are estimated, and neither run nor traced."""
        training = self.workload.training
        return training is not None and training.optimizer in ESTIMATED_OPTIMIZERS


class CheckSummary(Model):
    """Strings for the columns of `kubectl get`."""

    model: Annotated[str, Field(max_length=96)] | None = Field(None, description="The model's id.")
    verdict: ShortText | None = Field(None, description="The best verdict over all node types.")
    need: ShortText | None = Field(None, description="Likely need on one GPU, in GiB.")
    best_node_type: ShortText | None = Field(None, description="Smallest GPU memory on which it fits.")
    fits: ShortText | None = Field(None, description="How many node types it fits, of how many; and how many tightly.")
    headroom: ShortText | None = Field(None, description="Memory left on the best node type, in GiB.")


class TraceFailure(Model):
    """Why a trace found nothing."""

    reason: Reason = Field(description="The cause, as one word.")
    message: Text = Field(description="The cause as a sentence that says what to do.")


class TraceStatus(Model):
    """The trace of the question: under way, or with its result or its failure."""

    question_digest: ShortText = Field(
        description="Digest of what was traced: model, workload, runtime, resources. While the spec asks the same, "
        "nothing is traced again, whatever nodes come and go."
    )
    job: JobReference = Field(description="The Job that traces. Of a failed one: delete it to trace again.")
    result: Trace | None = Field(None, description="What was found; node types are answered from it.")
    failure: TraceFailure | None = Field(None, description="Why nothing was found.")


class ModelCheckStatus(Model):
    """The answer."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that this status speaks of."
    )
    conditions: Annotated[list[Condition], Field(max_length=16), map_list("type")] = Field(
        default_factory=list, description="Observations, each with its reason."
    )
    summary: CheckSummary | None = Field(None, description="Strings for the columns of kubectl get.")
    resolved: Resolved | None = Field(
        None, description="The spec's workload with every default that depends on the model filled in."
    )
    parameter_count: Count | None = Field(None, description="Parameters of the model, tied weights counted once.")
    need: Need | None = Field(None, description="Memory that the workload needs, by component.")
    source: Source | None = Field(None, description="The deepest method that spoke.")
    trace: TraceStatus | None = Field(None, description="The trace, where spec.method takes one.")
    node_types: Annotated[list[NodeTypeAnswer], Field(max_length=32), map_list("nodeType")] = Field(
        default_factory=list, description="Each node type of the cluster with its verdict; best first, at most 32."
    )
    fallbacks: Annotated[list[Fallback], Field(max_length=MOST_FALLBACKS), map_list("rank")] = Field(
        default_factory=list,
        description="Where it surely fits none of the node types: changes with which it fits one, best first.",
    )
    unavailable: Annotated[list[Unavailable], Field(max_length=16), map_list("field")] = Field(
        default_factory=list, description="What is not known, each with its reason."
    )
    evaluation_time: Timestamp | None = Field(None, description="When this answer was first given.")
