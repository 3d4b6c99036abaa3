"""From a measured window to the figures of the report, and the names of those that are missing. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from wattmark.api.figures import (
    DeviceFigures,
    Distribution,
    Energy,
    Memory,
    Results,
    Steadiness,
    Throughput,
    Unavailable,
    UnavailableReason,
)
from wattmark_runner.disturbance import Seen
from wattmark_runner.iteration import Iteration
from wattmark_runner.measure import Window
from wattmark_runner.order_statistics import P90_SAMPLES, P99_SAMPLES, distribution, steadiness
from wattmark_runner.power import Drawn, NoEnergy

MESSAGE_LIMIT = 160


@dataclass(frozen=True, slots=True)
class Ran:
    """What was run, beside the window itself. Bytes and seconds."""

    iteration: Iteration
    parameter_count: int
    model_load_seconds: float
    host_peak_bytes: int
    devices: list[DeviceFigures]


def results(ran: Ran, window: Window) -> tuple[Results, list[Unavailable]]:
    """The figures of a window, and those that the window could not give; memory's own gaps are the device's to name."""
    missing: list[Unavailable] = []
    rate = len(window.timings) / window.seconds
    work = ran.iteration
    figures = Results(
        throughput=Throughput(
            samples_per_second=work.samples * rate,
            input_tokens_per_second=None if work.input_tokens is None else work.input_tokens * rate,
            output_tokens_per_second=None if work.output_tokens is None else work.output_tokens * rate,
        ),
        latency_seconds=_distribution("latencySeconds", [t.latency for t in window.timings], missing),
        time_to_first_token_seconds=_optional(
            "timeToFirstTokenSeconds", work, [t.first_token for t in window.timings], missing
        ),
        time_per_output_token_seconds=_optional(
            "timePerOutputTokenSeconds", work, [t.per_output_token for t in window.timings], missing
        ),
        memory=_memory(ran),
        energy=_energy(work, window, missing),
        devices=_with_energy(ran.devices, window.energy),
        parameter_count=ran.parameter_count,
        model_load_seconds=ran.model_load_seconds,
        window_seconds=window.seconds,
        iterations=len(window.timings),
        warmup_iterations=window.warmup_iterations,
    )
    return figures, missing


def rest(window: Window, seen: Seen) -> Steadiness:
    """How far machine and model were at rest."""
    return steadiness([timing.latency for timing in window.timings]).model_copy(
        update={
            "warmup_steady": window.warmup_steady,
            "clock_events": None if seen.clock_events is None else sorted(seen.clock_events),
            "other_processes": seen.other_processes,
        }
    )


def _distribution(field: str, samples: Sequence[float], missing: list[Unavailable]) -> Distribution:
    figures = distribution(samples)
    for name, value, least in (("p90", figures.p90, P90_SAMPLES), ("p99", figures.p99, P99_SAMPLES)):
        if value is None:
            message = f"{figures.count} iterations, {least} needed; raise measure.minIterations"
            missing.append(
                Unavailable(field=f"{field}.{name}", reason=UnavailableReason.TOO_FEW_SAMPLES, message=message)
            )
    return figures


def _optional(
    field: str, work: Iteration, samples: Sequence[float | None], missing: list[Unavailable]
) -> Distribution | None:
    if work.output_tokens is None:
        return None  # nothing is missing: such a run has no such figure
    known = [sample for sample in samples if sample is not None]
    if known:
        return _distribution(field, known, missing)
    message = "a single generated token has no gap to the next; raise outputTokens"
    missing.append(Unavailable(field=field, reason=UnavailableReason.TOO_FEW_SAMPLES, message=message))
    return None


def _memory(ran: Ran) -> Memory:
    """The largest of each figure over the devices: what one device must hold."""

    def largest(values: list[int | None]) -> int | None:
        return max((value for value in values if value is not None), default=None)

    return Memory(
        allocated_peak_bytes=largest([d.allocated_peak_bytes for d in ran.devices]),
        reserved_peak_bytes=largest([d.reserved_peak_bytes for d in ran.devices]),
        process_peak_bytes=largest([d.process_peak_bytes for d in ran.devices]),
        device_peak_bytes=largest([d.device_peak_bytes for d in ran.devices]),
        host_peak_bytes=ran.host_peak_bytes,
    )


def _energy(work: Iteration, window: Window, missing: list[Unavailable]) -> Energy:
    names = ["gpuJoules", "meanWatts", "joulesPerSample"] + (["joulesPerOutputToken"] if work.output_tokens else [])
    if isinstance(window.energy, NoEnergy):
        message = window.energy.message[:MESSAGE_LIMIT]
        missing.extend(
            Unavailable(field=f"energy.{name}", reason=window.energy.reason, message=message) for name in names
        )
        return Energy()
    count, joules = len(window.timings), window.energy.joules
    return Energy(
        gpu_joules=joules,
        mean_watts=joules / window.energy.seconds,
        joules_per_sample=joules / (work.samples * count),
        joules_per_output_token=joules / (work.output_tokens * count) if work.output_tokens else None,
    )


def _with_energy(devices: list[DeviceFigures], energy: Drawn | NoEnergy) -> list[DeviceFigures]:
    """The devices with their joules; one meter reads the one device of a run."""
    if isinstance(energy, NoEnergy):
        return devices
    return [device.model_copy(update={"gpu_joules": energy.joules}) for device in devices]
