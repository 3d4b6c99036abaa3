"""The report fits the termination message, whatever it has to say."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.figures import (
    ClockEvent,
    DeviceFigures,
    Distribution,
    Energy,
    Environment,
    Memory,
    Results,
    Steadiness,
    Throughput,
    Unavailable,
    UnavailableReason,
)
from wattmark.api.order import Resolved, ResolvedInput
from wattmark.api.report import REPORT_LIMIT_BYTES, Failure, Report, RunFailure
from wattmark.api.runtime import Attention, Precision
from wattmark.api.trace import Trace, TracedComponent, TracedMemory, TraceReport
from wattmark.api.training import GradientCheckpointing, LoraSpec, Optimizer
from wattmark.api.workload import WorkloadType
from wattmark.estimate.traced import KINDS
from wattmark_runner.report import encode, fitted, write

BYTES = 2**53
LONG = 1.2345678912345678e-05  # the longest form of a float: five digits after the point, and an exponent
DURATIONS = ("latencySeconds", "timeToFirstTokenSeconds", "timePerOutputTokenSeconds")
PERCENTILES = [f"{duration}.{percentile}" for duration in DURATIONS for percentile in ("p90", "p99")]

ENERGY = ("gpuJoules", "meanWatts", "joulesPerSample", "joulesPerOutputToken")


def distribution(percentiles: bool) -> Distribution:
    return Distribution(
        p50=LONG, p90=LONG if percentiles else None, p99=LONG if percentiles else None, mean=LONG, count=2**53
    )


def full(devices: int = 8, text: str = "x", percentiles: bool = True, message: str = "") -> Report:
    """Everything that the runner can say, each at its longest; operator-filled fields are not the runner's."""
    figure = {"allocated_peak_bytes": BYTES, "reserved_peak_bytes": BYTES, "process_peak_bytes": BYTES}
    return Report(
        schema_version=1,
        run_uid="u" * 64,
        pod_uid="p" * 64,
        results=Results(
            throughput=Throughput(samples_per_second=LONG, input_tokens_per_second=LONG, output_tokens_per_second=LONG),
            latency_seconds=distribution(percentiles),
            time_to_first_token_seconds=distribution(percentiles),
            time_per_output_token_seconds=distribution(percentiles),
            memory=Memory(**figure, device_peak_bytes=BYTES, host_peak_bytes=BYTES),
            energy=Energy(gpu_joules=LONG, mean_watts=LONG, joules_per_sample=LONG, joules_per_output_token=LONG),
            devices=[
                DeviceFigures(index=i, uuid="MIG-" + "f" * 44, **figure, device_peak_bytes=BYTES, gpu_joules=LONG)
                for i in range(devices)
            ],
            parameter_count=2**53,
            model_load_seconds=LONG,
            window_seconds=LONG,
            iterations=2**53,
            warmup_iterations=10000,
        ),
        steadiness=Steadiness(
            drift_ratio=LONG,
            variation_ratio=LONG,
            warmup_steady=False,
            clock_events=list(ClockEvent),
            other_processes=100000,
        ),
        unavailable=[]
        if percentiles
        else [
            Unavailable(field=field, reason=UnavailableReason.TOO_FEW_SAMPLES, message=message) for field in PERCENTILES
        ],
        environment=Environment(
            device=(text * 128)[:128],
            gpu_product=(text * 128)[:128],
            driver_version=(text * 32)[:32],
            cuda_version=(text * 16)[:16],
            compute_capability=(text * 8)[:8],
            power_limit_watts=1.234567891e-05,
            sm_clock_megahertz=100000,
            cpu_model=(text * 128)[:128],
            cpu_threads=65536,
            torch_version=(text * 32)[:32],
            transformers_version=(text * 32)[:32],
            model_class=(text * 64)[:64],
            attention=(text * 32)[:32],
            model_revision="a" * 40,
            head_tensors_initialized=1000000,
            checkpoint_tensors_unused=1000000,
        ),
    )


def poor(text: str, message: str) -> Report:
    """Eight devices, and everything missing that can be: percentiles, each process's memory, energy."""
    report = full(8, text, percentiles=False, message=message)
    assert report.results is not None
    results = report.results.model_copy(
        update={
            "memory": report.results.memory.model_copy(update={"process_peak_bytes": None}),
            "energy": Energy(),
            "devices": [
                d.model_copy(update={"process_peak_bytes": None, "gpu_joules": None}) for d in report.results.devices
            ],
        }
    )
    gone = ["memory.processPeakBytes", *(f"energy.{name}" for name in ENERGY)]
    more = [Unavailable(field=field, reason=UnavailableReason.NO_ENERGY_COUNTER, message=message) for field in gone]
    return report.model_copy(update={"results": results, "unavailable": [*report.unavailable, *more]})


TEXT = st.text(min_size=1, max_size=8) | st.sampled_from(["\U0001f600", '"', "\\", "\x00", "\u202e", "é", "\x1b[31m"])


@settings(max_examples=200, deadline=None)
@given(
    devices=st.integers(0, 8), text=TEXT, percentiles=st.booleans(), message=st.text(max_size=160) | st.just('"' * 160)
)
def test_no_report_exceeds_the_limit_and_none_loses_a_figure(
    devices: int, text: str, percentiles: bool, message: str
) -> None:
    report = full(devices, text, percentiles, message)
    short = fitted(report)
    data = encode(short)
    assert len(data) <= REPORT_LIMIT_BYTES
    assert Report.model_validate_json(data) == short
    assert short.results is not None and report.results is not None
    assert short.results.memory == report.results.memory
    assert [d.device_peak_bytes for d in short.results.devices] == [BYTES] * devices
    assert [(m.field, m.reason) for m in short.unavailable] == [(m.field, m.reason) for m in report.unavailable]
    assert short.run_uid == report.run_uid and short.pod_uid == report.pod_uid


@settings(max_examples=100, deadline=None)
@given(text=TEXT, message=st.text(max_size=160) | st.just('"' * 160))
def test_nor_does_one_that_lacks_what_can_be_lacking(text: str, message: str) -> None:
    report = poor(text, message)
    short = fitted(report)
    assert len(encode(short)) <= REPORT_LIMIT_BYTES
    assert [(m.field, m.reason) for m in short.unavailable] == [(m.field, m.reason) for m in report.unavailable]


@settings(max_examples=100, deadline=None)
@given(message=st.text(max_size=512) | st.sampled_from(["\U0001f600" * 512, '"' * 512]), text=TEXT)
def test_no_failure_exceeds_the_limit(message: str, text: str) -> None:
    report = full(0, text).model_copy(
        update={
            "results": None,
            "steadiness": None,
            "failure": Failure(reason=RunFailure.RUNNER_ERROR, message=message),
        }
    )
    assert len(encode(fitted(report))) <= REPORT_LIMIT_BYTES


LARGEST = Trace(
    resolved=Resolved(
        workload_type=WorkloadType.TRAINING,
        batch_size_per_device=65536,
        input=ResolvedInput(**dict.fromkeys(ResolvedInput.model_fields, 2**31)),
        optimizer=max(Optimizer, key=len),
        gradient_accumulation_steps=4096,
        gradient_checkpointing=max(GradientCheckpointing, key=len),
        lora=LoraSpec(rank=1024),
        precision=max(Precision, key=len),
        attention=max(Attention, key=len),
    ),
    parameter_count=2**53,
    convolutional=False,
    memory=[
        TracedMemory(
            compute_capability=f"{major}.{minor}",
            peak_phase=max(Phase, key=len),
            components=[TracedComponent(name=name, allocated_bytes=2**53) for name in ComponentName],
            reserved_bytes=2**53,
            weights_bytes=2**53,
        )
        for major, minor in KINDS
    ],
)


def told(**changes: Any) -> TraceReport:
    plain = TraceReport(schema_version=1, run_uid="u" * 64, pod_uid="p" * 64, question="q" * 128)
    return plain.model_copy(update=changes)


def test_the_largest_trace_fits_and_loses_nothing() -> None:
    report = told(trace=LARGEST)
    assert fitted(report) == report
    assert len(encode(report)) <= REPORT_LIMIT_BYTES


@settings(max_examples=100, deadline=None)
@given(message=st.text(max_size=512) | st.sampled_from(["\U0001f600" * 512, '"' * 512]))
def test_no_failure_of_a_trace_exceeds_the_limit(message: str) -> None:
    report = fitted(told(failure=Failure(reason=RunFailure.NOT_TRACEABLE, message=message)))
    assert len(encode(report)) <= REPORT_LIMIT_BYTES
    assert report.question == "q" * 128


def test_nothing_unprintable_leaves_the_runner() -> None:
    failure = Failure(reason=RunFailure.RUNNER_ERROR, message="a\x1b[31mred\x1b[0m\nline\x00\u202e\u2028end\x9b")
    report = fitted(Report(schema_version=1, run_uid="u", failure=failure))
    assert report.failure is not None and report.failure.message == "ared line end"


def test_a_small_report_is_not_shortened() -> None:
    missing = Unavailable(field="latencySeconds.p99", reason=UnavailableReason.TOO_FEW_SAMPLES, message="m" * 160)
    report = Report(schema_version=1, run_uid="u", unavailable=[missing])
    assert fitted(report) == report


def test_figures_have_six_significant_digits() -> None:
    results = fitted(full(0)).results
    assert results is not None and results.latency_seconds.p50 == 1.23457e-05


def test_a_report_is_written_whole_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    real = os.write

    def counted(descriptor: int, data: bytes) -> int:
        calls.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", counted)
    report = fitted(full())
    (tmp_path / "log").write_text("left by an earlier run, and longer than it seems" * 200)
    write(report, tmp_path / "log")
    assert len(calls) == 1
    assert json.loads((tmp_path / "log").read_bytes()) == report.wire()
