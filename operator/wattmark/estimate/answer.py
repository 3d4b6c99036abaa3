"""A need in the words of the API: four figures that contain one another, and the parts they are made of."""

from collections.abc import Iterable
from dataclasses import dataclass

from wattmark.api.answers import BytesEstimate, Component, ComponentName, Need, Phase, PhaseNeed, Source
from wattmark.api.model import Weights
from wattmark.estimate.device import Gpu, context, driver, nccl
from wattmark.estimate.interval import GIB, NOTHING, Interval
from wattmark.estimate.parts import Part

Phases = tuple[tuple[Phase, Interval], ...]  # what each has allocated where it has most

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


@dataclass(frozen=True, slots=True)
class Sizes:
    """The figures of a need in bytes, each containing those before it; on the CPU there is the first alone.

    `required` is what must be there, `host` what the run takes of the host's memory.
    """

    allocated: Interval
    host: Interval
    reserved: Interval | None = None
    process: Interval | None = None
    device: Interval | None = None
    required: Interval | None = None


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A need before it is told: its sizes, and what they are made of in the fullest phase."""

    sizes: Sizes
    source: Source
    phase: Phase
    parts: tuple[Part, ...]
    phases: Phases

    def told(self, *, itemized: bool = True) -> Need:
        """In the words of the API; without the components, unless it is `itemized`."""
        sizes = self.sizes
        inner = ("allocated", "reserved", "process", "device", "required")
        found = {name: size for name in inner if (size := getattr(sizes, name)) is not None}
        return Need(
            peak_phase=self.phase,
            **{f"{name}_bytes": bytes_estimate(size, self.source) for name, size in found.items()},
            # Measured ones, whatever the source of the rest.
            host_bytes=bytes_estimate(sizes.host, Source.CLOSED_FORM),
            components=_components(self.parts) if itemized else [],
            phases=[_phase(*one) for one in self.phases] if itemized else [],
        )


def on_cpu(phases: Phases, phase: Phase, parts: tuple[Part, ...], allocated: Interval, host: Interval) -> Reckoned:
    """The need of a run on the CPU: live tensors and host memory."""
    return Reckoned(Sizes(allocated, host), Source.CLOSED_FORM, phase, parts, phases)


def on_gpu(
    phases: Phases,
    phase: Phase,
    parts: tuple[Part, ...],
    allocated: Interval,
    beyond: Beyond,
    gpu: Gpu,
    host: Interval,
    source: Source,
    devices: int = 1,
) -> Reckoned:
    """The need of a run on a GPU, or on each of several.

    `phases` are what each has allocated, `parts` all of that in the fullest `phase`, workspaces included; `allocated`
    their sum, or the highest of any phase's; `beyond` is what the allocator reserves beyond it. Context, driver and
    host memory are measured ones, whatever the source of the rest.
    """
    outside, kept = context(gpu) + nccl(gpu, devices), driver(gpu)
    in_use = allocated + beyond.rounding.size
    reserved = in_use + beyond.cache.size
    process = reserved + outside
    every = (
        *parts,
        beyond.rounding,
        beyond.cache,
        Part(ComponentName.CONTEXT, context(gpu), "CUDA context and kernels, measured on A100 and H100"),
        Part(ComponentName.NCCL, nccl(gpu, devices), "NCCL's buffers and kernels, measured on A100 and H200"),
        Part(ComponentName.DRIVER, kept, "kept by the driver on an idle GPU, measured on A100 and H100"),
    )
    sizes = Sizes(allocated, host, reserved, process, process + kept, in_use + outside + kept)
    return Reckoned(sizes, source, phase, every, phases)


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
            formula=_in_words(formulas),
        )
        for name, (size, formulas) in merged.items()
    ]


def _phase(phase: Phase, size: Interval) -> PhaseNeed:
    size = bounded(size)
    return PhaseNeed(phase=phase, low_bytes=size.low, likely_bytes=size.likely, high_bytes=size.high)


def _in_words(formulas: Iterable[str]) -> str:
    """Each formula once, and whole; those that do not fit into FORMULA_LENGTH characters are left out."""
    said = ""
    for formula in dict.fromkeys(formulas):
        longer = f"{said}; {formula}" if said else formula
        if len(longer) <= FORMULA_LENGTH:
            said = longer
    return said


def bounded(size: Interval) -> Interval:
    """The interval, each end at most MOST_BYTES."""
    if size.high <= MOST_BYTES:
        return size
    return Interval(min(size.low, MOST_BYTES), min(size.likely, MOST_BYTES), MOST_BYTES)


def bytes_estimate(size: Interval, source: Source) -> BytesEstimate:
    """An interval in bytes in the words of the API, bounded by MOST_BYTES."""
    size = bounded(size)
    return BytesEstimate(low=size.low, likely=size.likely, high=size.high, coverage_ratio=0.9, source=source)
