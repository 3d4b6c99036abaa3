"""Runs on several GPUs, as the estimate is asked about them."""

from typing import Any

from tests.unit.test_estimate_need import GPU, known

from wattmark.api.answers import Need
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.parallelism import ParallelismSpec
from wattmark.api.runtime import Precision, RuntimeSpec
from wattmark.api.workload import WorkloadSpec
from wattmark.estimate import Question, Unknown, need
from wattmark.models.resolve import Impossible, resolve

FSDP = {"type": "FSDP"}
GRADIENTS = {"type": "FSDP", "fsdp": {"strategy": "ShardGradOp"}}
TENSOR_PARALLEL = {"type": "TensorParallel"}


def shared(model: str, gpus: int, parallelism: dict[str, Any], precision: str | None = None, **shape: Any) -> Resolved:
    """What is really run; the shape is of training but for tensor parallelism."""
    member = "inference" if parallelism == TENSOR_PARALLEL else "training"
    workload = WorkloadSpec.read({"type": member.capitalize(), member: shape})
    runtime = RuntimeSpec(precision=None if precision is None else Precision(precision))
    found = resolve(known(model), workload, runtime, gpus, ParallelismSpec.read(parallelism))
    assert not isinstance(found, Impossible), found
    return found


def on_each(model: str, gpus: int, parallelism: dict[str, Any], **more: Any) -> Need | Unknown:
    """The need on each GPU."""
    return need(known(model), shared(model, gpus, parallelism, **more), Weights.RANDOM, GPU)


def asked_on_each(model: str, gpus: int, parallelism: dict[str, Any], **more: Any) -> Question:
    """The same, as the formulas read it."""
    return Question(known(model), shared(model, gpus, parallelism, **more), Weights.RANDOM, on_gpu=True)
