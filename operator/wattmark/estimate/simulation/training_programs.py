"""Allocations of the parts of a model in a training step: its layers, and what stands behind them."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from wattmark.estimate.formats import Formats
from wattmark.estimate.simulation.allocator import SMALL_BYTES
from wattmark.estimate.simulation.tape import Gradients, Program, Tape, Value
from wattmark.estimate.simulation.trained_layer import TrainedLayer
from wattmark.estimate.simulation.trained_parts import Shape
from wattmark.estimate.transformer import Adapters
from wattmark.models import Stack


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer is and reads: all layers are equal."""

    stack: Stack
    formats: Formats
    shape: Shape
    adapters: Adapters | None
    drops_attended: bool = True

    def on(self, tape: Tape) -> TrainedLayer:
        """The layer, to be run on a tape."""
        return TrainedLayer(
            tape, self.stack, self.formats, self.shape, self.adapters, drops_attended=self.drops_attended
        )

    @property
    def hidden(self) -> int:
        """Bytes of hidden states."""
        return self.shape.tokens * self.stack.hidden * self.formats.stream

    def starts_frozen(self, *, checkpoints: bool, images: bool) -> bool:
        """Whether what the first layer is given needs no gradient: embeddings are frozen beside adapters.

        Where layers are run again transformers sees to it that embedded words need one all the same.
        """
        return self.adapters is not None and (images or not checkpoints)

    @property
    def passed_over(self) -> int:
        """Blocks of the allocator's pool of small ones do not matter where hidden states are much larger."""
        return min(SMALL_BYTES, self.hidden // 16)


@dataclass(frozen=True)
class Programs:
    """Allocations of a part of the model, and the places of tensors that go from part to part or that stay.

    `ended` is what is released when autocast ends with the forward pass. A part that does not keep what it is given for
    its way back leaves it to the caller. Of what is frozen there is no gradient, `outgoing`, and nobody may ask for it.
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


def _programs(
    tape: Tape,
    runs: TrainedLayer,
    there: tuple[Program, Program],
    edges: tuple[Value, Value],
    keeps_given: bool,
    result: int,
    product: int,
) -> Programs:
    """The programs of a part whose way back has been recorded; `edges` are what it is given and the gradient behind."""
    (forward, ended), (given, incoming) = there, edges
    return Programs(
        forward,
        ended,
        tape.program(),
        tape.places,
        given.place,
        keeps_given,
        result,
        incoming.place,
        -1 if given.gradient is None else given.gradient.place,
        runs.gradients(),
        product,
    )


@lru_cache(64)
def layer_programs(layer: Layer, *, checkpoints: bool, accumulates: bool, frozen: bool = False) -> Programs:
    """Of a layer; one that `checkpoints` saves its input alone, and runs again on the way back.

    `frozen` is one whose input needs no gradient: what its adapters read is saved, and its way back ends there.
    """
    tape = Tape(saves=not checkpoints, accumulates=accumulates, passed_over=layer.passed_over)
    runs = layer.on(tape)
    given = tape.given(layer.hidden)
    given.frozen = frozen
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
        tape.drop(result, *runs.copies)
        tape.hold_to_the_end(given)
        tape.dry = False
        again = tape.program()
    if keeps_given:
        tape.drop(given)
    incoming = tape.given(layer.hidden)
    tape.backward(result, incoming, again)
    return _programs(tape, runs, (forward, ended), (given, incoming), keeps_given, place, product)


@lru_cache(64)
def head_programs(layer: Layer, vocabulary: int, *, capped: bool, accumulates: bool) -> Programs:
    """Behind a decoder's layers: the last norm; and, on the way back, projection on the vocabulary and loss.

    Logits that are `capped` are divided, pass a tanh, and are multiplied.
    """
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
    if capped:
        logits = tape.then(tape.then(tape.then(logits), keeps=True))
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
    return _programs(tape, runs, (forward, ended), (given, incoming), keeps_given, -1, product)


@lru_cache(64)
def classifier_programs(layer: Layer, heads: tuple[int, ...], *, views: bool, accumulates: bool) -> Programs:
    """Behind an encoder's layers: the first token is read, and saved as a view or not; what is made of it is small.

    What is trained behind the layers has gradients of as many bytes as `heads`.
    """
    tape = Tape(accumulates=accumulates, passed_over=layer.passed_over)
    runs = layer.on(tape)
    given = tape.given(layer.hidden)
    last = tape.view(given, given.size) if layer.stack.post_norms else runs.norm(given)
    if layer.stack.post_norms:
        tape.record(last, (), lambda gradient: [(given, tape.held(gradient))])
    keeps_given = layer.stack.post_norms or given.holders > 1
    if keeps_given:
        tape.drop(given)
    first = tape.take(layer.hidden // layer.shape.length)
    matrices = [(runs.parameter(), size) for size in reversed(heads)]

    def rule(_: Value) -> Gradients:
        gradients = [(matrix, tape.take(size, stays=True)) for matrix, size in matrices]
        return [*gradients, (last, tape.take(layer.hidden))]

    tape.record(first, (last,) if views else (), rule)
    tape.drop(last)
    forward = tape.program()
    incoming = tape.take(first.size)
    tape.backward(first, incoming)
    tape.drop(first)
    assert given.gradient is not None
    return Programs(
        forward,
        (),
        tape.program(),
        tape.places,
        given.place,
        keeps_given,
        -1,
        incoming.place,
        given.gradient.place,
        runs.gradients(),
        0,
    )
