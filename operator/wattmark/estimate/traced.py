"""A traced need: the fullest moments of a replayed trace, with what a device takes for itself."""

from wattmark.api.answers import ComponentName, Need, Phase, Source
from wattmark.api.model import Weights
from wattmark.estimate.answer import host_of_gpu_run, on_gpu
from wattmark.estimate.device import Gpu, blas, dnn
from wattmark.estimate.interval import MIB, NOTHING, Interval, exact, spread
from wattmark.estimate.parts import Part, PhaseParts
from wattmark.estimate.replay import Fullest

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


def traced(fullest: tuple[Fullest, ...], weights: Weights, gpu: Gpu, *, training: bool, convolutional: bool) -> Need:
    """The need on each device, in bytes, from what `replay` gave for a run on this GPU.

    The components are those of the fullest phase as its tensors' blocks; reserved is the simulated allocator's most.
    Loading counts for reserved only: the runner's peaks begin after it, and a model that is initialised holds tied
    weights twice for a moment, which one that is read does not.
    """
    peak = max((moment for moment in fullest if moment.phase is not Phase.LOAD), key=lambda moment: moment.allocated)
    scratch = blas(gpu, training=training)
    unsure = Interval(0, 0, scratch.high - scratch.likely)  # the likely size is in the trace
    parts = [
        Part(name, exact(size) if name in _HELD else spread(size, *SEEN), f"traced: {_WORDS[name]}")
        for name, size in peak.components.items()
    ]
    parts.append(Part(ComponentName.WORKSPACE, unsure, "cuBLASLt"))
    parts.append(Part(ComponentName.WORKSPACE, dnn() if convolutional else NOTHING, "cuDNN's, not traced"))
    whole = PhaseParts(peak.phase, tuple(parts))
    reserved = max(moment.reserved for moment in fullest)
    lost = reserved - peak.allocated
    stored = next(moment.components.get(ComponentName.WEIGHTS, 0) for moment in fullest)
    return on_gpu(
        whole,
        whole.allocated,
        Part(
            ComponentName.ALLOCATOR_ROUNDING,
            Interval(lost // 2, lost, lost + lost // 2 + 2 * SEGMENT_BYTES),
            "reserved less allocated, of the trace replayed through a simulated allocator",
        ),
        gpu,
        host_of_gpu_run(weights, stored),
        Source.TRACED,
    )
