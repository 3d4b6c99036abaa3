"""The simulated GPU nodes: their labels, what they offer, and the kwok that keeps them Ready.

Every one carries a label and a taint that say it is simulated, and kwok manages only nodes with that label.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.certificates import Certificates
from tests.cluster.paths import HERE, NODE_ADDRESS, Cache
from tests.cluster.process import Program

SIMULATED = "wattmark.dev/simulated"
STAGES = (HERE / "stages" / "nodes.yaml", HERE / "stages" / "pods.yaml")
DRIVER = "580.95.05"
KWOK_PORT = 10247


@dataclass(frozen=True)
class Gpu:
    """A GPU model as GPU feature discovery labels it."""

    product: str
    family: str
    compute: str
    memory_mib: int


@dataclass(frozen=True)
class Slice:
    """A MIG profile and how many of it a node offers."""

    profile: str
    memory_mib: int
    multiprocessors: int
    count: int


@dataclass(frozen=True)
class NodeType:
    """Nodes of one kind."""

    name: str
    gpu: Gpu
    gpus: int
    nodes: int
    cpu: int
    memory_gib: int
    slices: Sequence[Slice] = field(default=())


T4 = Gpu("Tesla-T4", "turing", "7.5", 15360)
L4 = Gpu("NVIDIA-L4", "ada-lovelace", "8.9", 23034)
A100 = Gpu("NVIDIA-A100-SXM4-80GB", "ampere", "8.0", 81920)
H100 = Gpu("NVIDIA-H100-80GB-HBM3", "hopper", "9.0", 81559)

NODE_TYPES = (
    NodeType("t4", T4, gpus=4, nodes=2, cpu=48, memory_gib=192),
    NodeType("l4", L4, gpus=1, nodes=2, cpu=16, memory_gib=64),
    NodeType("a100", A100, gpus=8, nodes=2, cpu=96, memory_gib=1024),
    NodeType("h100", H100, gpus=8, nodes=1, cpu=192, memory_gib=2048),
    NodeType(
        "a100-mig",
        A100,
        gpus=1,
        nodes=1,
        cpu=12,
        memory_gib=128,
        slices=(Slice("3g.40gb", 40192, 42, 1), Slice("1g.10gb", 9728, 14, 4)),
    ),
)


def manifests() -> str:
    """Return the whole fleet as one List for `kubectl apply`."""
    nodes = [node(kind, number) for kind in NODE_TYPES for number in range(1, kind.nodes + 1)]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": nodes})


def node(kind: NodeType, number: int) -> dict[str, Any]:
    """Return one simulated Node."""
    name = f"simulated-{kind.name}-{number}"
    offered = {"cpu": str(kind.cpu), "memory": f"{kind.memory_gib}Gi", "pods": "110", **devices(kind)}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, SIMULATED: "true", **labels(kind)}},
        "spec": {"taints": [{"key": SIMULATED, "value": "true", "effect": "NoSchedule"}]},
        "status": {"capacity": offered, "allocatable": offered},
    }


def devices(kind: NodeType) -> dict[str, str]:
    """Return the extended resources of a node: whole GPUs, or with strategy `mixed` its slices."""
    if kind.slices:
        return {"nvidia.com/gpu": "0", **{f"nvidia.com/mig-{one.profile}": str(one.count) for one in kind.slices}}
    return {"nvidia.com/gpu": str(kind.gpus)}


def labels(kind: NodeType) -> dict[str, str]:
    """Return the labels that GPU feature discovery would set."""
    major, minor = kind.gpu.compute.split(".")
    driver = dict(zip(("major", "minor", "revision"), DRIVER.split("."), strict=True))
    found = {
        "kubernetes.io/arch": "amd64",
        "kubernetes.io/os": "linux",
        "nvidia.com/cuda.driver-version.full": DRIVER,
        **{f"nvidia.com/cuda.driver-version.{part}": value for part, value in driver.items()},
        "nvidia.com/cuda.driver.major": driver["major"],
        "nvidia.com/cuda.driver.minor": driver["minor"],
        "nvidia.com/cuda.driver.rev": driver["revision"],
        "nvidia.com/cuda.runtime.major": "13",
        "nvidia.com/cuda.runtime.minor": "0",
        "nvidia.com/gpu.compute.major": major,
        "nvidia.com/gpu.compute.minor": minor,
        "nvidia.com/gpu.count": str(kind.gpus),
        "nvidia.com/gpu.family": kind.gpu.family,
        "nvidia.com/gpu.memory": str(kind.gpu.memory_mib),
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.product": kind.gpu.product,
        "nvidia.com/gpu.replicas": "1",
        "nvidia.com/gpu.sharing-strategy": "none",
        "nvidia.com/mig.capable": str(kind.gpu in (A100, H100)).lower(),
    }
    if kind.slices:
        found["nvidia.com/mig.strategy"] = "mixed"
    for one in kind.slices:
        prefix = f"nvidia.com/mig-{one.profile}"
        found[f"{prefix}.count"] = str(one.count)
        found[f"{prefix}.memory"] = str(one.memory_mib)
        found[f"{prefix}.multiprocessors"] = str(one.multiprocessors)
        found[f"{prefix}.product"] = f"{kind.gpu.product}-MIG-{one.profile}"
        found[f"{prefix}.replicas"] = "1"
        found[f"{prefix}.sharing-strategy"] = "none"
    return found


def kwok(cache: Cache, certificates: Certificates, more_stages: Sequence[Path] = ()) -> Program:
    """Return the built cluster's kwok with our stages, and those that a benchmark adds."""
    arguments = kwok_command(certificates.kubeconfig("kwok"), NODE_ADDRESS, more_stages)
    return Program("kwok", [cache.tool("kwok"), *arguments], {"HOME": str(cache.state)})


def kwok_command(kubeconfig: str, node_address: str, more_stages: Sequence[Path] = ()) -> list[str]:
    """Return kwok's arguments: it manages the nodes labelled as simulated, and no other."""
    return [
        f"--kubeconfig={kubeconfig}",
        f"--manage-nodes-with-label-selector={SIMULATED}=true",
        f"--node-ip={node_address}",
        "--node-lease-duration-seconds=40",
        f"--server-address=127.0.0.1:{KWOK_PORT}",
        *(f"--config={path}" for path in (*STAGES, *more_stages)),
    ]
