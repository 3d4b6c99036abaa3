"""Strings for the columns of `kubectl get`: JSONPath cannot convert units, so the operator does."""

from wattmark.api.benchmarkjob import BenchmarkJobSpec, Progress, ProgressPhase, Summary
from wattmark.api.figures import Environment, Results

GIB = 2**30
_DOING = {
    ProgressPhase.LOADING: "loading",
    ProgressPhase.WARMING_UP: "warming up",
    ProgressPhase.MEASURING: "measuring",
}


def three_digits(value: float) -> str:
    """A figure with three significant digits and no exponent."""
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 1e-3 or value == 0 else f"{value:.1e}"


def gibibytes(size_bytes: float) -> str:
    """A size in GiB, to a tenth, or to a thousandth below one."""
    size = size_bytes / GIB
    return f"{size:.1f} GiB" if size >= 1 else f"{size:.3f} GiB"


def asked(spec: BenchmarkJobSpec, progress: Progress | None) -> Summary:
    """What can be said before there are figures."""
    return Summary(model=spec.model.id, gpu=_gpu(spec, None), progress=progress_text(progress))


def measured(spec: BenchmarkJobSpec, results: Results, environment: Environment, valid: str) -> Summary:
    """What can be said of the figures."""
    throughput, memory, energy = results.throughput, results.memory, results.energy
    if throughput.output_tokens_per_second is not None:
        rate = f"{three_digits(throughput.output_tokens_per_second)} tokens/s"
    else:
        rate = f"{three_digits(throughput.samples_per_second)} samples/s"
    if energy.joules_per_output_token is not None:
        spent = f"{three_digits(energy.joules_per_output_token)} J/token"
    elif energy.joules_per_sample is not None:
        spent = f"{three_digits(energy.joules_per_sample)} J/sample"
    else:
        spent = "-"
    p99, peak = results.latency_seconds.p99, memory.device_peak_bytes or memory.host_peak_bytes
    return Summary(
        model=spec.model.id,
        gpu=_gpu(spec, environment),
        throughput=rate,
        p99="-" if p99 is None else f"{three_digits(p99 * 1000)} ms",
        peak_memory="-" if peak is None else gibibytes(peak) + ("" if memory.device_peak_bytes else " (host)"),
        energy=spent,
        valid=valid,
    )


def _gpu(spec: BenchmarkJobSpec, environment: Environment | None) -> str:
    count = spec.resources.gpus_per_node
    if count == 0:
        return "CPU"
    product = environment.gpu_product if environment and environment.gpu_product else "GPU"
    return f"{count}x {product}"[:128]


def progress_text(progress: Progress | None) -> str | None:
    """Progress in words; None where there is none."""
    if progress is None:
        return None
    left = f", {progress.remaining_seconds:.0f} s left" if progress.remaining_seconds is not None else ""
    return f"{progress.percent} % {_DOING[progress.phase]}{left}"
