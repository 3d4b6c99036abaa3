"""The need: what must be there for a workload to run, by component, at its fullest phase."""

from functools import lru_cache

from wattmark.api.answers import ComponentName, Need, Source
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.parallelism import ParallelismType
from wattmark.api.workload import WorkloadType
from wattmark.estimate import analysis, fsdp, inference, optimizer, replicas, tensor_parallel, training
from wattmark.estimate.answer import host_of_cpu_run, host_of_gpu_run, on_cpu, on_gpu
from wattmark.estimate.device import Gpu, scratch_bytes, workspace
from wattmark.estimate.interval import MIB, Interval, highest
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.reserved import reserved
from wattmark.estimate.transformer import HELD_WIDTHS
from wattmark.models import Architecture, Family, Head

SEGMENT_BYTES = 20 * MIB  # the allocator's step for tensors of 1 to 10 MiB: the last one is rarely full


def phases(question: Question) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase with its parts, or why there is no formula for this model."""
    if question.architecture.unmodelled:
        return Unknown(f"the closed form does not describe {question.architecture.unmodelled}")
    if question.architecture.only_inference and question.resolved.workload_type is not WorkloadType.INFERENCE:
        return Unknown(f"the closed form does not describe {question.architecture.only_inference}")
    for stack in question.stacks:
        if stack.activation not in HELD_WIDTHS:
            return Unknown(f"the closed form does not know what activation {stack.activation!r:.40} saves")
    if question.adapters and any(stack.experts for stack in question.stacks):
        return Unknown("the closed form does not describe adapters in a mixture of experts")
    odd = optimizer.unknown_state(question)
    if odd:
        return Unknown(odd)
    if question.resolved.parallelism:
        return _shared(question, question.resolved.parallelism, question.resolved.devices or 1)
    if question.resolved.analysis:
        return analysis.phases(question)
    return training.phases(question) if question.training else inference.phases(question)


def _shared(question: Question, how: ParallelismType, devices: int) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase on one of several GPUs."""
    if question.resolved.quantization and how is not ParallelismType.DDP:
        return Unknown("the closed form does not know how quantized matrices are divided")
    match how:
        case ParallelismType.FSDP:
            return fsdp.phases(question, devices)
        case ParallelismType.TENSOR_PARALLEL:
            return tensor_parallel.phases(question, devices)
        case ParallelismType.DDP | ParallelismType.ZERO1 | ParallelismType.NONE:
            return replicas.phases(question, devices)


def need(
    architecture: Architecture, resolved: Resolved, weights: Weights, gpu: Gpu | None, *, simulate: bool = True
) -> Need | Unknown:
    """Memory on each device and on the host, in bytes; `gpu` is None for a run on the CPU.

    The components are those of the phase with the highest likely figure; the ends of the totals are the highest of
    any phase's, so that a phase that may turn out fuller is allowed for. `reserved_bytes` is simulated where the order
    of allocations is known, and else a share more than what is allocated. Not to `simulate` takes a twentieth of the
    time, and gives that share for all: a high end that is never above the other.
    """
    itself = _Itself(architecture)
    question, every = _once(itself, resolved, weights, gpu is not None)
    if isinstance(every, Unknown):
        return every
    peak = max(every, key=lambda phase: phase.allocated.likely)
    fullest = highest([phase.allocated for phase in every])
    if gpu is None:
        return on_cpu(peak, fullest, host_of_cpu_run(fullest))
    convolutional = architecture.family is Family.CONVOLUTIONAL
    multiplies = not convolutional or question.head is not Head.BASE  # it is the classifier that does
    scratch = workspace(
        gpu, training=question.resolved.differentiates, convolutional=convolutional, multiplies=multiplies
    )
    within = Part(ComponentName.WORKSPACE, scratch, "cuBLAS: 8.1 MiB, 32 MiB from compute capability 9.0")
    allocated = fullest + scratch
    devices = resolved.devices or 1
    host = host_of_gpu_run(weights, question.count.total * question.formats.weight, devices)
    whole = PhaseParts(peak.phase, (*peak.parts, within))
    simulated = _simulated(itself, resolved, weights, scratch_bytes(gpu)) if simulate else None
    lost = _lost(allocated, simulated, training=question.training)
    return on_gpu(whole, allocated, lost, gpu, host, Source.CLOSED_FORM, devices)


class _Itself:
    """An architecture that is equal to itself alone: to compare two takes longer than to estimate."""

    __slots__ = ("architecture",)

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __hash__(self) -> int:
        return id(self.architecture)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.architecture is other.architecture


# The same is asked for each kind of GPU, one after another, and no phase depends on which it is.
@lru_cache(16)
def _once(
    of: _Itself, resolved: Resolved, weights: Weights, on_gpu: bool
) -> tuple[Question, tuple[PhaseParts, ...] | Unknown]:
    question = Question(of.architecture, resolved, weights, on_gpu)
    return question, phases(question)


# The same is asked for each GPU with as large a workspace, and at either end of each search for what fits.
@lru_cache(256)
def _simulated(of: _Itself, resolved: Resolved, weights: Weights, scratch: int) -> int | None:
    question, _ = _once(of, resolved, weights, True)
    return reserved(question, scratch)


def _lost(allocated: Interval, simulated: int | None, *, training: bool) -> Part:
    """What reserved exceeds allocated by."""
    share = _rounding(allocated, training=training)
    if simulated is None:
        return Part(ComponentName.ALLOCATOR_ROUNDING, share, "a share of what is allocated: segments are not simulated")
    likely = max(0, simulated - allocated.likely)
    size = Interval(likely // 2, likely, max(share.high, likely + 2 * SEGMENT_BYTES))
    return Part(ComponentName.ALLOCATOR_ROUNDING, size, "reserved, of a simulated allocator, less allocated")


def _rounding(allocated: Interval, *, training: bool) -> Interval:
    """That as a share. Measured: 0.4 to 1.8 % for 8 to 70 B models in inference."""
    likely, high = (0.05, 0.15) if training else (0.02, 0.06)
    return Interval(0, int(allocated.likely * likely), int(allocated.high * high) + 2 * SEGMENT_BYTES)
