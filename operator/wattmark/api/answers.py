"""What an estimate says: the need by component, and the verdict for each node type."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattmark.api.schema import Bytes, Count, Model, Ratio, ShortText, Text, map_list


class Source(StrEnum):
    """Which method a figure comes from, the deepest last.

    Calibrated: the closed form, moved by how far earlier runs lay from theirs. Measured: earlier runs of the same.
    """

    CLOSED_FORM = "ClosedForm"
    TRACED = "Traced"
    CALIBRATED = "Calibrated"
    MEASURED = "Measured"


class Verdict(StrEnum):
    """Whether a need fits what is offered."""

    FITS = "Fits"
    FITS_TIGHT = "FitsTight"
    DOES_NOT_FIT = "DoesNotFit"
    UNKNOWN = "Unknown"


class Phase(StrEnum):
    """Phases of a workload that can hold the peak."""

    LOAD = "Load"
    FORWARD = "Forward"
    PREFILL = "Prefill"
    DECODE = "Decode"
    BACKWARD = "Backward"
    OPTIMIZER_STEP = "OptimizerStep"


class ComponentName(StrEnum):
    """What memory is needed for."""

    WEIGHTS = "Weights"
    AUTOCAST_COPIES = "AutocastCopies"
    KV_CACHE = "KVCache"
    ACTIVATIONS = "Activations"
    LOGITS = "Logits"
    HIDDEN_STATES = "HiddenStates"
    ATTENTION_WEIGHTS = "AttentionWeights"
    GRADIENTS = "Gradients"
    OPTIMIZER = "Optimizer"
    COMMUNICATION = "Communication"
    WORKSPACE = "Workspace"
    CONTEXT = "Context"
    NCCL = "NCCL"
    ALLOCATOR_ROUNDING = "AllocatorRounding"
    ALLOCATOR_CACHE = "AllocatorCache"
    DRIVER = "Driver"


class BytesEstimate(Model):
    """An estimated number of bytes, as an interval that is expected to hold the truth at the stated rate."""

    low: Bytes = Field(description="Lower end, in bytes.")
    likely: Bytes = Field(description="Most likely value, in bytes.")
    high: Bytes = Field(description="Upper end, in bytes.")
    coverage_ratio: Ratio = Field(0.9, description="Share of cases in which the interval is meant to hold the truth.")
    source: Source = Field(
        description="Where the figure comes from. Measured: an earlier BenchmarkJob of the same model, workload and "
        "weights on the same GPU product (or on a CPU) with this release's PyTorch and transformers; or one that ran "
        "out of memory, above what it had. Calibrated: earlier runs on the same GPU, or of the same family and "
        "precision, moved the closed form. Traced: the model class without its GPU. ClosedForm: formulas."
    )


class Component(Model):
    """One named part of the need, in its peak phase."""

    name: ComponentName = Field(description="What the memory is for.")
    low_bytes: Bytes = Field(description="Lower end, in bytes.")
    likely_bytes: Bytes = Field(description="Most likely value, in bytes.")
    high_bytes: Bytes = Field(description="Upper end, in bytes.")
    formula: Annotated[str, Field(max_length=200)] = Field(description="The formula, and where it is from.")


class PhaseNeed(Model):
    """What one phase of the workload has allocated where it has most."""

    phase: Phase = Field(description="The phase.")
    low_bytes: Bytes = Field(description="Lower end, in bytes.")
    likely_bytes: Bytes = Field(description="Most likely value, in bytes.")
    high_bytes: Bytes = Field(description="Upper end, in bytes.")


class Need(Model):
    """Memory that the workload needs on each device at its peak, and on the host."""

    peak_phase: Phase = Field(description="Phase in which the most is allocated.")
    allocated_bytes: BytesEstimate = Field(
        description="Live tensors at the peak, per device. Compare memory.allocatedPeakBytes."
    )
    reserved_bytes: BytesEstimate | None = Field(
        None,
        description="Held by PyTorch's caching allocator at the peak, per device; absent on CPU. Compare "
        "memory.reservedPeakBytes.",
    )
    process_bytes: BytesEstimate | None = Field(
        None, description="Reserved plus CUDA context and, with several GPUs, NCCL; per device; absent on CPU."
    )
    device_bytes: BytesEstimate | None = Field(
        None,
        description="Process plus what the driver keeps for itself, per device; absent on CPU. Compare "
        "memory.devicePeakBytes.",
    )
    required_bytes: BytesEstimate | None = Field(
        None,
        description="What a GPU must offer, per device: deviceBytes less what PyTorch's allocator caches (component "
        "AllocatorCache), which it gives back before memory runs out. Verdicts compare this; absent on CPU.",
    )
    host_bytes: BytesEstimate | None = Field(
        None, description="Peak host memory of the run: one process for each GPU. Compare memory.hostPeakBytes."
    )
    components: Annotated[list[Component], Field(max_length=16), map_list("name")] = Field(
        description="The parts of deviceBytes (on CPU: of allocatedBytes) in the peak phase, as formulas or a trace "
        "have them. They sum to it where its source is ClosedForm or Traced; where earlier runs spoke, they are what "
        "would be expected without them."
    )
    phases: Annotated[list[PhaseNeed], Field(max_length=8), map_list("phase")] = Field(
        default_factory=list,
        description="allocatedBytes of each phase, in their order, as formulas or a trace have them, like the "
        "components; Load: when all weights are there. What has been reserved in one phase stays so in the next ones. "
        "Absent in answers of older releases.",
    )


class NodeTypeAnswer(Model):
    """One kind of node, and whether the need fits it."""

    node_type: Annotated[str, Field(max_length=128)] = Field(
        description="Product, memory and number of GPUs, for example NVIDIA-A100-SXM4-80GB-80GiB-x8; cpu for runs "
        "without GPU."
    )
    verdict: Verdict = Field(
        description="On an empty node of this type. Fits: even the interval's high end fits. DoesNotFit: not even "
        "the low "
        "end, or another check fails. FitsTight: in between, or shared with others. Unknown: a fact is missing, see "
        "reason."
    )
    fits_now: Verdict = Field(
        description="The same, with what is free on these nodes now; DoesNotFit where none of them is there, ready and "
        "schedulable, as of a type that is only assumed."
    )
    reason: ShortText = Field(description="The check that decided, as one word.")
    message: Text = Field(description="The check that decided, in words with numbers.")
    need_bytes: BytesEstimate | None = Field(
        None, description="What each GPU of this type must offer for the run (requiredBytes); on type cpu: host memory."
    )
    offered_bytes: Bytes | None = Field(
        None, description="Memory of one GPU of this type, in bytes; on type cpu: the most that one node can give."
    )
    offered_from: ShortText | None = Field(
        None,
        description="Where the GPU's memory was read: a label or annotation of the nodes, their ResourceSlices, or the "
        "table of products.",
    )
    headroom_bytes: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = Field(
        None, description="offeredBytes less the likely need, in bytes; below zero: that much is missing."
    )
    out_of_memory_probability: Ratio | None = Field(
        None,
        description="Probability, 0 to 1, that a run needs more than one GPU of this type offers: needBytes taken as a "
        "two-piece normal distribution with low, likely and high as its 5, 50 and 95 percent points. Absent where "
        "need or offer is not known, and where other Pods share the GPU.",
    )
    largest_batch_size_per_device: Count | None = Field(
        None,
        description="The largest batchSizePerDevice with which even the high end of the need fits one GPU of this "
        "type, to one part in 64, all else as in the spec; at most 65536; 0: not even 1. Absent where not "
        "memory decides, and in predictions.",
    )
    longest_input_tokens: Count | None = Field(
        None,
        description="The most inputTokens that fit likewise, within what the model takes beside what it generates. "
        "Absent for models that read no text as well.",
    )
    nodes: Count = Field(description="Ready, schedulable nodes of this type.")
    cordoned_nodes: Count = Field(0, description="Nodes of this type that are cordoned.")
    not_ready_nodes: Count = Field(0, description="Nodes of this type that are not ready.")
    tainted_nodes: Count = Field(
        0, description="Ready, schedulable ones with a taint that spec.placement.tolerations does not tolerate."
    )
    free_gpus: Count | None = Field(
        None,
        description="GPUs that no Pod has requested now; absent where other Pods may not be read, and of GPUs that "
        "Pods get by resource claim.",
    )
    simulated: bool = Field(
        False, description="The nodes are simulated: they carry the label wattmark.dev/simulated and run nothing."
    )
    assumed: bool = Field(
        False,
        description="No such node is there now: the operator's settings (or the command line of wattmark check) name "
        "the type as one that an autoscaler would add.",
    )
    source: Source = Field(description="Where the answer comes from.")
