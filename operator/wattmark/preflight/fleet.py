"""The kinds of node that a need is held against: those that the cluster has now or may get."""

from collections.abc import Iterable
from dataclasses import dataclass

from wattmark.fleet.nodes import (
    AssumedNodes,
    NodeType,
    SeenGpuPod,
    SeenNode,
    cpu_type,
    node_types,
    with_assumed,
)
from wattmark.fleet.slices import SeenSlice


@dataclass(frozen=True, slots=True)
class Fleet:
    """Kinds of node: those with GPUs, and all real nodes as places for runs without one."""

    gpu: tuple[NodeType, ...]
    cpu: NodeType


def fleet(
    nodes: Iterable[SeenNode],
    pods: Iterable[SeenGpuPod] | None,
    assumed: Iterable[AssumedNodes] = (),
    slices: Iterable[SeenSlice] = (),
) -> Fleet:
    """The kinds of node that the cluster has now or may get; `pods` is None where other Pods may not be read."""
    seen = tuple(nodes)
    return Fleet(with_assumed(node_types(seen, pods, slices), assumed), cpu_type(seen))
