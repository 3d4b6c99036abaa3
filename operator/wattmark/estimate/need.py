"""The need: what must be there for a workload to run, by component, at its fullest phase."""

from collections.abc import Iterable

from wattmark.api.answers import BytesEstimate, Component, ComponentName, Need, Source
from wattmark.api.order import Resolved
from wattmark.api.workload import Weights
from wattmark.estimate import inference, training
from wattmark.estimate.device import Gpu, context, driver, workspace
from wattmark.estimate.interval import GIB, MIB, NOTHING, Interval, highest
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.transformer import HELD_WIDTHS
from wattmark.models import Architecture

FORMULA_LENGTH = 200
MOST_BYTES = 2**53  # the bound of a size in the API, 8 PiB: a need beyond it is told as this, and fits nowhere
SEGMENT_BYTES = 20 * MIB  # the allocator's step for tensors of 1 to 10 MiB: the last one is rarely full


def phases(question: Question) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase with its parts, or why there is no formula for this model."""
    if question.architecture.unmodelled:
        return Unknown(f"the closed form does not describe {question.architecture.unmodelled}")
    for stack in question.stacks:
        if stack.activation not in HELD_WIDTHS:
            return Unknown(f"the closed form does not know what activation {stack.activation!r:.40} saves")
    return training.phases(question) if question.training else inference.phases(question)


def need(architecture: Architecture, resolved: Resolved, weights: Weights, gpu: Gpu | None) -> Need | Unknown:
    """Memory on each device and on the host, in bytes; `gpu` is None for a run on the CPU.

    The components are those of the phase with the highest likely figure; the ends of the totals are the highest of
    any phase's, so that a phase that may turn out fuller is allowed for. `reserved_bytes` is allocated plus what the
    allocator's rounding loses, as a factor: not simulated.
    """
    question = Question(architecture, resolved, weights, on_gpu=gpu is not None)
    every = phases(question)
    if isinstance(every, Unknown):
        return every
    peak = max(every, key=lambda phase: phase.allocated.likely)
    fullest = highest([phase.allocated for phase in every])
    if gpu is None:
        return Need(
            peak_phase=peak.phase,
            allocated_bytes=_estimate(fullest),
            host_bytes=_estimate(_host_of_cpu_run(fullest)),
            components=_components(peak.parts),
        )
    scratch = workspace(gpu, training=question.training, convolutional=bool(architecture.convolutions))
    parts = (*peak.parts, Part(ComponentName.WORKSPACE, scratch, "cuBLAS: 8.1 MiB, 32 MiB from compute capability 9.0"))
    allocated = fullest + scratch
    lost = _rounding(allocated, training=question.training)
    outside = (
        Part(
            ComponentName.ALLOCATOR_ROUNDING, lost, "a share of what is allocated: segments are rounded, not simulated"
        ),
        Part(ComponentName.CONTEXT, context(gpu), "CUDA context and kernels, measured on A100 and H100"),
        Part(ComponentName.DRIVER, driver(gpu), "kept by the driver on an idle GPU, measured on A100 and H100"),
    )
    process = allocated + lost + context(gpu)
    return Need(
        peak_phase=peak.phase,
        allocated_bytes=_estimate(allocated),
        reserved_bytes=_estimate(allocated + lost),
        process_bytes=_estimate(process),
        device_bytes=_estimate(process + driver(gpu)),
        host_bytes=_estimate(_host_of_gpu_run(question)),
        components=_components((*parts, *outside)),
    )


def _rounding(allocated: Interval, *, training: bool) -> Interval:
    """What reserved exceeds allocated by. Measured: 0.4 to 1.8 % for 8 to 70 B models in inference."""
    likely, high = (0.05, 0.15) if training else (0.02, 0.06)
    return Interval(0, int(allocated.likely * likely), int(allocated.high * high) + 2 * SEGMENT_BYTES)


def _host_of_cpu_run(allocated: Interval) -> Interval:
    """On a CPU the tensors lie in the process, beside Python, torch and transformers.

    Measured on x86-64 with torch 2.15 and transformers 5.23: 0.74 to 0.85 GiB beside the tensors of BERT, GPT-2,
    DistilBERT in training and ResNet.
    """
    base = Interval(GIB // 2, 13 * GIB // 16, 3 * GIB // 2)
    return Interval(allocated.low, allocated.likely, int(allocated.high * 1.1)) + base


def _host_of_gpu_run(question: Question) -> Interval:
    """Beside a GPU: Python, torch with its CUDA libraries, and a checkpoint's pages while it is read."""
    base = Interval(GIB, 2 * GIB, 3 * GIB)
    if question.weights is not Weights.PRETRAINED:
        return base
    size = question.count.total * question.formats.weight
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


def _estimate(size: Interval) -> BytesEstimate:
    return BytesEstimate(
        low=min(size.low, MOST_BYTES),
        likely=min(size.likely, MOST_BYTES),
        high=min(size.high, MOST_BYTES),
        coverage_ratio=0.9,
        source=Source.CLOSED_FORM,
    )
