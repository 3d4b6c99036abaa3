"""The order that the operator (or `wattmark run`) gives the runner, and what a spec resolves to."""

from typing import Annotated

from pydantic import Field

from wattmark.api.analysis import AnalysisKind
from wattmark.api.model import Weights
from wattmark.api.parallelism import FsdpStrategy, ParallelismType
from wattmark.api.runtime import Attention, Precision, QuantizationSpec, RuntimeSpec
from wattmark.api.schema import Model, ShortText
from wattmark.api.training import GradientCheckpointing, LoraSpec, Optimizer
from wattmark.api.workload import Cache, WorkloadSpec, WorkloadType

ORDER_VARIABLE = "WATTMARK_ORDER"
POD_UID_VARIABLE = "WATTMARK_POD_UID"
REPORT_PATH_VARIABLE = "WATTMARK_REPORT_PATH"  # in place of the termination log, for runs without a cluster
TERMINATION_LOG = "/dev/termination-log"
MODEL_MOUNT = "/model"


class ResolvedInput(Model):
    """The size of one sample, after the defaults that depend on the model."""

    input_tokens: Annotated[int, Field(ge=1)] | None = Field(None, description="Tokens per sample going in.")
    output_tokens: Annotated[int, Field(ge=0)] | None = Field(None, description="Tokens generated per sample.")
    height_pixels: Annotated[int, Field(ge=1)] | None = Field(None, description="Image height in pixels.")
    width_pixels: Annotated[int, Field(ge=1)] | None = Field(None, description="Image width in pixels.")
    audio_seconds: Annotated[int, Field(ge=1)] | None = Field(None, description="Length of the sound in seconds.")


class ResolvedMeasure(Model):
    """How long and how often is measured, after the profile's defaults."""

    warmup_iterations: Annotated[int, Field(ge=1, le=10000)] = Field(
        description="Least number of iterations before the measured window. There are more until their latency shows "
        "no trend: for a tenth of the window's length at least, half of it or 120 s at most."
    )
    window_seconds: Annotated[int, Field(ge=1, le=86400)] = Field(description="Least length of the measured window.")
    min_iterations: Annotated[int, Field(ge=2, le=100000)] = Field(
        description="Least number of iterations in the window."
    )


class Resolved(Model):
    """What is really run: the spec with every default that depends on the model filled in."""

    workload_type: WorkloadType = Field(description="What is done with the model.")
    batch_size_per_device: Annotated[int, Field(ge=1)] = Field(description="Samples per forward pass and device.")
    input: ResolvedInput = Field(description="The size of one sample.")
    optimizer: Optimizer | None = Field(None, description="The optimizer; in training.")
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Forward and backward passes per optimizer step; in training."
    )
    gradient_checkpointing: GradientCheckpointing | None = Field(
        None, description="Which activations are computed again in the backward pass; in training."
    )
    lora: LoraSpec | None = Field(None, description="The adapters that are trained; absent where all parameters are.")
    cache: Cache | None = Field(None, description="How the KV cache is kept; where tokens are generated.")
    analysis: AnalysisKind | None = Field(None, description="What is read out of the model; in an analysis.")
    layer: Annotated[int, Field(ge=1)] | None = Field(None, description="The layer that is probed; in ConceptAnalysis.")
    precision: Precision = Field(description="The numeric format.")
    attention: Attention = Field(description="The attention implementation asked for.")
    quantization: QuantizationSpec | None = Field(
        None, description="How matrices are stored; absent where they are as precision says."
    )
    devices: Annotated[int, Field(ge=2)] | None = Field(
        None, description="GPUs that share the workload; absent where it has one GPU, or none."
    )
    parallelism: ParallelismType | None = Field(None, description="How they share it; with devices.")
    fsdp_strategy: FsdpStrategy | None = Field(None, description="What stays sharded between passes; with FSDP.")

    @property
    def differentiates(self) -> bool:
        """Whether an iteration has a backward pass."""
        read_backwards = self.analysis in (AnalysisKind.GRADIENT_ANALYSIS, AnalysisKind.CONCEPT_ANALYSIS)
        return self.workload_type is WorkloadType.TRAINING or read_backwards


class HubModel(Model):
    """A hub repository to load from."""

    repository: ShortText = Field(description="The hub id.")
    revision: Annotated[str, Field(max_length=40)] | None = Field(
        None, description="Commit; the runner resolves and records it where absent."
    )


class RunOrder(Model):
    """One run."""

    run_uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the object; echoed in the report.")
    model_id: Annotated[str, Field(max_length=96)] = Field(description="The model's id, for messages.")
    weights: Weights = Field(description="Random or Pretrained.")
    config: str | None = Field(None, description="config.json as a string; absent when folder or hub holds it.")
    folder: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="Local folder with config.json and safetensors."
    )
    hub: HubModel | None = Field(None, description="Hub repository to load from.")
    workload: WorkloadSpec = Field(
        description="The workload as asked; the runner resolves it against the configuration it loads."
    )
    runtime: RuntimeSpec = Field(description="Precision and attention as asked.")
    measure: ResolvedMeasure = Field(description="How long and how often is measured.")
    gpus: Annotated[int, Field(ge=0, le=8)] = Field(description="GPUs that the run must see; 0 runs on the CPU.")
    running_seconds: Annotated[int, Field(ge=1)] = Field(description="Deadline from the runner's own start.")
    progress_seconds: Annotated[float, Field(gt=0)] = Field(5.0, description="Interval between progress lines.")
    question: ShortText | None = Field(
        None,
        description="Digest of a ModelCheck's question: its model is traced, not run, and the digest echoed in the "
        "report.",
    )
