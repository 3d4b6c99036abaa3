"""How several GPUs of one node share a workload."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from wattmark.api.schema import Model, Rule, ruled

FSDP_ALONE = "parallelism.fsdp goes with parallelism.type FSDP, and only with it"


class ParallelismType(StrEnum):
    """What each GPU has of the model, and of the samples."""

    NONE = "None"
    DDP = "DDP"
    ZERO1 = "ZeRO1"
    FSDP = "FSDP"
    TENSOR_PARALLEL = "TensorParallel"


TRAINING_ONLY = (ParallelismType.DDP, ParallelismType.ZERO1, ParallelismType.FSDP)


class FsdpStrategy(StrEnum):
    """What stays sharded between a layer's forward and its backward pass."""

    FULL_SHARD = "FullShard"
    SHARD_GRAD_OP = "ShardGradOp"


class FsdpSpec(Model):
    """Options of FSDP."""

    strategy: FsdpStrategy = Field(
        FsdpStrategy.FULL_SHARD,
        description="FullShard (ZeRO-3): a layer's parameters are gathered for its forward pass, dropped, and gathered "
        "again for its backward pass. ShardGradOp (ZeRO-2): once gathered they stay until the layer's backward pass is "
        "done: less traffic, more memory.",
    )


class ParallelismSpec(Model):
    """How several GPUs of one node share a workload."""

    model_config = ruled(Rule("self.type == 'FSDP' || !has(self.fsdp)", FSDP_ALONE))

    type: ParallelismType = Field(
        ParallelismType.NONE,
        description="None: one GPU. For training, each GPU with samples of its own: DDP (PyTorch's "
        "DistributedDataParallel, buckets apart from gradients): every GPU holds everything. ZeRO1: DDP with "
        "ZeroRedundancyOptimizer: optimizer states are divided, whole tensors each. FSDP (fully_shard, on each layer "
        "and on the rest): parameters, gradients and states are divided; with a mixed precision, parameters are "
        "gathered in 16 bit and gradients reduced in fp32. For inference: TensorParallel, by transformers' own plan "
        "for the model: matrices, heads and caches are divided, and all GPUs work on the same batchSizePerDevice "
        "samples.",
    )
    fsdp: FsdpSpec | None = Field(None, description="Options of FSDP; with type FSDP. Default: FullShard.")

    @model_validator(mode="after")
    def _one_member(self) -> Self:
        if self.fsdp is not None and self.type is not ParallelismType.FSDP:
            raise ValueError(FSDP_ALONE)
        return self

    @property
    def strategy(self) -> FsdpStrategy | None:
        """What stays sharded; None for anything but FSDP."""
        return (self.fsdp or FsdpSpec()).strategy if self.type is ParallelismType.FSDP else None
