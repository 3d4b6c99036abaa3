"""The columns of kubectl get: three digits, units, and a dash for what is not known."""

import pytest
from tests.unit.seen import ENVIRONMENT, RESULTS, SPEC, spec

from wattmark.api.benchmarkjob import Progress, ProgressPhase
from wattmark.api.figures import Energy, Environment, Memory, Results
from wattmark.decide.summary import asked, gibibytes, measured, three_digits

FIGURES = [(0, "0"), (0.0000123, "1.2e-05"), (0.00123, "0.00123"), (1.5, "1.5"), (12.345, "12.3"), (99.96, "100")]
FIGURES += [(1234.5, "1234"), (1e12, "1000000000000")]


@pytest.mark.parametrize(("value", "shown"), FIGURES)
def test_three_digits(value: float, shown: str) -> None:
    assert three_digits(value) == shown


@pytest.mark.parametrize(("size", "shown"), [(2**30, "1.0 GiB"), (2**29, "0.500 GiB"), (80 * 2**30, "80.0 GiB")])
def test_gibibytes(size: int, shown: str) -> None:
    assert gibibytes(size) == shown


def columns(results: Results, environment: Environment = ENVIRONMENT) -> dict[str, str]:
    shown = measured(SPEC, results, environment, "True")
    wire: dict[str, str] = shown.wire()
    return wire


def test_a_run_without_energy_counter_shows_a_dash() -> None:
    assert columns(RESULTS) == {
        "model": "bert-base-uncased",
        "gpu": "1x GPU",
        "throughput": "250 samples/s",
        "p99": "50 ms",
        "peakMemory": "2.0 GiB (host)",
        "energy": "-",
        "valid": "True",
    }


def test_a_run_that_generates_on_a_gpu_shows_tokens_joules_and_product() -> None:
    results = RESULTS.model_copy(
        update={
            "throughput": RESULTS.throughput.model_copy(update={"output_tokens_per_second": 3210.5}),
            "latency_seconds": RESULTS.latency_seconds.model_copy(update={"p99": None}),
            "memory": Memory(device_peak_bytes=20 * 2**30, host_peak_bytes=2**30),
            "energy": Energy(gpu_joules=1e4, joules_per_sample=12.0, joules_per_output_token=0.0935),
        }
    )
    shown = columns(results, ENVIRONMENT.model_copy(update={"gpu_product": "NVIDIA H100 80GB HBM3"}))
    assert shown["throughput"] == "3210 tokens/s"
    assert shown["p99"] == "-"
    assert shown["peakMemory"] == "20.0 GiB"
    assert shown["energy"] == "0.0935 J/token"
    assert shown["gpu"] == "1x NVIDIA H100 80GB HBM3"


PROGRESS = [
    pytest.param(None, None, id="no progress, no column"),
    pytest.param(Progress(phase=ProgressPhase.LOADING, percent=0), "0 % loading", id="no guess of what is left"),
    pytest.param(
        Progress(phase=ProgressPhase.WARMING_UP, percent=12, remaining_seconds=75.4),
        "12 % warming up, 75 s left",
        id="what is left, in whole seconds",
    ),
]


@pytest.mark.parametrize(("progress", "shown"), PROGRESS)
def test_progress(progress: Progress | None, shown: str | None) -> None:
    assert asked(spec(resources={"gpusPerNode": 0}), progress).progress == shown
    assert asked(spec(resources={"gpusPerNode": 0}), progress).gpu == "CPU"
