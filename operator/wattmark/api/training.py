"""The shape of a training step: optimizer, accumulation, checkpointing, adapters."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from wattmark.api.sample import BATCH, Input
from wattmark.api.schema import Model


class Optimizer(StrEnum):
    """The optimizer of a training step."""

    ADAMW = "AdamW"
    ADAMW_FUSED = "AdamWFused"
    ADAFACTOR = "Adafactor"
    SGD = "SGD"
    SGD_MOMENTUM = "SGDMomentum"
    ADAMW_8BIT = "AdamW8Bit"
    LION = "Lion"


class GradientCheckpointing(StrEnum):
    """Which activations are computed again in the backward pass instead of being kept."""

    NONE = "None"
    FULL = "Full"


class LoraTargets(StrEnum):
    """Which matrices of the layers get adapters."""

    ALL_LINEAR = "AllLinear"
    ATTENTION = "Attention"


class LoraSpec(Model):
    """Low-rank adapters beside frozen matrices (arXiv 2106.09685), as peft makes them."""

    rank: Annotated[int, Field(ge=1, le=1024)] = Field(16, description="Inner width of an adapter's two matrices.")
    targets: LoraTargets = Field(
        LoraTargets.ALL_LINEAR,
        description="AllLinear: every linear layer within the transformer layers. Attention: those of attention alone. "
        "Embeddings, output projection and classifiers stay frozen, without adapters.",
    )


class TrainingSpec(Model):
    """Training steps on synthetic batches: forward, backward, optimizer."""

    batch_size_per_device: BATCH = Field(
        8, description="Samples per forward pass and device; a step takes gradientAccumulationSteps of them."
    )
    input: Input | None = Field(
        None, description="Size of one sample. Default: resolved from the model, see status.resolved."
    )
    optimizer: Optimizer = Field(
        Optimizer.ADAMW,
        description="AdamW: two states per trained parameter, and on a GPU temporaries as large as the parameters (its "
        "default, foreach). AdamWFused: the same without the temporaries. Adafactor: one state per row and column of a "
        "matrix. SGD: no momentum, no states. SGDMomentum: momentum 0.9, one state per parameter. These are PyTorch's "
        "own; the others are bitsandbytes', and for ModelCheck only. AdamW8Bit: two states of a byte per parameter, "
        "with a scale per block of 256; of four bytes in tensors below 4,096 elements. Lion: one state of four bytes "
        "per parameter, whatever the precision.",
    )
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Forward and backward passes per optimizer step. With more than one, gradients stay through the "
        "next forward pass. Samples per step and device: this times batchSizePerDevice.",
    )
    gradient_checkpointing: GradientCheckpointing = Field(
        GradientCheckpointing.NONE,
        description="Full: each layer keeps only its input and is computed again in the backward pass: less memory, "
        "about a third more computation, the same result. None: all activations are kept. Transformers only.",
    )
    lora: LoraSpec | None = Field(
        None,
        description="Train low-rank adapters and nothing else: gradients and states are the adapters', which are in "
        "the weights' format; the model itself is frozen. Transformers only. Default: every parameter is trained.",
    )
