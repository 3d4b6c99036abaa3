"""More GPUs of one node for a model that is too large for fewer, as changes of a spec. Pure."""

from collections.abc import Iterator

from wattmark.api.fallback import Change
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.parallelism import FsdpStrategy, ParallelismType
from wattmark.api.workload import WorkloadType
from wattmark.fit.checks import Ground
from wattmark.fit.demand import Demand
from wattmark.fit.proposal import Patch, Proposal

MOST_GPUS = 16  # the bound of gpusPerNode


def several_gpus(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """The model divided among more GPUs of one node, as few more as there may be; a ModelCheck's question alone."""
    spec = wanted.spec
    if not isinstance(spec, ModelCheckSpec):
        return
    now, shared = spec.resources.gpus_per_node, spec.parallelism
    if wanted.resolved.workload_type is WorkloadType.TRAINING:
        kind, whole = ParallelismType.FSDP, shared.strategy is FsdpStrategy.FULL_SHARD
        cost = "parameters, gradients and states are divided; each layer is gathered twice a pass over the GPUs' links"
        samples = ", and {} times the samples of a step; "
    else:
        kind, whole = ParallelismType.TENSOR_PARALLEL, shared.type is ParallelismType.TENSOR_PARALLEL
        cost = "matrices, heads and cache are divided; each layer waits twice for sums over the GPUs' links"
        samples = "; "
    for count in _counts(grounds):
        if count < now or (count == now and whole):
            continue
        options: Patch = {} if shared.fsdp is None else {"fsdp": None}
        patch = {"resources": {"gpusPerNode": count}, "parallelism": {"type": kind.value, **options}}
        if count == now:
            said = f"{kind.value} on the same {count} GPUs; {cost}"
        else:
            said = f"{kind.value} on {count} GPUs of a node instead of {now}{samples.format(f'{count / now:g}')}{cost}"
        yield Proposal((Change.SHARDING,), (said,), patch, changes_result=True)


def _counts(grounds: tuple[Ground, ...]) -> list[int]:
    """How many whole GPUs of one node can be asked for: powers of two, and what leaves no odd ones."""
    offers = (ground.offer for ground in grounds)
    most = {offer.count for offer in offers if offer and not offer.shared and not offer.mig}
    powers = {1 << exponent for exponent in range(1, MOST_GPUS.bit_length())}
    return [n for n in range(2, MOST_GPUS + 1) if any(n <= m and (n in powers or m % n == 0) for m in most)]
