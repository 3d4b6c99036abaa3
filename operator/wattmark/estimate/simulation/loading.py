"""How a model comes onto the device: its parameters one after another, and what is made beside them."""

from dataclasses import dataclass
from functools import lru_cache

from wattmark.estimate.parts import Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.simulation.allocator import Allocator, Block
from wattmark.estimate.tensors import Tensor, Units, units
from wattmark.models import Head, Kind, Norm

Parts = tuple[tuple[int, tuple[Tensor, ...]], ...]  # how often a part comes, and its parameters

LAYERS = 1  # their place among a model's parts
# Behind which of so many parts a copy of the embedding is initialised that is tied then: the projection; with two sides
# one of each as well.
TIED_PLACES = {3: (2,), 5: (0, 2, 4)}


def loaded(question: Question, found: Units, limit: int | None = None) -> Allocator:
    """An allocator that holds the model, on a device of so many bytes, of which loading takes no notice."""
    return _weights(question, found).settled(limit)


def rests_of_blocks(question: Question) -> int:
    """Bytes by which the blocks of the parameters exceed them, 0 where these are not known one by one, or divided.

    The allocator hands out a block whole where less than 1 MiB would be left of it: of matrices of some MiB, by
    hundredths of their size.
    """
    found = _known(question)
    if found is None:
        return 0
    asked = sum(tensor.elements * tensor.count for tensor in found.every) * question.formats.weight
    return max(0, _weights(question, found).allocated - asked - question.architecture.table_bytes)


def peak(question: Question) -> int:
    """Bytes that are reserved at most while it is loaded, tied matrices twice; 0 where parameters are not known so."""
    found = _known(question)
    return 0 if found is None else _weights(question, found).reserved_peak


def _known(question: Question) -> Units | None:
    """The parameters one by one; None where they are not known so, or quantized or divided."""
    if question.resolved.quantization or question.resolved.parallelism:
        return None
    found = units(question, shared=True)
    return None if isinstance(found, Unknown) else found


def _weights(question: Question, found: Units) -> Allocator:
    untied = question.projection if question.architecture.tied and not question.pretrained else 0
    stack, _ = question.passes[-1]
    tables = Tables(question.architecture.table_bytes // stack.layers, stack.rotary, stack.local_layers)
    parts = in_order(question, found)
    # Without a head there is no projection that a copy is initialised for: only the sides' own embeddings.
    places = TIED_PLACES[len(parts)][: -1 if question.head is Head.BASE else None] if untied else ()
    return _loaded(parts, tables, untied, places, question.formats.weight)


def in_order(question: Question, found: Units) -> Parts:
    """The parameters as the class has them, each part with how often it comes: embeddings, layers, what is behind.

    Of two sides each has its layers, and a bias and a norm of its own around them.
    """
    if len(found.layers) > 1:
        words, bias, norm, *behind = found.rest
        one, other = found.layers
        return (1, (words, bias)), one, (1, (norm, behind[0])), other, (1, tuple(behind[1:]))
    ((stack, _),) = question.passes
    embeddings = (weight for weight in question.fixed.weights if weight.name.startswith("embeddings."))
    first = sum(2 if weight.bias and weight.kind is not Kind.OTHER else 1 for weight in embeddings)
    ((count, inner),) = found.layers
    if stack.fused_projections and question.adapters is None:
        # One matrix for query, key and value is told last. Phi-3's, without a bias, comes behind attention's other one.
        joint, place = (2, 0) if stack.norm is Norm.LAYER else (1, 1)
        others, last = inner[:-joint], inner[-joint:]
        inner = (*others[:place], *last, *others[place:])
    return (1, found.rest[:first]), (count, inner), (1, found.rest[first:])


@dataclass(frozen=True, slots=True)
class Tables:
    """Of so many bytes, which each layer has: sines and cosines, or masks, some of which hide more than the future."""

    size: int
    turning: bool
    local: int

    def make(self, allocator: Allocator, layer: int, layers: int) -> None:
        """Of angles come sines and cosines, and of these a table (create_sinusoidal_positions of GPT-J).

        One mask is made of another; a local one of that and another such pair (GPTNeoSelfAttention).
        """
        if not self.size:
            return
        if self.turning:
            halves = [allocator.allocate(self.size // 2) for _ in range(3)]
            allocator.allocate(self.size)
            for half in halves:
                allocator.release(half)
            return
        raw, made = allocator.allocate(self.size), allocator.allocate(self.size)
        allocator.release(raw)
        if (layer + 1) * self.local // layers > layer * self.local // layers:
            raw = allocator.allocate(self.size)
            allocator.allocate(self.size)
            allocator.release(made)
            allocator.release(raw)


# The same for every batch and length.
@lru_cache(64)
def _loaded(parts: Parts, tables: Tables, untied: int, places: tuple[int, ...], size: int) -> Allocator:
    """The weights, one after another; what is tied once it is initialised is there until all are."""
    allocator, copies = Allocator(), list[Block]()
    for place, (count, inner) in enumerate(parts):
        for layer in range(count):
            if place == LAYERS:
                tables.make(allocator, layer, count)
            for tensor in inner:
                for _ in range(tensor.count):
                    allocator.allocate(tensor.elements * size)
        if place in places:
            copies.append(allocator.allocate(untied * size))
    for copy in copies:
        allocator.release(copy)
    allocator.empty_cache()
    return allocator
