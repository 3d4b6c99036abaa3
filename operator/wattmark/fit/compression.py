"""Changes that store less of the same model: states in 8 bits, other optimizers, quantized matrices, adapters. Pure.

A BenchmarkJob refuses what its runner does not run, so that such a patch is no spec of that kind and is not offered.
"""

from collections.abc import Iterator

from wattmark.api.fallback import Change
from wattmark.api.runtime import Precision
from wattmark.api.training import Optimizer
from wattmark.api.workload import WorkloadType
from wattmark.fit.checks import Ground
from wattmark.fit.demand import Demand
from wattmark.fit.proposal import Patch, Proposal, of_workload

_INT8: Patch = {"type": "BitsAndBytesInt8"}
_NF4: Patch = {"type": "BitsAndBytesNF4"}
_ADAPTERS: Patch = {"lora": {"rank": 16, "targets": "AllLinear"}}
_INT8_COSTS = "int8 matrices: outputs differ slightly; slower with few samples"
_NF4_COSTS = "NF4 matrices of 4 bits: outputs differ; each is made 16-bit again for a product, slower with many tokens"
_ADAPTERS_COST = "low-rank adapters (rank 16) are trained, the model itself is frozen; a third less computation"


def narrower_states(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """AdamW with its states in 8 bits."""
    old = wanted.resolved.optimizer
    if old in (Optimizer.ADAMW, Optimizer.ADAMW_FUSED):
        said = "AdamW8Bit: states in 8 bits with a scale per block of 256, a quarter of their memory or less"
        patch = of_workload(wanted.resolved, {"optimizer": "AdamW8Bit"})
        yield Proposal((Change.OPTIMIZER_STATES,), (said,), patch, changes_result=True)


_LIGHT = ((Optimizer.ADAFACTOR, "a state per row and column of a matrix"), (Optimizer.SGD, "no states"))
_LIGHTER = {
    Optimizer.ADAMW: _LIGHT,
    Optimizer.ADAMW_FUSED: _LIGHT,
    Optimizer.ADAMW_8BIT: _LIGHT,
    Optimizer.LION: _LIGHT,
    Optimizer.SGD_MOMENTUM: _LIGHT,
    Optimizer.ADAFACTOR: _LIGHT[1:],
}


def lighter_optimizer(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """An optimizer with fewer states."""
    old = wanted.resolved.optimizer
    if old is None:
        return
    for new, states in _LIGHTER.get(old, ()):
        said = f"{new.value} instead of {old.value}: {states}; converges otherwise, and wants another learning rate"
        patch = of_workload(wanted.resolved, {"optimizer": new.value})
        yield Proposal((Change.OPTIMIZER,), (said,), patch, changes_result=True)


def quantized(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Quantized matrices: in inference, or beside adapters that are trained already."""
    if not _quantizable(wanted):
        return
    if wanted.resolved.workload_type is WorkloadType.INFERENCE:
        yield _quantized(_INT8, _INT8_COSTS)
        yield _quantized(_NF4, _NF4_COSTS)
    elif wanted.resolved.lora is not None:
        yield _quantized(_NF4, _NF4_COSTS)


def adapters(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Low-rank adapters beside the model, which stays as it is."""
    if _adaptable(wanted):
        patch = of_workload(wanted.resolved, _ADAPTERS)
        yield Proposal((Change.ADAPTERS,), (_ADAPTERS_COST,), patch, changes_result=True)


def quantized_adapters(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """QLoRA: adapters beside quantized matrices."""
    if _adaptable(wanted) and _quantizable(wanted):
        changes, words = (Change.QUANTIZATION, Change.ADAPTERS), (_NF4_COSTS, _ADAPTERS_COST)
        patch = {**of_workload(wanted.resolved, _ADAPTERS), "runtime": {"quantization": _NF4}}
        yield Proposal(changes, words, patch, changes_result=True)


def _quantized(how: Patch, costs: str) -> Proposal:
    return Proposal((Change.QUANTIZATION,), (costs,), {"runtime": {"quantization": how}}, changes_result=True)


def _quantizable(wanted: Demand) -> bool:
    """Whether matrices are not quantized yet, and products are of 16-bit numbers; of convolutions there is little."""
    narrow = wanted.resolved.precision not in (Precision.FP32, Precision.TF32)
    return wanted.resolved.quantization is None and narrow and not wanted.architecture.convolutions


def _adaptable(wanted: Demand) -> bool:
    """Whether all parameters of a model with transformer layers are trained."""
    training = wanted.resolved.workload_type is WorkloadType.TRAINING and wanted.resolved.lora is None
    return training and bool(wanted.architecture.encoder or wanted.architecture.decoder)
