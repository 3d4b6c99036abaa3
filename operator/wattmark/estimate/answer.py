"""A need in the words of the API: four figures that contain one another, and the parts they are made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from wattmark.api.answers import BytesEstimate, Component, ComponentName, Need, Source
from wattmark.api.model import Weights
from wattmark.estimate.device import Gpu, context, driver, nccl
from wattmark.estimate.interval import GIB, NOTHING, Interval
from wattmark.estimate.parts import Part, PhaseParts

FORMULA_LENGTH = 200
MOST_BYTES = 2**53  # the bound of a size in the API, 8 PiB: a need beyond it is told as this, and fits nowhere


@dataclass(frozen=True, slots=True)
class Beyond:
    """What the caching allocator takes from the device beyond what it hands out.

    `rounding` are the rests of segments in use, `cache` are whole segments that it keeps for later and gives back
    before memory runs out.
    """

    rounding: Part
    cache: Part


def on_cpu(peak: PhaseParts, allocated: Interval, host: Interval) -> Need:
    """The need of a run on the CPU: live tensors and host memory."""
    return Need(
        peak_phase=peak.phase,
        allocated_bytes=bytes_estimate(allocated, Source.CLOSED_FORM),
        host_bytes=bytes_estimate(host, Source.CLOSED_FORM),
        components=_components(peak.parts),
    )


def on_gpu(
    peak: PhaseParts,
    allocated: Interval,
    beyond: Beyond,
    gpu: Gpu,
    host: Interval,
    source: Source,
    devices: int = 1,
    *,
    itemized: bool = True,
) -> Need:
    """The need of a run on a GPU, or on each of several.

    `peak` holds all that is allocated in the fullest phase, workspaces included; `allocated` its sum, or the highest
    of any phase's; `beyond` is what the allocator reserves beyond it. Context, driver and host memory are measured
    ones, whatever the source of the rest. Without the components, unless it is `itemized`.
    """
    outside = (
        beyond.rounding,
        beyond.cache,
        Part(ComponentName.CONTEXT, context(gpu), "CUDA context and kernels, measured on A100 and H100"),
        Part(ComponentName.NCCL, nccl(gpu, devices), "NCCL's buffers and kernels, measured on A100 and H200"),
        Part(ComponentName.DRIVER, driver(gpu), "kept by the driver on an idle GPU, measured on A100 and H100"),
    )
    in_use = allocated + beyond.rounding.size
    reserved = in_use + beyond.cache.size
    around = context(gpu) + nccl(gpu, devices)
    process = reserved + around
    return Need(
        peak_phase=peak.phase,
        allocated_bytes=bytes_estimate(allocated, source),
        reserved_bytes=bytes_estimate(reserved, source),
        process_bytes=bytes_estimate(process, source),
        device_bytes=bytes_estimate(process + driver(gpu), source),
        required_bytes=bytes_estimate(in_use + around + driver(gpu), source),
        host_bytes=bytes_estimate(host, Source.CLOSED_FORM),
        components=_components((*peak.parts, *outside)) if itemized else [],
    )


def host_of_cpu_run(allocated: Interval) -> Interval:
    """On a CPU the tensors lie in the process, beside Python, torch and transformers.

    Measured on x86-64 with torch 2.15 and transformers 5.23: 0.74 to 0.85 GiB beside the tensors of BERT, GPT-2,
    DistilBERT in training and ResNet.
    """
    base = Interval(GIB // 2, 13 * GIB // 16, 3 * GIB // 2)
    return Interval(allocated.low, allocated.likely, int(allocated.high * 1.1)) + base


def host_of_gpu_run(weights: Weights, size: int, devices: int = 1) -> Interval:
    """Beside GPUs: Python, torch with its CUDA libraries, and a checkpoint's pages (`size` bytes) while it is read.

    Each GPU has a process of its own; a checkpoint's pages are the same for all of them.
    """
    base = Interval(devices * GIB, 2 * devices * GIB, 3 * devices * GIB)
    if weights is not Weights.PRETRAINED:
        return base
    return base + Interval(0, size // 2, size)


def _components(parts: Iterable[Part]) -> list[Component]:
    """Parts of the same name as one, in the order of first appearance; those that take nothing are left out."""
    merged: dict[ComponentName, tuple[Interval, list[str]]] = {}
    for part in parts:
        if part.size.high == 0:
            continue
        size, formulas = merged.get(part.name, (NOTHING, []))
        merged[part.name] = size + part.size, [*formulas, part.formula]
    return [
        Component(
            name=name,
            low_bytes=min(size.low, MOST_BYTES),
            likely_bytes=min(size.likely, MOST_BYTES),
            high_bytes=min(size.high, MOST_BYTES),
            formula="; ".join(formulas)[:FORMULA_LENGTH],
        )
        for name, (size, formulas) in merged.items()
    ]


def bytes_estimate(size: Interval, source: Source) -> BytesEstimate:
    """An interval in bytes in the words of the API, bounded by MOST_BYTES."""
    return BytesEstimate(
        low=min(size.low, MOST_BYTES),
        likely=min(size.likely, MOST_BYTES),
        high=min(size.high, MOST_BYTES),
        coverage_ratio=0.9,
        source=source,
    )
