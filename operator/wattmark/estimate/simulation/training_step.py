"""Steps of training as a sequence of allocations: forward and backward pass, optimizer, gradients given up.

The first step leaves the optimizer's states where the first activations were; the second one finds them there, and
what it finds of freed blocks is what every later one finds.
"""

from dataclasses import dataclass

from wattmark.api.training import Optimizer
from wattmark.estimate.question import Question
from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.loading import in_order
from wattmark.estimate.simulation.sequence import ACTIVATIONS, MOST_LAYERS, Memory, masks, tables, window
from wattmark.estimate.simulation.tape import Places, Program
from wattmark.estimate.simulation.trained_inputs import INDEX_BYTES, Inputs, embedding_programs, sorted_bytes
from wattmark.estimate.simulation.trained_parts import Shape
from wattmark.estimate.simulation.training_programs import (
    Layer,
    Programs,
    classifier_programs,
    head_programs,
    layer_programs,
)
from wattmark.estimate.tensors import Units
from wattmark.models import Family, Norm, Stack

STEPS = 2
# Layers at either end that are followed in full where not all are: those between find what comes and goes in a layer
# free, and only what stays of them, and goes on the way back, is followed. With checkpointing, where most comes and
# goes, the first step's order decides what the second one finds: its way there is followed in full, and so is its way
# back where gradients come between what is computed again. Fewer at either end than these decided otherwise about whole
# segments: two left 5 % of what a RoBERTa of 12 layers reserves unseen, and saw 3 % too much of a BERT with adapters.
EDGE = 4
# How many states an optimizer keeps for each parameter; those whose steps are followed.
STATES = {Optimizer.ADAMW: 2, Optimizer.ADAMW_FUSED: 2, Optimizer.SGD: 0, Optimizer.SGD_MOMENTUM: 1}

Run = tuple[Places, Programs]  # a layer's blocks, and what it does


@dataclass(frozen=True, slots=True)
class Steps:
    """Training of a model: its layers, words, the bytes of each tensor that is trained, in order.

    `inputs` is what another model than a decoder embeds; `views` tells that a view of its first token is saved;
    `heads` are bytes of the matrices behind its layers; `capped` tells that logits are; `positions` is how many a
    decoder embeds.
    """

    layer: Layer
    vocabulary: int
    tied: bool
    checkpoints: bool
    accumulates: bool
    optimizer: Optimizer
    trained: tuple[int, ...]
    inputs: Inputs | None = None
    views: bool = True
    heads: tuple[int, ...] = ()
    capped: bool = False
    positions: int = 0

    @property
    def frozen(self) -> bool:
        """Whether the first layer's input needs no gradient."""
        images = self.inputs is not None and self.inputs.pixels > 0
        return self.layer.starts_frozen(checkpoints=self.checkpoints, images=images)

    def run(self, memory: Memory, scratch: int) -> None:
        """The first steps; the first products of either way take so many bytes of `scratch`."""
        made = False
        pixels = self.inputs.pixels if self.inputs else 0
        memory.take(pixels or self.layer.shape.tokens * INDEX_BYTES)
        for step in range(STEPS):
            gradients = self._pass(memory, 0 if step else scratch)
            if self.accumulates:
                memory.drop(*self._pass(memory, 0, accumulates=True))
            if not made:
                made = True
                for size in self.trained:
                    for _ in range(STATES[self.optimizer]):
                        memory.take(size)
            if self.optimizer is Optimizer.ADAMW:  # the roots of all second moments, as one list, freed from its end
                memory.drop(*reversed([memory.take(size) for size in self.trained]))
            memory.drop(*gradients)

    def _pass(self, memory: Memory, scratch: int, *, accumulates: bool = False) -> list[Block]:
        """Forward and backward: the gradients that are made, in the order of their parameters."""
        layer = layer_programs(self.layer, checkpoints=self.checkpoints, accumulates=accumulates)
        if self.inputs is None:
            start = None
            held, given, behind = self._embedded(memory)
            added = accumulates and not self.tied
            head = head_programs(self.layer, self.vocabulary, capped=self.capped, accumulates=added)
        else:
            embeds = embedding_programs(self.layer, self.inputs, checkpoints=self.checkpoints, accumulates=accumulates)
            start = Places(memory.allocator, embeds.places)
            start.run(embeds.forward)
            given, behind = start.at(embeds.result), None
            held = [given]
            head = classifier_programs(self.layer, self.heads, views=self.views, accumulates=accumulates)
        embedded, whole = given, self.checkpoints and scratch > 0
        first = layer
        if self.frozen:
            first = layer_programs(self.layer, checkpoints=self.checkpoints, accumulates=accumulates, frozen=True)
        layers = [first, *[layer] * (self.layer.stack.layers - 1)]
        runs = [(Places(memory.allocator, one.places), one) for one in layers]
        given = self._there(memory, runs, given, held, scratch)
        end = Places(memory.allocator, head.places)
        end.put(head.given, given)
        end.run(head.forward)
        if not head.keeps_given:
            memory.drop(given)
        kept = self._read_again(held) if self.inputs is None and self.checkpoints else []
        memory.drop(
            *(tensor for tensor in held if tensor not in kept and not (tensor is embedded and first.keeps_given))
        )
        end.run(head.ended)
        for run, one in runs:
            run.run(one.ended)
        _with_workspace(memory, end, head.backward, head.product, scratch)
        last = [end.at(place) for place in head.gradients]
        gradient = self._back(runs, end.at(head.outgoing), whole=whole)
        gradients = [run.at(place) for run, one in runs for place in one.gradients]
        if gradient is not None and start is not None:
            start.put(embeds.incoming, gradient)
            start.run(embeds.backward)
            gradients = [*(start.at(place) for place in embeds.gradients), *gradients]
        elif gradient is not None:
            if behind is not None:
                gradient = memory.follow(gradient, self.layer.hidden)
                memory.drop(*behind)
            if self.layer.adapters is None:
                own, last = self._embeddings(memory, gradient, last)
                gradients = [*own, *gradients]
            else:
                memory.drop(gradient)
        memory.drop(*kept)
        return [*gradients, *last]

    def _there(self, memory: Memory, runs: list[Run], given: Block, held: list[Block], scratch: int) -> Block:
        """The layers' forward pass: what the last one gives."""
        in_full = self.checkpoints and scratch > 0
        for number, (run, layer) in enumerate(runs):
            run.put(layer.given, given)
            if not number:
                _with_workspace(memory, run, layer.forward, layer.product, scratch)
            else:
                brief = number in range(EDGE, len(runs) - EDGE) and not in_full
                run.run(layer.brief_forward if brief else layer.forward)
            if not layer.keeps_given and given not in held:
                memory.drop(given)
            given = run.at(layer.result)
        return given

    def _back(self, runs: list[Run], gradient: Block, *, whole: bool) -> Block | None:
        """The layers' way back: the gradient that the first one gives, None where its input is frozen."""
        in_full = whole and self.layer.adapters is None
        for number, (run, layer) in reversed(list(enumerate(runs))):
            run.put(layer.incoming, gradient)
            brief = number in range(EDGE, len(runs) - EDGE) and not in_full
            run.run(layer.brief_backward if brief else layer.backward)
            if number or not self.frozen:
                gradient = run.at(layer.outgoing)
        return None if self.frozen else gradient

    def _embedded(self, memory: Memory) -> tuple[list[Block], Block, list[Block] | None]:
        """What the model holds until its forward pass ends, what the first layer is given, and what is done to that.

        The last is a dropout, by its mask, or Gemma's scaling, which saves nothing; None where there is neither on the
        way back.
        """
        stack, hidden, shape = self.layer.stack, self.layer.hidden, self.layer.shape
        words = memory.take(hidden)
        scales = stack.norm is Norm.GEMMA
        if scales:
            words = memory.follow(words, hidden)
        if stack.rotary:
            hidden_ones = [window(memory, shape.length**2)] if shape.masked else []
            if shape.eager:
                hidden_ones = masks(memory, stack, shape.length, shape.length, shape.batch * self.layer.formats.stream)
            turning = tables(memory, stack, self.layer.formats, shape.length)
            return [words, *turning, *hidden_ones], words, [] if scales else None
        held, given = [words, memory.take(hidden // shape.batch)], memory.take(hidden)
        if not stack.hidden_dropout:
            return held, given, None
        dropped, mask = memory.take(hidden), memory.take(shape.tokens * stack.hidden)
        if self.frozen:
            memory.drop(mask, given)
            return held, dropped, None
        memory.drop(given)
        return held, dropped, [mask]

    def _read_again(self, held: list[Block]) -> list[Block]:
        """What layers read to run again: tables and masks; and embedded words that are dropped out, where they are
        frozen, for they end the way back."""
        if self.layer.stack.rotary:
            return held[1:]
        return held[:1] if self.layer.adapters else []

    def _embeddings(self, memory: Memory, gradient: Block, last: list[Block]) -> tuple[list[Block], list[Block]]:
        """The embeddings', of the last `gradient`, and those of what is behind the layers.

        A tied one is added to the projection's, which comes first. Positions are those of all samples.
        """
        shape, places = self.layer.shape, []
        if self.positions:
            summed = memory.take(self.layer.hidden // shape.batch) if shape.batch > 1 else None
            places = [self._embedding(memory, self.positions, shape.length)]
            memory.drop(summed)
        made = self._embedding(memory, self.vocabulary, shape.tokens)
        memory.drop(gradient)
        if not self.tied:
            return [made, *places], last
        total = memory.take(self.vocabulary * self.layer.stack.hidden * self.layer.formats.weight)
        memory.drop(last[0], made)
        return [total, *places], last[1:]

    def _embedding(self, memory: Memory, rows: int, indices: int) -> Block:
        """The gradient of a table of which so many rows were read."""
        hidden = self.layer.stack.hidden
        made = memory.take(rows * hidden * self.layer.formats.weight)
        within = sorted_bytes(indices, rows, hidden)
        if within:
            memory.drop(memory.take(within))
        return made


def _with_workspace(memory: Memory, run: Places, program: Program, product: int, scratch: int) -> None:
    """A program with a thread's first product of matrices, which takes a workspace that stays."""
    run.run(program[:product])
    if scratch:
        memory.take(scratch)
    run.run(program[product:])


def _masked(stack: Stack, tokens: int) -> bool:
    """Whether a window is no longer than the text: the class builds a mask of it."""
    return stack.window_tokens is not None and stack.window_tokens <= tokens


def _plain_scores(stack: Stack) -> bool:
    """Whether eager attention's scores are neither dropped out nor given back, and queries turned as Llama's are."""
    turned = stack.rotary and not stack.fused_projections
    return turned and stack.fp32_softmax and not stack.attention_dropout and not stack.returns_scores


def followed(question: Question) -> bool:
    """Whether the order of a step's allocations is known: it has been compared with a trace's."""
    resolved, architecture = question.resolved, question.architecture
    if not question.training or resolved.quantization or resolved.parallelism:
        return False
    if architecture.family not in (Family.DECODER, Family.ENCODER, Family.VISION_TRANSFORMER) or architecture.audio:
        return False
    if (resolved.optimizer or Optimizer.ADAMW) not in STATES:
        return False
    ((stack, run),) = question.passes
    some = not run.eager and _masked(stack, run.tokens) and stack.window_layers < stack.layers
    odd = (run.eager and not _plain_scores(stack)) or stack.relative_span or some
    other = (stack.rotary and stack.hidden_dropout) or stack.layers > MOST_LAYERS or architecture.projected_embeddings
    many = stack.gated and stack.activation == "gelu_new"  # written out step by step, which is followed without a gate
    return not odd and not other and not many and stack.activation in ACTIVATIONS


def steps(question: Question, found: Units) -> Steps:
    """The steps that are asked about, of a question that is `followed`, with the model's parameters."""
    ((stack, run),) = question.passes
    architecture = question.architecture
    parts = in_order(question, found)
    (_, embeds), *others = parts
    if question.pixel_bytes:  # a module's own parameters are named before those of what is in it, and moved behind them
        embeds = (*embeds[2:], *embeds[:2])
    tensors = (tensor for count, inner in ((1, embeds), *others) for _ in range(count) for tensor in inner)
    (_, behind) = parts[-1]
    size = question.formats.weight
    return Steps(
        Layer(
            stack,
            question.formats,
            Shape(question.batch, run.tokens, not run.eager and _masked(stack, run.tokens), run.eager),
            question.adapters,
            not stack.attended_undropped,
        ),
        question.architecture.vocab or 0,
        question.tied,
        question.checkpoints,
        question.accumulates,
        question.resolved.optimizer or Optimizer.ADAMW,
        tuple(tensor.elements * size for tensor in tensors if tensor.trained for _ in range(tensor.count)),
        _inputs(question) if architecture.family is not Family.DECODER else None,
        # RoBERTa drops out what it reads of the first token, autocast's copy is read, and frozen matrices save nothing.
        not architecture.own_positions and not question.formats.mixed and question.adapters is None,
        tuple(tensor.elements * size for tensor in behind if tensor.trained and tensor.columns > 1),
        architecture.capped_logits,
        (architecture.max_positions or 0) if architecture.family is Family.DECODER and not stack.rotary else 0,
    )


def _inputs(question: Question) -> Inputs:
    """What a classifier embeds."""
    stored = (weight for weight in question.fixed.weights if weight.name.startswith("embeddings."))
    found = {weight.name.removeprefix("embeddings."): weight for weight in stored}
    words, types, positions = (
        found[name].outputs if name in found else 0 for name in ("word", "token_type", "position")
    )
    kernel = found["patch"].outputs * found["patch"].inputs if "patch" in found else 0
    return Inputs(words, types, positions, question.architecture.own_positions, question.pixel_bytes, kernel)
