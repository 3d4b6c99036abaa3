"""What is done with a model: the parts of `spec.workload` that ModelCheck and BenchmarkJob share."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from wattmark.api.analysis import AnalysisSpec
from wattmark.api.sample import BATCH, Input
from wattmark.api.schema import Model, Rule, ruled
from wattmark.api.training import TrainingSpec


class WorkloadType(StrEnum):
    """What is done with the model."""

    INFERENCE = "Inference"
    TRAINING = "Training"
    ANALYSIS = "Analysis"


class Cache(StrEnum):
    """How keys and values of earlier tokens are kept in a generation."""

    DYNAMIC = "Dynamic"
    STATIC = "Static"


class InferenceSpec(Model):
    """Forward passes, and generation where the model generates."""

    batch_size_per_device: BATCH = Field(8, description="Samples per iteration and device.")
    input: Input | None = Field(
        None, description="Size of one sample. Default: resolved from the model, see status.resolved."
    )
    cache: Cache = Field(
        Cache.DYNAMIC,
        description="The KV cache of a generation. Dynamic: grows by a copy with each token. Static: allocated in the "
        "first pass for inputTokens + outputTokens (of an encoder-decoder: for each of the two apart), and attended to "
        "in full under a mask, however much of it is filled. Both give the same tokens. Static only for models that "
        "generate.",
    )


class WorkloadSpec(Model):
    """What is done with the model, in which shape."""

    model_config = ruled(
        Rule(
            "(self.type == 'Inference') == has(self.inference)",
            "workload.inference goes with workload.type Inference, and only with it",
        ),
        Rule(
            "(self.type == 'Training') == has(self.training)",
            "workload.training goes with workload.type Training, and only with it",
        ),
        Rule(
            "(self.type == 'Analysis') == has(self.analysis)",
            "workload.analysis goes with workload.type Analysis, and only with it",
        ),
    )

    type: WorkloadType = Field(
        description="Inference: forward passes and generation. Training: optimizer steps. Analysis: passes that read "
        "out hidden states, attention weights or gradients."
    )
    inference: InferenceSpec | None = Field(None, description="The shape of inference; with type Inference.")
    training: TrainingSpec | None = Field(None, description="The shape of a training step; with type Training.")
    analysis: AnalysisSpec | None = Field(None, description="What is analysed, and in which shape; with type Analysis.")

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        for kind, member, name in (
            (WorkloadType.INFERENCE, self.inference, "inference"),
            (WorkloadType.TRAINING, self.training, "training"),
            (WorkloadType.ANALYSIS, self.analysis, "analysis"),
        ):
            if (self.type is kind) != (member is not None):
                raise ValueError(f"workload.{name} goes with workload.type {kind.value}, and only with it")
        return self

    @property
    def shape(self) -> InferenceSpec | TrainingSpec | AnalysisSpec:
        """The member that the type selects."""
        shape = self.inference or self.training or self.analysis
        assert shape is not None  # held by _one_member
        return shape


DEFAULT_WORKLOAD = WorkloadSpec(type=WorkloadType.INFERENCE, inference=InferenceSpec())
