"""Allocations of the parts of a model in a training step: embeddings, layers, what stands behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from wattmark.estimate.formats import Formats
from wattmark.estimate.simulation.allocator import SMALL_BYTES
from wattmark.estimate.simulation.tape import Gradients, Program, Tape, Value
from wattmark.estimate.simulation.trained_layer import TrainedLayer
from wattmark.estimate.simulation.trained_parts import Shape
from wattmark.estimate.transformer import Adapters
from wattmark.models import Stack

INDEX_BYTES = 8
FEW_INDICES = 3072  # up to here an embedding's gradient is summed without temporaries (Embedding.cu)


def sorted_bytes(indices: int, rows: int, hidden: int) -> int:
    """What an embedding's gradient takes for itself: sums of rows in fp32, and indices in order."""
    if indices <= FEW_INDICES:
        return 0
    return min(indices, rows + indices // 10) * hidden * 4 + 4 * indices * INDEX_BYTES


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


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an encoder or a vision transformer embeds: rows of tables of words, types and positions, or images.

    `types` is 0 where there are none; `own_positions` tells that each sample has its own; `pixels` are bytes of the
    images that the patches' convolution reads, 0 of a text, and `kernel` are its elements.
    """

    words: int
    types: int
    positions: int
    own_positions: bool
    pixels: int
    kernel: int


@lru_cache(64)
def embedding_programs(layer: Layer, inputs: Inputs, *, checkpoints: bool, accumulates: bool) -> Programs:
    """Of an encoder: sums of embeddings, normalized; or of a vision transformer: patches, a class token, positions.

    Frozen ones have no way back, but where layers are run again, to the words' embeddings.
    """
    reached = not layer.starts_frozen(checkpoints=checkpoints, images=inputs.pixels > 0)
    tape = Tape(saves=reached, accumulates=accumulates, passed_over=layer.passed_over)
    runs = layer.on(tape)
    result = _patches(tape, runs, layer, inputs) if inputs.pixels else _texts(tape, runs, layer, inputs)
    place = result.place
    forward = tape.program()
    incoming = tape.given(layer.hidden)
    if reached:
        tape.backward(result, incoming)
    return Programs(
        forward, (), tape.program(), tape.places, -1, True, place, incoming.place, -1, tuple(runs.gradients()), 0
    )


def _texts(tape: Tape, runs: TrainedLayer, layer: Layer, inputs: Inputs) -> Value:
    shape, formats, width = layer.shape, layer.formats, layer.stack.hidden

    def looked_up(rows: int, indices: int, *, first: bool = False) -> Value:
        made = tape.take(indices * width * formats.stream)
        if layer.adapters is None:
            size, within = rows * width * formats.weight, sorted_bytes(indices, rows, width)
            tape.record(made, (), _table(tape, runs.parameter(), size, within))
        else:  # the way back ends here: what it ends in is held till then
            tape.record(made, (made,) if first else (), lambda _: [])
        return made

    parts = [looked_up(inputs.words, shape.tokens, first=True)]
    total = parts[0]
    if inputs.types:
        parts.append(looked_up(inputs.types, shape.tokens))
        total = tape.add(total, parts[1])
    parts.append(looked_up(inputs.positions, shape.tokens if inputs.own_positions else shape.length))
    whole = tape.add(total, parts[-1])
    if inputs.types:
        tape.drop(total)
    normed = runs.norm(whole)
    tape.drop(whole)
    result = runs.dropped(normed)
    tape.drop(*parts)
    return result


def _table(tape: Tape, table: Value, size: int, within: int) -> Callable[[Value], Gradients]:
    def rule(_: Value) -> Gradients:
        gradient = tape.take(size, stays=True)
        if within:
            tape.drop(tape.take(within))
        return [(table, gradient)]

    return rule


def _patches(tape: Tape, runs: TrainedLayer, layer: Layer, inputs: Inputs) -> Value:
    """What a convolution makes of images, behind a class token, and with positions."""
    formats, length, trained = layer.formats, layer.shape.length, layer.adapters is None
    positions, weight = runs.parameter(), runs.parameter()
    compute = layer.shape.tokens * layer.stack.hidden * formats.compute
    read = [tape.take(inputs.pixels // 2)] if formats.mixed else []
    kernel = runs.lowered(weight, inputs.kernel, trained=trained) if formats.mixed else weight
    patches = tape.take(compute // length * (length - 1))
    tape.record(
        patches, read, lambda _: [(kernel, tape.take(inputs.kernel * formats.compute, stays=not formats.mixed))]
    )
    tape.drop(*read, *([] if trained or not formats.mixed else [kernel]))
    joined, mixed = tape.take(layer.hidden), formats.mixed
    tape.record(
        joined,
        (),
        lambda gradient: [(patches, tape.take(patches.size) if mixed else tape.view(gradient, patches.size))],
    )
    tape.drop(patches)
    result = tape.take(layer.hidden)
    placed = length * layer.stack.hidden * formats.weight
    tape.record(
        result, (), lambda gradient: [(joined, tape.held(gradient)), (positions, tape.take(placed, stays=True))]
    )
    tape.drop(joined)
    return result


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
