"""The simulated nodes say that they are simulated, and look as GPU feature discovery would make them."""

import json
from typing import Any

import pytest
from tests.cluster.fleet import NODE_TYPES, SIMULATED, kwok_command, manifests

NODES: list[dict[str, Any]] = json.loads(manifests())["items"]
BY_NAME = {node["metadata"]["name"]: node for node in NODES}


def test_the_fleet() -> None:
    assert sorted(BY_NAME) == [
        "simulated-a100-1",
        "simulated-a100-2",
        "simulated-a100-mig-1",
        "simulated-h100-1",
        "simulated-l4-1",
        "simulated-l4-2",
        "simulated-t4-1",
        "simulated-t4-2",
    ]
    assert len(NODES) == sum(kind.nodes for kind in NODE_TYPES)


@pytest.mark.parametrize("node", NODES, ids=list(BY_NAME))
def test_every_node_says_that_it_is_simulated(node: dict[str, Any]) -> None:
    assert node["metadata"]["labels"][SIMULATED] == "true"
    assert node["spec"]["taints"] == [{"key": SIMULATED, "value": "true", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("name", "product", "memory_mib", "compute", "offered"),
    [
        ("simulated-t4-1", "Tesla-T4", "15360", "7.5", {"nvidia.com/gpu": "4"}),
        ("simulated-l4-2", "NVIDIA-L4", "23034", "8.9", {"nvidia.com/gpu": "1"}),
        ("simulated-a100-2", "NVIDIA-A100-SXM4-80GB", "81920", "8.0", {"nvidia.com/gpu": "8"}),
        ("simulated-h100-1", "NVIDIA-H100-80GB-HBM3", "81559", "9.0", {"nvidia.com/gpu": "8"}),
        (
            "simulated-a100-mig-1",
            "NVIDIA-A100-SXM4-80GB",
            "81920",
            "8.0",
            {"nvidia.com/gpu": "0", "nvidia.com/mig-3g.40gb": "1", "nvidia.com/mig-1g.10gb": "4"},
        ),
    ],
)
def test_a_node(name: str, product: str, memory_mib: str, compute: str, offered: dict[str, str]) -> None:
    labels, status = BY_NAME[name]["metadata"]["labels"], BY_NAME[name]["status"]
    assert labels["nvidia.com/gpu.product"] == product
    assert labels["nvidia.com/gpu.memory"] == memory_mib
    assert f"{labels['nvidia.com/gpu.compute.major']}.{labels['nvidia.com/gpu.compute.minor']}" == compute
    assert {key: value for key, value in status["allocatable"].items() if key.startswith("nvidia.com/")} == offered
    assert status["capacity"] == status["allocatable"]


def test_slices_of_a_mixed_node_are_labelled_by_profile() -> None:
    labels = BY_NAME["simulated-a100-mig-1"]["metadata"]["labels"]
    assert labels["nvidia.com/mig.strategy"] == "mixed"
    assert labels["nvidia.com/mig-1g.10gb.product"] == "NVIDIA-A100-SXM4-80GB-MIG-1g.10gb"
    assert labels["nvidia.com/mig-1g.10gb.count"] == "4"
    assert labels["nvidia.com/gpu.count"] == "1"  # physical GPUs


def test_kwok_manages_only_nodes_that_say_they_are_simulated() -> None:
    arguments = kwok_command("/k", "127.0.0.1")
    assert f"--manage-nodes-with-label-selector={SIMULATED}=true" in arguments
    assert not any("manage-all-nodes" in argument for argument in arguments)
