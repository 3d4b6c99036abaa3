"""A traced need: the fullest moments of a replayed trace, with what a device takes for itself."""

from wattmark.api.answers import ComponentName, Need, Phase, Source
from wattmark.api.model import Weights
from wattmark.api.trace import Trace, TracedComponent, TracedMemory, TracedPhase
from wattmark.estimate.answer import MOST_BYTES, Beyond, host_of_gpu_run, on_gpu
from wattmark.estimate.device import Gpu, blas, dnn
from wattmark.estimate.interval import MIB, NOTHING, Interval, exact, spread, total
from wattmark.estimate.parts import Part
from wattmark.estimate.simulation.replay import Fullest

# A trace sees every tensor, and not what kernels allocate for themselves, which is known for attention and embeddings
# only; nor the order in which two threads free
SEEN = (0.98, 1.04)
SEGMENT_BYTES = 20 * MIB  # one more or less of the allocator's larger segments
_HELD = (
    ComponentName.WEIGHTS,
    ComponentName.GRADIENTS,
    ComponentName.OPTIMIZER,
    ComponentName.KV_CACHE,
    ComponentName.HIDDEN_STATES,
    ComponentName.ATTENTION_WEIGHTS,
)
_WORDS = {
    ComponentName.WEIGHTS: "parameters and buffers of the model class",
    ComponentName.GRADIENTS: "gradients of parameters there at that moment",
    ComponentName.OPTIMIZER: "the optimizer's states",
    ComponentName.KV_CACHE: "keys and values that the model returned",
    ComponentName.AUTOCAST_COPIES: "copies of weights that autocast keeps",
    ComponentName.LOGITS: "tensors as wide as the vocabulary",
    ComponentName.HIDDEN_STATES: "what every layer gave, kept until the end",
    ComponentName.ATTENTION_WEIGHTS: "attention weights of every layer, kept until the end",
    ComponentName.WORKSPACE: "cuBLAS, kernels' and the optimizer's temporaries",
    ComponentName.ACTIVATIONS: "every other tensor alive at that moment",
}
# GPUs that differ in what a trace sees: Turing has no fused attention in bf16, Hopper a larger cuBLAS workspace
KINDS = ((7, 5), (8, 0), (9, 0))
UNKNOWN_KIND = (8, 0)  # stands for a GPU of which nothing is known


def kind_of(gpu: Gpu) -> tuple[int, int]:
    """The traced kind that stands for a GPU."""
    capability = gpu.capability or UNKNOWN_KIND
    return max((kind for kind in KINDS if kind <= capability), default=KINDS[0])


def complete(trace: Trace) -> bool:
    """Whether the trace holds every kind, each once."""
    return sorted(one.compute_capability for one in trace.memory) == [_written(kind) for kind in KINDS]


def memory(kind: tuple[int, int], fullest: tuple[Fullest, ...], least: int) -> TracedMemory:
    """What `replay` and `least` gave for a run on a GPU of this kind, as it is told and kept.

    The components are those of the fullest phase as its tensors' blocks; reserved is the simulated allocator's most.
    Loading counts for reserved only: the runner's peaks begin after it, and a model that is initialised holds tied
    weights twice for a moment, which one that is read does not.
    """
    peak = max((moment for moment in fullest if moment.phase is not Phase.LOAD), key=lambda moment: moment.allocated)
    loaded = next(moment.components.get(ComponentName.WEIGHTS, 0) for moment in fullest)
    return TracedMemory(
        compute_capability=_written(kind),
        peak_phase=peak.phase,
        components=[
            TracedComponent(name=name, allocated_bytes=min(size, MOST_BYTES))
            for name, size in peak.components.items()
            if size
        ],
        phases=[
            TracedPhase(
                phase=moment.phase,
                allocated_bytes=min(loaded if moment.phase is Phase.LOAD else moment.allocated, MOST_BYTES),
            )
            for moment in fullest
        ],
        reserved_bytes=min(max(moment.reserved for moment in fullest), MOST_BYTES),
        least_reserved_bytes=min(least, MOST_BYTES),
        weights_bytes=min(loaded, MOST_BYTES),
    )


def traced(trace: Trace, weights: Weights, gpu: Gpu) -> Need:
    """The need on each device, in bytes. KeyError if the trace does not hold this GPU's kind."""
    found = {one.compute_capability: one for one in trace.memory}[_written(kind_of(gpu))]
    scratch = blas(gpu, training=trace.resolved.differentiates)
    unsure = Interval(0, 0, scratch.high - scratch.likely)  # the likely size is in the trace
    parts = [
        Part(
            part.name,
            exact(part.allocated_bytes) if part.name in _HELD else spread(part.allocated_bytes, *SEEN),
            f"traced: {_WORDS[part.name]}",
        )
        for part in found.components
    ]
    parts.append(Part(ComponentName.WORKSPACE, unsure, "cuBLASLt"))
    parts.append(Part(ComponentName.WORKSPACE, dnn() if trace.convolutional else NOTHING, "cuDNN's, not traced"))
    allocated = sum(part.allocated_bytes for part in found.components)
    must = max(allocated, found.least_reserved_bytes or found.reserved_bytes)
    rounded, cached = must - allocated, max(0, found.reserved_bytes - must)
    beyond = Beyond(
        Part(
            ComponentName.ALLOCATOR_ROUNDING,
            Interval(rounded // 2, rounded, rounded + rounded // 2 + 2 * SEGMENT_BYTES),
            "the least on which the replayed trace comes to its end, less what is allocated",
        ),
        Part(
            ComponentName.ALLOCATOR_CACHE,
            Interval(cached // 2, cached, cached + cached // 2),
            "reserved where there is room, less that: given back before memory runs out",
        ),
    )
    whole = total([part.size for part in parts])
    # What was not traced, and how sure the rest is, is known of the fullest phase.
    each = [
        (one.phase, whole if one.phase is found.peak_phase else spread(one.allocated_bytes, *SEEN))
        for one in found.phases
    ]
    return on_gpu(
        tuple(each),
        found.peak_phase,
        tuple(parts),
        whole,
        beyond,
        gpu,
        host_of_gpu_run(weights, found.weights_bytes),
        Source.TRACED,
    ).told()


def _written(kind: tuple[int, int]) -> str:
    return f"{kind[0]}.{kind[1]}"
