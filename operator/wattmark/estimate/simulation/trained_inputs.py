"""Allocations of what stands before the layers in a training step: embeddings of words, or patches of images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from wattmark.estimate.simulation.tape import Gradients, Tape, Value
from wattmark.estimate.simulation.trained_layer import TrainedLayer
from wattmark.estimate.simulation.training_programs import Layer, Programs

INDEX_BYTES = 8
FEW_INDICES = 3072  # up to here an embedding's gradient is summed without temporaries (Embedding.cu)


def sorted_bytes(indices: int, rows: int, hidden: int) -> int:
    """What an embedding's gradient takes for itself: sums of rows in fp32, and indices in order."""
    if indices <= FEW_INDICES:
        return 0
    return min(indices, rows + indices // 10) * hidden * 4 + 4 * indices * INDEX_BYTES


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
