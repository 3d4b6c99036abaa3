"""What would make it fit: a change of the spec, checked like the spec itself."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattmark.api.answers import BytesEstimate
from wattmark.api.schema import AS_SET, Model

MOST_FALLBACKS = 8


class Change(StrEnum):
    """What a fallback changes, from what leaves most as it is to what leaves least."""

    ATTENTION = "Attention"
    FUSED_OPTIMIZER = "FusedOptimizer"
    HOST_MEMORY = "HostMemory"
    GRADIENT_CHECKPOINTING = "GradientCheckpointing"
    GRADIENT_ACCUMULATION = "GradientAccumulation"
    NODE_TYPE = "NodeType"
    OPTIMIZER_STATES = "OptimizerStates"
    SHARDING = "Sharding"
    BATCH_SIZE = "BatchSize"
    PRECISION = "Precision"
    OPTIMIZER = "Optimizer"
    QUANTIZATION = "Quantization"
    ADAPTERS = "Adapters"
    INPUT_LENGTH = "InputLength"
    MODEL = "Model"


class Fallback(Model):
    """One change of the spec with which even the high end of the need fits."""

    rank: Annotated[int, Field(ge=1, le=MOST_FALLBACKS)] = Field(
        description="1 is the first to try: what changes no result comes first, then what changes least."
    )
    changes: Annotated[list[Change], Field(min_length=1, max_length=6), AS_SET] = Field(description="What it changes.")
    changes_result: bool = Field(
        description="False: the same samples go through the same model in each step on hardware that the spec admits, "
        "and what is computed is equal up to rounding (speed and memory differ). True: outputs, loss or trained "
        "weights, the samples of a step, or the hardware that figures are of, are others."
    )
    patch: Annotated[str, Field(max_length=512)] = Field(
        description="JSON merge patch (RFC 7386) of the object, as kubectl patch --type=merge -p takes it. With it the "
        "spec was checked: it fits nodeType, where GPUs are shared but for what others take (FitsTight, SharedGpu)."
    )
    message: Annotated[str, Field(max_length=512)] = Field(
        description="What it changes, and what that costs, in words."
    )
    node_type: Annotated[str, Field(max_length=128)] = Field(
        description="The node type with the smallest GPU on which even the high end of the need then fits; of those "
        "that are equally large to a GiB, the one with the most."
    )
    need_bytes: BytesEstimate = Field(description="Need on each GPU of that type, with the change (as in nodeTypes).")
    saved_bytes: Annotated[int, Field(ge=-(2**53), le=2**53)] | None = Field(
        None, description="Likely need without the change less that with it, in bytes, on a GPU of that type."
    )
