"""What a finished BenchmarkJob says: figures with residuals, or what was too little; or nothing."""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.unit.finished import CPU, GIB, GPU, architecture, finished, on_gpu, run, spec

from wattmark import evidence
from wattmark.evidence.run import RUNNER_SOFTWARE, Figure

ROOT = Path(__file__).parents[2]
OFFERED = [
    {
        "nodeType": name,
        "verdict": "Fits",
        "fitsNow": "Fits",
        "reason": "Memory",
        "message": "",
        "offeredBytes": size * GIB,
        "nodes": 1,
        "source": "ClosedForm",
    }
    for name, size in (("NVIDIA-L4-22GiB-x1", 22), ("NVIDIA-L4-23GiB-x8", 23), ("Tesla-T4-15GiB-x4", 15))
]


def test_figures_are_kept_with_how_far_they_lay_from_the_closed_form() -> None:
    found = run(spec(), on_gpu(3.0), second=7)
    sizes = found.sizes
    assert (found.device, found.enough, found.comparable) == ("nvidia-l4", True, True)
    assert sizes.measured == tuple(int(size * GIB) for size in (3.0, 3.2, 3.7, 4.0, 2.0))
    assert sizes.ended % 60 == 7
    assert all(residual is not None for residual in sizes.residuals)
    assert (sizes.residuals[Figure.ALLOCATED] or 0) > 1  # gpt2 takes less


def test_a_run_on_a_cpu_says_what_the_host_gave() -> None:
    found = run(spec(gpus=0), {"hostPeakBytes": GIB})
    assert found.device == "cpu" and found.sizes.measured == (None, None, None, None, GIB)
    assert [residual is None for residual in found.sizes.residuals] == [True, True, True, True, False]


SILENT: list[Any] = [
    pytest.param(spec(), {"memory": on_gpu(1), "environment": None}, id="on which GPU it ran is not known"),
    pytest.param(spec(), {"memory": on_gpu(1), "environment": CPU}, id="no product for a GPU's run"),
    pytest.param(spec(), {"memory": on_gpu(1), "resolved": None}, id="what ran is not known"),
    pytest.param(spec(), {"memory": {}, "reason": "Evicted"}, id="a run that failed for no lack of memory"),
    pytest.param(spec(), {"reason": "DeviceOutOfMemory"}, id="what its GPU had is not known"),
    pytest.param(spec(gpus=0), {"reason": "HostOutOfMemory"}, id="its limit was the operator's own"),
]


@pytest.mark.parametrize(("raw", "changes"), SILENT)
def test_what_says_nothing(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    asked, status = finished(raw, **changes)
    assert evidence.read("team", "run", asked, status, architecture("gpt2")) is None


TOO_LITTLE = [
    pytest.param(spec(), {"reason": "DeviceOutOfMemory", "predictions": OFFERED}, Figure.DEVICE, 22, id="of a GPU"),
    pytest.param(
        spec(gpus=0, resources={"memory": "2Gi"}),
        {"reason": "HostOutOfMemory", "environment": None},
        Figure.HOST,
        2,
        id="of the host, where the kernel killed it before it could say more",
    ),
]


@pytest.mark.parametrize(("raw", "changes", "figure", "gib"), TOO_LITTLE)
def test_what_ran_out_of_memory_says_what_it_had(
    raw: dict[str, Any], changes: dict[str, Any], figure: Figure, gib: int
) -> None:
    found = run(raw, **changes)
    assert not found.enough
    assert found.sizes.measured[figure] == gib * GIB
    assert all(residual is None for residual in found.sizes.residuals)


SHARED = [
    pytest.param({"resources": {"gpu": {"resourceName": "nvidia.com/gpu.shared"}}}, {}, id="asked for"),
    pytest.param({}, {"predictions": [{**OFFERED[0], "nodeType": "NVIDIA-L4-22GiB-x4-shared"}]}, id="by its nodes"),
]


def test_of_a_gpu_on_which_others_computed_the_devices_memory_is_not_the_runs() -> None:
    beside = {"driftRatio": 0.0, "variationRatio": 0.0, "otherProcesses": 1}
    assert run(spec(), on_gpu(3), steadiness=beside).sizes.measured[Figure.DEVICE] is None


@pytest.mark.parametrize(("changes", "status"), SHARED)
def test_of_a_shared_gpu_the_devices_memory_is_not_the_runs(changes: dict[str, Any], status: dict[str, Any]) -> None:
    found = run(spec(**changes), on_gpu(3), **status)
    assert found.sizes.measured[Figure.DEVICE] is None and found.sizes.measured[Figure.PROCESS] is not None
    asked, failed = finished(spec(**changes), reason="DeviceOutOfMemory", **status)
    assert evidence.read("team", "run", asked, failed, architecture("gpt2")) is None


SOFTWARE = [
    pytest.param({}, True, id="this release's"),
    pytest.param({"torchVersion": f"{RUNNER_SOFTWARE[0]}.9"}, True, id="another patch level"),
    pytest.param({"torchVersion": "2.4.1+cu121"}, False, id="another PyTorch"),
    pytest.param({"transformersVersion": "4.51.3"}, False, id="another transformers"),
]


@pytest.mark.parametrize(("changes", "comparable"), SOFTWARE)
def test_whose_code_is_comparable(changes: dict[str, str], comparable: bool) -> None:
    assert run(spec(), on_gpu(1), environment=GPU | changes).comparable == comparable


def test_the_software_is_that_of_the_runner_image() -> None:
    lock = (ROOT / "requirements" / "runner.txt").read_text()
    for name, release in zip(("torch", "transformers"), RUNNER_SOFTWARE, strict=True):
        assert re.search(rf"^{name}=={re.escape(release)}\.", lock, re.MULTILINE), name
