"""A model traced without a GPU: what a trace found, and the report in which it travels."""

from typing import Annotated, Literal

from pydantic import Field

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.order import Resolved
from wattmark.api.report import Failure
from wattmark.api.schema import Bytes, Count, Model, ShortText, map_list


class TracedComponent(Model):
    """What one part of the need takes at the fullest moment."""

    name: ComponentName = Field(description="What the memory is for.")
    allocated_bytes: Bytes = Field(description="Handed out by the allocator, its rounding included, in bytes.")


class TracedPhase(Model):
    """What one phase has allocated at its fullest moment."""

    phase: Phase = Field(description="The phase.")
    allocated_bytes: Bytes = Field(description="Handed out by the allocator, its rounding included, in bytes.")


class TracedMemory(Model):
    """The memory of the traced workload on one kind of GPU. What the device takes for itself is not in it."""

    compute_capability: Annotated[str, Field(max_length=8)] = Field(
        description="The kind, as the CUDA compute capability that was pretended, major.minor: kernels and workspaces "
        "are chosen alike from this one up to the next one traced."
    )
    peak_phase: Phase = Field(description="Phase in which the most is allocated.")
    components: Annotated[list[TracedComponent], Field(max_length=16), map_list("name")] = Field(
        description="All that is allocated at that phase's fullest moment."
    )
    phases: Annotated[list[TracedPhase], Field(max_length=8), map_list("phase")] = Field(
        default_factory=list,
        description="Each phase's fullest moment, in their order. Absent in traces of older releases.",
    )
    reserved_bytes: Bytes = Field(
        description="The most that a simulated caching allocator held, loading included, in bytes per device."
    )
    least_reserved_bytes: Bytes | None = Field(
        None,
        description="The least on which that allocator came to the end, giving back what it kept for later before it "
        "failed, in bytes per device. Absent in traces of older releases; reservedBytes stands for it.",
    )
    weights_bytes: Bytes = Field(description="Parameters and buffers of the loaded model, in bytes.")


class Trace(Model):
    """What the real model class does with this workload, on tensors without memory."""

    resolved: Resolved = Field(
        description="The spec's workload with every default that depends on the model filled in."
    )
    parameter_count: Count = Field(description="Parameters of the model, tied weights counted once.")
    convolutional: bool = Field(description="Whether the model is made of convolutions, whose workspaces are not seen.")
    memory: Annotated[list[TracedMemory], Field(min_length=1, max_length=4), map_list("computeCapability")] = Field(
        description="The memory on each kind of GPU."
    )


class TraceReport(Model):
    """One trace's outcome. Exactly one of `trace` and `failure` is there."""

    schema_version: Literal[1] = Field(description="Version of this schema.")
    run_uid: Annotated[str, Field(max_length=64)] = Field(description="UID of the ModelCheck that this trace answers.")
    pod_uid: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="UID of the Pod that traced; absent without a cluster."
    )
    question: ShortText = Field(description="Digest of the question that was traced.")
    trace: Trace | None = Field(None, description="What was found.")
    failure: Failure | None = Field(None, description="Why nothing was found.")
