"""What a node must have for the runner to run there at all; the other checks are tried with the verdicts (test_fit)."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_fit_verdicts import GIB, ON_CPU, answer

from wattmark.api.runtime import Precision
from wattmark.fit.checks import LEAST_DRIVER, RUNNER_CUDA, TURING, WeightsSeen

LOCK = Path(__file__).parents[2] / "requirements" / "runner.txt"

SEVERAL = {"gpusPerNode": 4}

CASES: list[Any] = [
    pytest.param(
        {"offer": {"resource": "amd.com/gpu", "capability": None, "driver": ""}},
        "OtherResource",
        "offers amd.com/gpu; the need is known on NVIDIA's GPUs only",
        id="AMD's GPUs: not known",
    ),
    pytest.param(
        {"offer": {"claimed": True}},
        "ClaimedGpu",
        "the Pod of a run requests nvidia.com/gpu: it gets one only if a DeviceClass says extendedResourceName",
        id="GPUs that can only be claimed: not known",
    ),
    pytest.param(
        {"offer": {"claimed": True, "memory_bytes": 16 * GIB}},
        "Memory",
        "at least 1.0 GiB more",
        id="nor do such that are too small by any way",
    ),
    pytest.param({"offer": {"driver": "580"}}, "Memory", "needs", id="the least driver"),
    pytest.param(
        {"offer": {"driver": "570"}}, "Driver", "CUDA 13 needs driver 580 or newer, these nodes have 570", id="too old"
    ),
    pytest.param({"offer": {"driver": ""}}, "Memory", "needs", id="a driver that no label tells"),
    pytest.param(
        {"offer": {"driver": "", "cuda": (12, 8)}},
        "Driver",
        "the runner has CUDA 13, the driver of these nodes runs up to 12.8",
        id="the CUDA version alone",
    ),
    pytest.param({"offer": {"driver": "", "cuda": (13, 0)}}, "Memory", "needs", id="a CUDA version that will do"),
    pytest.param(
        {"offer": {"capability": (7, 0)}, "precision": Precision.FP16},
        "ComputeCapability",
        "kernels from compute capability 7.5, this GPU has 7.0",
        id="a GPU without kernels",
    ),
    pytest.param(
        {"offer": {"capability": (7, 5)}, "precision": Precision.FP16}, "Memory", "needs", id="the oldest GPU with some"
    ),
    pytest.param(
        {"resources": SEVERAL, "offer": {"memory_bytes": 16 * GIB}},
        "Memory",
        "needs 16.0 to 20.0 GiB on each of 4 GPUs beside 1.0 GiB of context, NCCL and driver, at least 1.0 GiB more "
        "than one NVIDIA-L4 of 16.0 GiB offers",
        id="several GPUs, each too small",
    ),
    pytest.param({"resources": SEVERAL}, "Memory", "22.0 GiB of 24.0 GiB on each of 4 GPUs", id="each large enough"),
    pytest.param({"resources": SEVERAL, "offer": {"count": 3}}, "TooFewGpus", "has 3", id="a node with fewer GPUs"),
    pytest.param(
        {"resources": SEVERAL, "offer": {"product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}},
        "MigSlices",
        "4 GPUs are asked for, these are MIG slices, whose memory does not add up",
        id="slices are not joined",
    ),
    pytest.param({"resources": SEVERAL, "offer": {"shared": True}}, "SharedGpus", "one and the same", id="nor shares"),
    pytest.param({"download_bytes": 100 * GIB}, "Memory", "needs", id="weights that just go onto the disk"),
    pytest.param(
        {"download_bytes": 101 * GIB},
        "Disk",
        "weights to download take 101.0 GiB, the largest node has 100.0 GiB of ephemeral storage",
        id="weights that do not",
    ),
    pytest.param(
        {"download_bytes": 101 * GIB, "nodes": ({"disk_bytes": 0},)}, "Memory", "needs", id="a disk that no node tells"
    ),
    pytest.param({"weights": WeightsSeen(True)}, "Memory", "needs", id="weights that the hub has"),
    pytest.param(
        {"download_bytes": 15 * GIB, "weights": WeightsSeen(None, "the hub cannot be reached")},
        "WeightsUnknown",
        "whether a run finds the pretrained weights (15.0 GiB) is not known: the hub cannot be reached; use weights",
        id="weights of a hub that is silent: not known",
    ),
    pytest.param(
        {"weights": WeightsSeen(False, "the hub has no such model")},
        "Weights",
        "would not find the pretrained weights: the hub has no such model; use weights Random, read them from a volume",
        id="weights that the hub has not",
    ),
    pytest.param(
        {"weights": WeightsSeen(None, "silent"), "offer": {"memory_bytes": 16 * GIB}},
        "Memory",
        "1.0 GiB more",
        id="what certainly does not fit outweighs them",
    ),
    pytest.param({"download_bytes": 101 * GIB, "resources": ON_CPU}, "Disk", "101.0 GiB", id="a CPU run's weights"),
]


@pytest.mark.parametrize(("changes", "reason", "says"), CASES)
def test_what_runs_at_all(changes: dict[str, Any], reason: str, says: str) -> None:
    found = answer(**changes)
    assert found.reason == reason, found.message
    assert says in found.message


# NVIDIA, "Minor Version Compatibility", table 1; kernels: CUDA toolkit release notes, deprecated architectures.
NEEDED = {12: (525, (5, 0)), 13: (580, (7, 5))}


def test_what_the_runner_asks_of_a_node_is_what_its_cuda_does() -> None:
    locked = re.search(r"^cuda-toolkit==(\d+)\.", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert locked is not None and int(locked[1]) == RUNNER_CUDA
    assert NEEDED[RUNNER_CUDA] == (LEAST_DRIVER, TURING)
