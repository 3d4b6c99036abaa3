"""The need: what must be there for a workload to run, by component, at its fullest phase."""

from dataclasses import dataclass
from functools import lru_cache

from wattmark.api.answers import ComponentName, Need, Phase, Source
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.parallelism import ParallelismType
from wattmark.api.workload import WorkloadType
from wattmark.estimate import analysis, fsdp, inference, optimizer, replicas, tensor_parallel, training
from wattmark.estimate.answer import Beyond, Phases, Reckoned, host_of_cpu_run, host_of_gpu_run, on_cpu, on_gpu
from wattmark.estimate.device import Gpu, scratch_bytes, workspace
from wattmark.estimate.interval import MIB, Interval, exact, highest, no_surer
from wattmark.estimate.parts import UNDIVIDED, Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.simulation.loading import peak, rests_of_blocks
from wattmark.estimate.simulation.reserved import Simulated, order_is_known, reserved
from wattmark.estimate.simulation.reserved import least as least_reserved
from wattmark.estimate.stored import Itself
from wattmark.estimate.transformer import HELD_WIDTHS
from wattmark.models import Architecture, Family, Head, head_for

SEGMENT_BYTES = 20 * MIB  # the allocator's step for tensors of 1 to 10 MiB: the last one is rarely full
# Of a training step's logits with their loss, likely and at most: what stays cached of their segments, which hold next
# to nothing that comes later. Published runs of Mistral-7B, set apart for development, reserve as much beside a share;
# so do traces.
CACHED_LOGITS = (0.6, 1.25)


def phases(question: Question) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase with its parts, or why there is no formula for this model."""
    if question.architecture.unmodelled:
        return Unknown(f"the closed form does not describe {question.architecture.unmodelled}")
    if question.architecture.only_inference and question.resolved.workload_type is not WorkloadType.INFERENCE:
        return Unknown(f"the closed form does not describe {question.architecture.only_inference}")
    for stack in question.stacks:
        if stack.activation not in HELD_WIDTHS:
            return Unknown(f"the closed form does not know what activation {stack.activation!r:.40} saves")
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
        way = f"; use {UNDIVIDED}" if question.training else ""
        return Unknown(f"the closed form does not know how quantized matrices are divided{way}")
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
    any phase's, so that a phase that may turn out fuller is allowed for, and no surer than such totals have proved.
    `reserved_bytes` is simulated where the order of allocations is known, and else shares more than what is allocated.
    Not to `simulate` takes a twentieth of the time, and gives shares for all, without the components: a high end of
    what must be offered that is never above the other.
    """
    found = _reckoned(architecture, resolved, weights, gpu, simulate=simulate, replay=simulate)
    return found if isinstance(found, Unknown) else found.told(itemized=simulate)


def reckoned(
    architecture: Architecture, resolved: Resolved, weights: Weights, gpu: Gpu | None, *, simulate: bool = True
) -> Reckoned | Unknown:
    """The same before it is told, for whoever looks for what fits: to tell a need takes longer than to reckon it.

    What must be there is likely the middle between segments in use and all that are reserved: the least on which the
    simulated allocator comes to its end takes more simulations, and moves neither end.
    """
    return _reckoned(architecture, resolved, weights, gpu, simulate=simulate, replay=False)


def _reckoned(
    architecture: Architecture, resolved: Resolved, weights: Weights, gpu: Gpu | None, *, simulate: bool, replay: bool
) -> Reckoned | Unknown:
    itself = Itself(architecture)
    found = _extent(itself, resolved.model_dump_json(exclude_none=True), weights, gpu is not None)
    if isinstance(found, Unknown):
        return found
    # Components and phases are told of what is replayed alone.
    parts, each = _itemized(itself, resolved, weights, gpu is not None) if replay else ((), ())
    if gpu is None:
        return on_cpu(each, found.phase, parts, found.allocated, host_of_cpu_run(found.allocated))
    training = resolved.workload_type is WorkloadType.TRAINING
    convolutional = architecture.family is Family.CONVOLUTIONAL
    head = head_for(architecture, resolved.workload_type, resolved.analysis)
    multiplies = not convolutional or head is not Head.BASE  # it is the classifier that does
    scratch = workspace(gpu, training=resolved.differentiates, convolutional=convolutional, multiplies=multiplies)
    within = Part(ComponentName.WORKSPACE, scratch, "cuBLAS: 8.1 MiB, 32 MiB from compute capability 9.0")
    allocated = found.allocated + scratch
    devices = resolved.devices or 1
    host = host_of_gpu_run(weights, found.stored, devices)
    about = itself, resolved, weights, scratch_bytes(gpu)
    simulated = _simulated(*about) if simulate else None
    if simulated is None:
        # Where a simulation would tell, what it may tell at least.
        logits = 0 if found.order_is_known and not simulate else found.logits
        beyond = _shares(allocated, logits, found.loading, training=training)
    else:
        # Every tensor of a pass is followed. Of a step small ones are not, and which those are depends on its size.
        moved = 0 if training else max(-found.activations, simulated.asked_bytes - allocated.likely)
        allocated = _moved(allocated, moved)
        if moved and replay:
            parts, each = _followed(parts, moved), _below(each, found.phase, moved)
        least = _least(*about, simulated) if replay else None
        beyond = _of(simulated, least, allocated, training=training)
    # Loaded is before the first product of matrices, which takes the workspace.
    each = tuple((phase, size if phase is Phase.LOAD else size + scratch) for phase, size in each)
    return on_gpu(each, found.phase, (*parts, within), allocated, beyond, gpu, host, Source.CLOSED_FORM, devices)


def _followed(parts: tuple[Part, ...], moved: int) -> tuple[Part, ...]:
    """With so much more or less of activations: what else there is is known."""
    activations = (part for part in parts if part.name is ComponentName.ACTIVATIONS)
    largest = max(activations, key=lambda part: part.size.likely, default=None)
    if largest is None:
        return (*parts, Part(ComponentName.ACTIVATIONS, exact(moved), "as followed tensor by tensor"))
    more = Part(largest.name, _moved(largest.size, moved), largest.formula)
    return tuple(more if part is largest else part for part in parts)


def _below(phases: Phases, fullest: Phase, moved: int) -> Phases:
    """With so much more or less in the fullest phase, which the others stay below."""
    most = max(size.likely for _, size in phases) + moved
    return tuple(
        (phase, _moved(size, moved if phase is fullest else min(0, most - size.likely))) for phase, size in phases
    )


def _moved(size: Interval, by: int) -> Interval:
    """The likely value moved, and an end with it that it would pass."""
    likely = size.likely + by
    return Interval(min(size.low, likely), likely, max(size.high, likely))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with its phases."""

    question: Question
    phases: tuple[PhaseParts, ...]

    @property
    def peak(self) -> PhaseParts:
        """The fullest phase."""
        return max(self.phases, key=lambda phase: phase.allocated.likely)


# The same is asked for each kind of GPU, one after another, and no phase depends on which it is.
@lru_cache(16)
def _once(of: Itself, resolved: Resolved, weights: Weights, on_gpu: bool) -> _Asked | Unknown:
    question = Question(of.architecture, resolved, weights, on_gpu)
    every = phases(question)
    if isinstance(every, Unknown):
        return every
    rests = rests_of_blocks(question) if on_gpu else 0
    if rests:
        every = tuple(_in_blocks(question, phase, rests) for phase in every)
    return _Asked(question, every)


def _itemized(of: Itself, resolved: Resolved, weights: Weights, on_gpu: bool) -> tuple[tuple[Part, ...], Phases]:
    """What the fullest phase is made of, and the highest ends of each phase's moments, in the order of phases."""
    found = _once(of, resolved, weights, on_gpu)
    assert not isinstance(found, Unknown)  # its extent is known
    moments: dict[Phase, list[Interval]] = {}
    for moment in found.phases:
        moments.setdefault(moment.phase, []).append(moment.allocated)
    return found.peak.parts, tuple((phase, no_surer(highest(sizes))) for phase, sizes in moments.items())


@dataclass(frozen=True, slots=True)
class _Extent:
    """How much a question asks for: its fullest phase, the highest ends of all phases; the bytes of what is stored, of
    what is reserved at most while that is loaded, of the fullest phase's activations, and of a training step's logits
    where they are most."""

    phase: Phase
    allocated: Interval
    stored: int
    loading: int
    activations: int
    logits: int
    order_is_known: bool


# Asked again at each change of the fleet: fifty or more for a ModelCheck that fits nowhere, with all that might make it
# fit. A kilobyte each, for the workload is remembered as text.
@lru_cache(8192)
def _extent(of: Itself, resolved: str, weights: Weights, on_gpu: bool) -> _Extent | Unknown:
    found = _once(of, Resolved.model_validate_json(resolved), weights, on_gpu)
    if isinstance(found, Unknown):
        return found
    question = found.question
    return _Extent(
        found.peak.phase,
        no_surer(highest([phase.allocated for phase in found.phases])),
        question.count.total * question.formats.weight,
        peak(question) if on_gpu else 0,
        max((part.size.likely for part in found.peak.parts if part.name is ComponentName.ACTIVATIONS), default=0),
        _logits(found.phases) if question.training else 0,
        order_is_known(question),
    )


def _in_blocks(question: Question, phase: PhaseParts, rests: int) -> PhaseParts:
    """With what blocks exceed that they hold: of weights the `rests`, of states and gradients the same share.

    Those of adapters are small. Of activations, which take blocks of one another, it is next to nothing.
    """
    formula = "and the rests of blocks that the allocator hands out whole"
    found = [Part(ComponentName.WEIGHTS, exact(rests), formula)]
    if question.adapters is None:
        stored = question.count.total * question.formats.weight
        found += [
            Part(part.name, exact(part.size.likely * rests // stored), formula)
            for part in phase.parts
            if part.name in (ComponentName.OPTIMIZER, ComponentName.GRADIENTS)
        ]
    return PhaseParts(phase.phase, (*phase.parts, *found))


# The same is asked for each GPU with as large a workspace, at either end of each search for what fits, and again when
# another run has spoken. A few hundred bytes each.
@lru_cache(2048)
def _simulated(of: Itself, resolved: Resolved, weights: Weights, scratch: int) -> Simulated | None:
    found = _once(of, resolved, weights, True)
    return None if isinstance(found, Unknown) else reserved(found.question, scratch)


@lru_cache(2048)
def _least(of: Itself, resolved: Resolved, weights: Weights, scratch: int, simulated: Simulated) -> int:
    found = _once(of, resolved, weights, True)
    assert not isinstance(found, Unknown)  # it was simulated
    return least_reserved(found.question, scratch, simulated)


def _of(simulated: Simulated, least: int | None, allocated: Interval, *, training: bool) -> Beyond:
    """What the simulated allocator takes beyond what is allocated; what of it must be there lies in the middle, if the
    `least` is not known."""
    in_use = max(simulated.in_use_bytes, allocated.likely)
    rests, unused = in_use - allocated.likely, max(0, simulated.reserved_bytes - in_use)
    kept = unused // 2 if least is None else min(unused, max(0, least - in_use))
    must, cached = rests + kept, unused - kept
    most = max(_rounding(allocated, training=training).high, rests + unused + 2 * SEGMENT_BYTES)
    return Beyond(
        Part(
            ComponentName.ALLOCATOR_ROUNDING,
            Interval(rests // 2, must, most),
            "the least on which the simulated allocator comes to its end, less what is allocated",
        ),
        Part(
            ComponentName.ALLOCATOR_CACHE,
            Interval(0, cached, unused),
            "reserved where there is room, less that: given back before memory runs out",
        ),
    )


def _shares(allocated: Interval, logits: int, loading: int, *, training: bool) -> Beyond:
    """The same where no order of allocations is known; `logits` are the bytes of a training step's logits.

    No less is in use than while it was `loading`: what is tied is there twice till all is initialised.
    """
    share, (likely, high) = _rounding(allocated, training=training), CACHED_LOGITS
    must, cached = share.likely + int(logits * likely / 2), int(logits * likely) - int(logits * likely / 2)
    must = max(must, loading - allocated.likely)
    cached = max(0, min(cached, share.likely + int(logits * likely) - must))
    most = max(share.high, share.likely + int(logits * likely) + 2 * SEGMENT_BYTES, must)
    return Beyond(
        Part(
            ComponentName.ALLOCATOR_ROUNDING,
            Interval(max(0, min(must, loading - allocated.low)), must, most),
            "a share of what is allocated, and of logits, whose segments outlive them: they are not simulated",
        ),
        Part(
            ComponentName.ALLOCATOR_CACHE,
            Interval(0, cached, max(cached, int(logits * high) - cached)),
            f"{likely} x logits, less half: given back before memory runs out",
        ),
    )


def _rounding(allocated: Interval, *, training: bool) -> Interval:
    """Rests of segments as a share. Measured: 0.4 to 1.8 % for 8 to 70 B models in inference."""
    likely, high = (0.05, 0.15) if training else (0.02, 0.06)
    return Interval(0, int(allocated.likely * likely), int(allocated.high * high) + 2 * SEGMENT_BYTES)


def _logits(every: tuple[PhaseParts, ...]) -> int:
    """Bytes of the logits where they are most."""
    sizes = ((part.size.likely for part in phase.parts if part.name is ComponentName.LOGITS) for phase in every)
    return max((sum(phase) for phase in sizes), default=0)
