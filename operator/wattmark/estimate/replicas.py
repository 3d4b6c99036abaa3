"""Memory of a training step of which each GPU holds everything: DistributedDataParallel, with or without ZeRO-1.

Read in torch.nn.parallel and torch.distributed.optim (2.15) and compared with them: tests/torch/test_replicas.py.
"""

import heapq
from functools import lru_cache

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.parallelism import ParallelismType
from wattmark.estimate import training
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.shards import Shard, elementwise
from wattmark.estimate.tensors import units


def phases(question: Question, devices: int) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase of a step on one of the GPUs: that of a single one, and buckets beside the gradients.

    DistributedDataParallel copies gradients into buckets, reduces those and copies them back. Buckets are there from
    the start, one element for each that is trained; gradients are no views of them unless that is asked for.
    """
    optimized = question
    if question.resolved.parallelism is ParallelismType.ZERO1:
        tensors = units(question)
        if isinstance(tensors, Unknown):
            return tensors
        odd = elementwise(question)
        if odd:
            return odd
        sizes = tuple((tensor.elements, tensor.count) for tensor in tensors.every if tensor.trained)
        optimized = Shard.of(question, ((size, 1) for size in fullest(sizes, devices)))
    found = training.phases(question, optimized)
    gradients = next(part.size for part in found[-1].parts if part.name is ComponentName.GRADIENTS)
    words = "DistributedDataParallel's buckets: a copy of each gradient"
    buckets = Part(ComponentName.COMMUNICATION, gradients, words)
    return tuple(
        phase if phase.phase is Phase.LOAD else PhaseParts(phase.phase, (*phase.parts, buckets)) for phase in found
    )


@lru_cache(64)
def fullest(sizes: tuple[tuple[int, int], ...], devices: int) -> tuple[int, ...]:
    """Elements of the tensors whose states the fullest GPU keeps, of `sizes` and how many there are of each.

    ZeroRedundancyOptimizer gives each tensor, the largest first, to the GPU that has least so far.
    """
    given: list[list[int]] = [[] for _ in range(devices)]
    least = [(0, device) for device in range(devices)]
    for size in sorted((size for size, count in sizes for _ in range(count)), reverse=True):
        there, device = heapq.heappop(least)
        given[device].append(size)
        heapq.heappush(least, (there + size, device))
    return tuple(max(given, key=sum))
