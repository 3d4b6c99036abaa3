"""What the caching allocator takes from the device: a workload's allocations, simulated one after another.

Described are those whose order has been compared with a trace's, on one device and with fused attention. In inference:
forward passes of encoders, vision transformers and decoders, and what decoders generate, whose layers have norms ahead,
behind or side by side, without a window that is shorter than the text. In training: steps of the same, with adapters or
without, with checkpointing or without, with SGD's or Adam's states (see `training_step`). Of everything else
(encoder-decoders, eager attention, mixtures, quantized matrices, several devices, static caches, analyses,
convolutions, other optimizers, more layers than any model has) reserved memory stays a share of what is allocated.
"""

from dataclasses import dataclass
from functools import lru_cache

from wattmark.api.model import Weights
from wattmark.api.workload import WorkloadType
from wattmark.estimate.allocator import Allocator, Block, DeviceFullError
from wattmark.estimate.parts import Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.sequence import ACTIVATIONS, MOST_LAYERS, Cache, Layers, Memory, tables
from wattmark.estimate.tensors import Tensor, units
from wattmark.estimate.training_step import followed, in_order, steps
from wattmark.models import Family

INDEX_BYTES = 8
SETTLED = 8  # layers
STEPS = 6  # of a generation that are followed


PARTS = 32  # to one part in so many of what is reserved the least is looked for: each look is a simulation more


@dataclass(frozen=True, slots=True)
class Simulated:
    """The allocator's peaks in bytes: what it takes where there is room, and what of that is in use at once.

    What it must have lies between the two: under pressure it gives back what is not used, and then places the rest
    otherwise than it did where there was room. See `least`.
    """

    reserved_bytes: int
    in_use_bytes: int


def reserved(question: Question, scratch: int) -> Simulated | None:
    """The peaks, `scratch` bytes of a library's workspace included; None where no order is known."""
    memory = simulated(question, scratch)
    if memory is None:
        return None
    return Simulated(memory.allocator.reserved_peak, memory.allocator.in_use_peak)


def least(question: Question, scratch: int, found: Simulated) -> int:
    """The fewest bytes of a device on which it comes to its end, of a question with such peaks, to one part in PARTS.

    Mostly next to nothing but the segments in use is needed: that is tried first.
    """
    low, enough, grain = found.in_use_bytes, found.reserved_bytes, found.reserved_bytes // PARTS
    at = low + grain
    while enough - low > grain:
        try:
            simulated(question, scratch, at)
            enough = at
        except DeviceFullError:
            low = at
        at = (low + enough) // 2
    return (low + enough) // 2


def order_is_known(question: Question) -> bool:
    """Whether there is a simulation of this."""
    return followed(question) or _described(question)


def simulated(question: Question, scratch: int, limit: int | None = None) -> Memory | None:
    """The allocator at the end, with what it held at most; DeviceFullError on a device with fewer bytes than it needs.

    Loaded it is on any device: that takes what is there at the end, and a tied projection for a moment.
    """
    if not order_is_known(question):
        return None
    found = units(question)
    if isinstance(found, Unknown):
        return None
    untied = question.projection if question.architecture.tied and question.weights is Weights.RANDOM else 0
    parts = in_order(question, found) if question.training else ((1, found.rest), *found.layers)
    memory = Memory(_loaded(parts, untied, question.formats.weight).settled(limit))
    if question.training:
        steps(question, found).run(memory, scratch)
    else:
        _forward(question, memory, scratch)
    return memory


def _described(question: Question) -> bool:
    resolved, architecture = question.resolved, question.architecture
    if resolved.workload_type is not WorkloadType.INFERENCE or resolved.quantization or resolved.parallelism:
        return False
    if architecture.family not in (Family.ENCODER, Family.VISION_TRANSFORMER, Family.DECODER):
        return False
    if architecture.audio or architecture.projected_embeddings or question.static_tokens:
        return False
    ((stack, run),) = question.passes
    # A cache that slides holds one token less than the window.
    short = stack.window_tokens is not None and stack.window_tokens - 1 <= run.tokens + question.output_tokens
    odd = run.eager or stack.experts or stack.norms_behind or stack.position_bias or short
    return not odd and stack.activation in ACTIVATIONS and stack.layers <= MOST_LAYERS


# The same for every batch and length.
@lru_cache(64)
def _loaded(parts: tuple[tuple[int, tuple[Tensor, ...]], ...], untied: int, size: int) -> Allocator:
    """The weights, one after another; a projection that is tied once it is initialised is there for a moment."""
    allocator = Allocator()
    tensors = [tensor for count, inner in parts for _ in range(count) for tensor in inner]
    for tensor in tensors:
        for _ in range(tensor.count):
            allocator.allocate(tensor.elements * size)
    if untied:
        allocator.release(allocator.allocate(untied * size))
    allocator.empty_cache()
    return allocator


def _forward(question: Question, memory: Memory, scratch: int) -> None:
    """One forward pass, and what is generated then, the first time; later ones find the blocks of the one before."""
    ((stack, run),) = question.passes
    tokens, cache = question.batch * run.tokens, Cache(memory)
    holds_context = question.architecture.model_type != "distilbert"
    layers = Layers(
        memory, stack, question.formats, tokens, tokens, cache, scratch=scratch, holds_context=holds_context
    )
    held, given = _embedded(question, memory, layers, run.tokens)
    # Without a cache the layers soon use the same blocks over and over.
    for _ in range(stack.layers if stack.causal else min(stack.layers, SETTLED)):
        given = layers.layer(given, last_use=given is not held[0])
    if stack.post_norms:
        return
    normed = layers.norm()
    memory.drop(given, *(tensor for tensor in held if tensor is not given))
    if question.projection:
        logits = memory.take(_logits(question))
        memory.drop(normed)
        _generate(question, memory, cache, logits)


def _generate(question: Question, memory: Memory, cache: Cache, logits: Block) -> None:
    """One token of each sample after another: the caches grow, and the last layer runs.

    What a layer holds is small beside the caches, and the same at each step; so is what a step adds: a few of them
    stand for all.
    """
    ((stack, _),) = question.passes
    formats, batch, steps = question.formats, question.batch, max(0, question.output_tokens - 1)
    followed = min(steps, STEPS)
    for step in range(1, followed + 1):
        keys = batch * (question.input_tokens + steps * step // followed)
        for layer in range(stack.layers - 1):
            cache.write(layer, keys * stack.kv_width * formats.compute)
        last = Layers(memory, stack, formats, batch, keys, cache, first=stack.layers - 1)
        memory.drop(last.layer(memory.take(last.hidden), last_use=True))
        # What the step before gave is there until this one gives its own.
        logits = memory.follow(logits, _logits(question))


def _logits(question: Question) -> int:
    """Of the last position alone."""
    return question.batch * (question.architecture.vocab or 0) * question.formats.compute


def _embedded(question: Question, memory: Memory, layers: Layers, length: int) -> tuple[list[Block], Block]:
    """What the model holds of its embeddings until it ends, and what the first layer is given."""
    architecture, hidden = question.architecture, layers.hidden
    positions = hidden // question.batch
    if question.pixel_bytes:
        memory.take(question.pixel_bytes)
        patches = memory.take(hidden // length * (length - 1))
        embedded = memory.follow(memory.follow(patches, hidden), hidden)
        return [embedded], embedded
    memory.take(layers.tokens * INDEX_BYTES)
    words = memory.take(hidden)
    if architecture.decoder and architecture.decoder.rotary:
        return [words, *tables(memory, architecture.decoder, question.formats, length)], words
    if question.architecture.decoder:
        return [words, memory.take(positions)], memory.take(hidden)
    # The embeddings' norm reads their sum.
    if architecture.model_type == "distilbert":
        others = [memory.take(positions)]
        total = memory.take(hidden)
    else:
        others = [memory.take(hidden)]
        total = memory.take(hidden)
        # RoBERTa's positions are each sample's own.
        others.append(memory.take(positions if architecture.model_type == "bert" else hidden))
        total = memory.follow(total, hidden)
    embedded = layers.norm()
    memory.drop(total, words, *others)
    return [embedded], embedded
