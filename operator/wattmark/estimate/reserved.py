"""What the caching allocator takes from the device in a forward pass: its allocations, simulated one after another.

Described are the passes whose order of allocations has been compared with a trace's: in inference on one device, those
of encoders, vision transformers and decoders with fused attention, whose layers have norms ahead, behind or side by
side, without a window that is shorter than the input. Of everything else (training, generation, encoder-decoders,
eager attention, mixtures, quantized matrices, several devices, static caches, analyses, convolutions) reserved memory
stays a share of what is allocated.
"""

from functools import lru_cache

from wattmark.api.model import Weights
from wattmark.api.workload import WorkloadType
from wattmark.estimate.allocator import Allocator, Block
from wattmark.estimate.parts import Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.sequence import ACTIVATIONS, Layers, Memory
from wattmark.estimate.tensors import Tensor, units
from wattmark.models import Family

INDEX_BYTES = 8
SETTLED = 8  # layers


def reserved(question: Question, scratch: int) -> int | None:
    """Bytes reserved at most, `scratch` bytes of a library's workspace included; None where no order is known."""
    if not _described(question):
        return None
    found = units(question)
    if isinstance(found, Unknown):
        return None
    untied = question.projection if question.architecture.tied and question.weights is Weights.RANDOM else 0
    memory = Memory(_loaded(found.rest, found.layers, untied, question.formats.weight).settled())
    _forward(question, memory, scratch)
    return memory.allocator.reserved_peak


def _described(question: Question) -> bool:
    resolved, architecture = question.resolved, question.architecture
    if resolved.workload_type is not WorkloadType.INFERENCE or resolved.quantization or resolved.parallelism:
        return False
    if architecture.family not in (Family.ENCODER, Family.VISION_TRANSFORMER, Family.DECODER):
        return False
    if architecture.audio or architecture.projected_embeddings or question.output_tokens or question.static_tokens:
        return False
    ((stack, run),) = question.passes()
    short = stack.window_tokens is not None and stack.window_tokens < run.tokens
    odd = run.eager or stack.experts or stack.norms_behind or stack.position_bias or short
    return not odd and stack.activation in ACTIVATIONS


# The same for every batch and length.
@lru_cache(64)
def _loaded(
    outside: tuple[Tensor, ...], layers: tuple[tuple[int, tuple[Tensor, ...]], ...], untied: int, size: int
) -> Allocator:
    """The weights, one after another; a projection that is tied once it is initialised is there for a moment."""
    allocator = Allocator()
    tensors = [*outside, *(tensor for count, inner in layers for _ in range(count) for tensor in inner)]
    for tensor in tensors:
        for _ in range(tensor.count):
            allocator.allocate(tensor.elements * size)
    if untied:
        allocator.release(allocator.allocate(untied * size))
    allocator.empty_cache()
    return allocator


def _forward(question: Question, memory: Memory, scratch: int) -> None:
    """One forward pass, as it leaves the first time; later ones find the blocks of the one before."""
    ((stack, run),) = question.passes()
    tokens = question.batch * run.tokens
    holds_context = question.architecture.model_type != "distilbert"
    layers = Layers(memory, stack, question.formats, tokens, scratch=scratch, holds_context=holds_context)
    embedded, given = _embedded(question, memory, layers, run.tokens)
    # Without a cache the layers soon use the same blocks over and over.
    for _ in range(stack.layers if stack.causal else min(stack.layers, SETTLED)):
        given = layers.layer(given, last_use=given is not embedded)
    if not stack.post_norms:
        layers.norm()
        memory.drop(given)
    if question.projection:
        memory.take(question.batch * (question.architecture.vocab or 0) * question.formats.compute)


def _embedded(question: Question, memory: Memory, layers: Layers, length: int) -> tuple[Block, Block]:
    """What the model holds of its embeddings until it ends, and what the first layer is given."""
    architecture, hidden = question.architecture, layers.hidden
    positions = hidden // question.batch
    if question.pixel_bytes:
        memory.take(question.pixel_bytes)
        patches = memory.take(hidden // length * (length - 1))
        embedded = memory.follow(memory.follow(patches, hidden), hidden)
        return embedded, embedded
    memory.take(layers.tokens * INDEX_BYTES)
    words = memory.take(hidden)
    if layers.turns:
        layers.tables(length)
        return words, words
    if question.architecture.decoder:
        memory.take(positions)
        return words, memory.take(hidden)
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
    return embedded, embedded
