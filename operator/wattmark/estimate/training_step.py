"""Steps of training as a sequence of allocations: forward and backward pass, optimizer, gradients given up.

The first step leaves the optimizer's states where the first activations were; the second one finds them there, and
what it finds of freed blocks is what every later one finds.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from wattmark.api.training import Optimizer
from wattmark.estimate.allocator import SMALL_BYTES, Block
from wattmark.estimate.formats import Formats
from wattmark.estimate.question import Question
from wattmark.estimate.sequence import ACTIVATIONS, MOST_LAYERS, NEOX_TURNED, Memory
from wattmark.estimate.tape import Places, Program, Tape
from wattmark.estimate.tensors import Tensor, Units
from wattmark.estimate.trained_layer import TrainedLayer
from wattmark.estimate.trained_parts import Shape
from wattmark.estimate.transformer import Adapters
from wattmark.models import Family, Norm, Stack

STEPS = 2
# Layers at either end that are followed in full where not all are: those between find what comes and goes in a layer
# free, and only what stays of them, and goes on the way back, is followed. With checkpointing, where most comes and
# goes, the first step's order decides what the second one finds: its way there is followed in full, and so is its way
# back where gradients come between what is computed again. In models of 12 to 32 layers that changes what is reserved
# by 0.8 % at most, and takes a third to two thirds of the time.
EDGE = 2
INDEX_BYTES = 8
FEW_INDICES = 3072  # up to here an embedding's gradient is summed without temporaries (Embedding.cu)
# How many states an optimizer keeps for each parameter; those whose steps are followed.
STATES = {Optimizer.ADAMW: 2, Optimizer.ADAMW_FUSED: 2, Optimizer.SGD: 0, Optimizer.SGD_MOMENTUM: 1}


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer is and reads: all layers are equal."""

    stack: Stack
    formats: Formats
    shape: Shape
    adapters: Adapters | None

    def on(self, tape: Tape) -> TrainedLayer:
        """The layer, to be run on a tape."""
        return TrainedLayer(tape, self.stack, self.formats, self.shape, self.adapters)

    @property
    def hidden(self) -> int:
        """Bytes of hidden states."""
        return self.shape.tokens * self.stack.hidden * self.formats.stream

    @property
    def passed_over(self) -> int:
        """Blocks of the allocator's pool of small ones do not matter where hidden states are much larger."""
        return min(SMALL_BYTES, self.hidden // 16)


@dataclass(frozen=True)
class Programs:
    """Allocations of a part of the model, and the places of tensors that go from part to part or that stay.

    `ended` is what is released when autocast ends with the forward pass. A part that does not keep what it is given for
    its way back leaves it to the caller.
    """

    forward: Program
    ended: Program
    backward: Program
    places: int
    given: int
    keeps_given: bool
    result: int
    incoming: int
    outgoing: int
    gradients: tuple[int, ...]
    product: int  # how much of the first way, or of the head's way back, is done before the first product of matrices

    @cached_property
    def brief_forward(self) -> Program:
        """What stays of the way there."""
        return _without(self.forward, {place for place, size in self.forward if not size})

    @cached_property
    def brief_backward(self) -> Program:
        """What stays of the way back, and what is gone then."""
        released = {place for place, size in self.backward if not size}
        return _without(self.backward, {place for place, size in self.backward if size and place in released})


def _without(program: Program, places: set[int]) -> Program:
    return tuple(event for event in program if event[0] not in places)


@lru_cache(64)
def layer_programs(layer: Layer, *, checkpoints: bool, accumulates: bool) -> Programs:
    """Of a layer; one that `checkpoints` saves its input alone, and runs again on the way back."""
    tape = Tape(saves=not checkpoints, accumulates=accumulates, passed_over=layer.passed_over)
    runs = layer.on(tape)
    given = tape.given(layer.hidden)
    result = runs.run(given)
    place, keeps_given = result.place, checkpoints or given.holders > 1
    product = tape.product
    forward = tape.program()
    tape.drop(*runs.copies)
    ended = tape.program()
    again: Program = ()
    if checkpoints:
        tape.resume()
        runs = layer.on(tape)
        result = runs.run(given, again=True)
        tape.drop(*runs.copies)
        tape.hold_to_the_end(given)
        tape.dry = False
        again = tape.program()
    if keeps_given:
        tape.drop(given)
    incoming = tape.given(layer.hidden)
    tape.backward(result, incoming, again)
    assert given.gradient is not None
    return Programs(
        forward,
        ended,
        tape.program(),
        tape.places,
        given.place,
        keeps_given,
        place,
        incoming.place,
        given.gradient.place,
        runs.gradients(),
        product,
    )


@lru_cache(64)
def head_programs(layer: Layer, vocabulary: int, *, accumulates: bool) -> Programs:
    """Behind a decoder's layers: the last norm; and, on the way back, projection on the vocabulary and loss."""
    tape = Tape(accumulates=accumulates, passed_over=layer.passed_over)
    runs = layer.on(tape)
    given = tape.given(layer.hidden)
    normed = runs.norm(given)
    keeps_given = given.holders > 1
    if keeps_given:
        tape.drop(given)
    forward = tape.program()
    elements = layer.shape.tokens * vocabulary
    logits = runs.linear(normed, layer.stack.hidden, vocabulary)
    raised = tape.apply(logits, elements * 4) if layer.formats.compute < 4 else logits
    likely = tape.apply(raised, None, keeps=True)
    if raised is not logits:
        tape.drop(raised)
    tape.drop(normed)
    ended = tape.program()
    if layer.formats.mixed:  # accelerate raises what the model gives
        tape.drop(tape.take(elements * 4))
    tape.drop(logits, *runs.copies)
    incoming = tape.take(elements * 4)
    tape.drop(likely)
    tape.backward(likely, incoming)
    product = tape.product
    assert given.gradient is not None
    return Programs(
        forward,
        ended,
        tape.program(),
        tape.places,
        given.place,
        keeps_given,
        -1,
        incoming.place,
        given.gradient.place,
        runs.gradients(),
        product,
    )


@dataclass(frozen=True, slots=True)
class Steps:
    """Training of a decoder: its layers, words, the bytes of each tensor that is trained, in order."""

    layer: Layer
    vocabulary: int
    tied: bool
    checkpoints: bool
    accumulates: bool
    optimizer: Optimizer
    trained: tuple[int, ...]

    def run(self, memory: Memory, scratch: int) -> None:
        """The first steps; the first products of either way take so many bytes of `scratch`."""
        made = False
        memory.take(self.layer.shape.tokens * INDEX_BYTES)
        for step in range(STEPS):
            gradients = self._pass(memory, 0 if step else scratch)
            if self.accumulates:
                memory.drop(*self._pass(memory, 0, accumulates=True))
            if not made:
                made = True
                for size in self.trained:
                    for _ in range(STATES[self.optimizer]):
                        memory.take(size)
            if self.optimizer is Optimizer.ADAMW:  # the roots of all second moments, as one list
                memory.drop(*[memory.take(size) for size in self.trained])
            memory.drop(*gradients)

    def _pass(self, memory: Memory, scratch: int, *, accumulates: bool = False) -> list[Block]:
        """Forward and backward: the gradients that are made."""
        layer = layer_programs(self.layer, checkpoints=self.checkpoints, accumulates=accumulates)
        head = head_programs(self.layer, self.vocabulary, accumulates=accumulates and not self.tied)
        held, given, mask = self._embedded(memory)
        embedded, whole = given, self.checkpoints and scratch > 0
        runs = [Places(memory.allocator, layer.places) for _ in range(self.layer.stack.layers)]
        middle = range(EDGE, len(runs) - EDGE)
        for number, run in enumerate(runs):
            run.put(layer.given, given)
            if not number:
                self._first(memory, run, layer.forward, layer.product, scratch)
            else:
                run.run(layer.forward if whole or number not in middle else layer.brief_forward)
            if not layer.keeps_given and given not in held:
                memory.drop(given)
            given = run.at(layer.result)
        end = Places(memory.allocator, head.places)
        end.put(head.given, given)
        end.run(head.forward)
        if not head.keeps_given:
            memory.drop(given)
        kept = [tensor for tensor in held[1:] if self.checkpoints]  # what each layer reads to run again
        memory.drop(
            *(tensor for tensor in held if tensor not in kept and not (tensor is embedded and layer.keeps_given))
        )
        end.run(head.ended)
        for run in runs:
            run.run(layer.ended)
        self._first(memory, end, head.backward, head.product, scratch)
        gradients = [end.at(place) for place in head.gradients]
        gradient = end.at(head.outgoing)
        for number, run in reversed(list(enumerate(runs))):
            run.put(layer.incoming, gradient)
            run.run(
                layer.backward
                if (whole and self.layer.adapters is None) or number not in middle
                else layer.brief_backward
            )
            gradient = run.at(layer.outgoing)
            gradients += [run.at(place) for place in layer.gradients]
        if mask is not None:
            gradient = memory.follow(gradient, self.layer.hidden)
            memory.drop(mask)
        if self.layer.adapters is None:
            gradients = self._embeddings(memory, gradients)
        memory.drop(gradient, *kept)
        return gradients

    @staticmethod
    def _first(memory: Memory, run: Places, program: Program, product: int, scratch: int) -> None:
        """A program with the first product of a thread, which takes a workspace that stays."""
        run.run(program[:product])
        if scratch:
            memory.take(scratch)
        run.run(program[product:])

    def _embedded(self, memory: Memory) -> tuple[list[Block], Block, Block | None]:
        """What the model holds until its forward pass ends, what the first layer is given, and a dropout's mask."""
        stack, hidden, shape = self.layer.stack, self.layer.hidden, self.layer.shape
        words = memory.take(hidden)
        if stack.rotary:
            hidden_ones = [self._window(memory)] if shape.masked else []
            tables = self._tables(memory)
            return [words, *tables, *hidden_ones], words, None
        held, given = [words, memory.take(hidden // shape.batch)], memory.take(hidden)
        if not stack.hidden_dropout:
            return held, given, None
        dropped, mask = memory.take(hidden), memory.take(shape.tokens * stack.hidden)
        memory.drop(given)
        return held, dropped, mask

    def _window(self, memory: Memory) -> Block:
        """What a window hides: not so late, not too early, and both, a byte for each pair of tokens."""
        pairs = self.layer.shape.length**2
        later = memory.take(pairs)
        within = memory.take(pairs)
        memory.drop(later)
        earlier = memory.take(pairs)
        both = memory.take(pairs)
        memory.drop(earlier, within)
        return both

    def _tables(self, memory: Memory) -> list[Block]:
        """Cosines and sines of the positions, computed in fp32."""
        stack, formats, length = self.layer.stack, self.layer.formats, self.layer.shape.length
        elements = length * stack.head_dim // (NEOX_TURNED if stack.parallel else 1)
        angles = [memory.take(elements // 2 * 4), memory.take(elements * 4)]
        tables = []
        for _ in range(2):
            wave = memory.take(elements * 4)
            tables.append(memory.take(elements * 4))
            memory.drop(wave)
        wide = tables if formats.stream < 4 else []
        if wide:
            tables = [memory.take(elements * formats.stream) for _ in wide]
        memory.drop(*angles, *wide)
        return tables

    def _embeddings(self, memory: Memory, gradients: list[Block]) -> list[Block]:
        """With the embedding's gradient; of a tied one it is added to the projection's, which comes first."""
        stack, tokens = self.layer.stack, self.layer.shape.tokens
        size = self.vocabulary * stack.hidden * self.layer.formats.weight
        made = memory.take(size)
        if tokens > FEW_INDICES:
            rows = min(tokens, self.vocabulary + tokens // 10)
            memory.drop(memory.take(rows * stack.hidden * 4 + 4 * tokens * INDEX_BYTES))
        if not self.tied:
            return [*gradients, made]
        total = memory.take(size)
        memory.drop(gradients[0], made)
        return [*gradients[1:], total]


def _masked(stack: Stack, tokens: int) -> bool:
    """Whether a window is no longer than the text: the class builds a mask of it."""
    return stack.window_tokens is not None and stack.window_tokens <= tokens


def followed(question: Question) -> bool:
    """Whether the order of a step's allocations is known: it has been compared with a trace's."""
    resolved, architecture = question.resolved, question.architecture
    if not question.training or resolved.quantization or resolved.parallelism:
        return False
    if architecture.family is not Family.DECODER or architecture.projected_embeddings or architecture.capped_logits:
        return False
    if (resolved.optimizer or Optimizer.ADAMW) not in STATES:
        return False
    ((stack, run),) = question.passes
    some = _masked(stack, run.tokens) and stack.window_layers < stack.layers
    odd = run.eager or stack.experts or stack.norms_behind or stack.post_norms or stack.position_bias or some
    other = (stack.rotary and stack.hidden_dropout) or stack.layers > MOST_LAYERS
    return not odd and not other and stack.activation in ACTIVATIONS


def _in_order(inner: tuple[Tensor, ...], stack: Stack) -> tuple[Tensor, ...]:
    """A layer's parameters as its class has them: one matrix for query, key and value is not the last one there."""
    if not stack.fused_projections:
        return inner
    joint = 2 if stack.norm is Norm.LAYER else 1  # it, and its bias
    place = 0 if stack.norm is Norm.LAYER else 1  # Phi-3's comes behind attention's other matrix
    others, last = inner[:-joint], inner[-joint:]
    return (*others[:place], *last, *others[place:])


def steps(question: Question, found: Units) -> Steps:
    """The steps that are asked about, of a question that is `followed`, with the model's parameters."""
    ((stack, run),) = question.passes
    first, *last = found.rest  # the embedding; what stands behind the layers
    ((count, inner),) = found.layers
    layers = _in_order(inner, stack) * count
    size = question.formats.weight
    return Steps(
        Layer(
            stack, question.formats, Shape(question.batch, run.tokens, _masked(stack, run.tokens)), question.adapters
        ),
        question.architecture.vocab or 0,
        question.architecture.tied,
        question.checkpoints,
        question.accumulates,
        question.resolved.optimizer or Optimizer.ADAMW,
        tuple(t.elements * size for t in (first, *layers, *last) if t.trained for _ in range(t.count)),
    )
