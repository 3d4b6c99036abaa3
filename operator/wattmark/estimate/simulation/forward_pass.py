"""A forward pass through one stack of layers, and what is generated then, as a sequence of allocations."""

from dataclasses import replace

from wattmark.estimate.question import Question
from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.forward_layer import ForwardLayers
from wattmark.estimate.simulation.sequence import INDEX_BYTES, Cache, Memory, masks, tables, window
from wattmark.estimate.transformer import windowed
from wattmark.models import Norm

SETTLED = 8  # layers
STEPS = 6  # of a generation that are followed


def forward(question: Question, memory: Memory, scratch: int) -> None:
    """Forward passes, with what is generated then: as many as it takes until later ones find blocks for all.

    What is made once comes first. Scores, masks and experts' results are of many sizes: where the first pass had cut a
    block in two, the second one may want it whole.
    """
    ((stack, run),) = question.passes
    memory.take(question.pixel_bytes or question.batch * run.tokens * INDEX_BYTES)
    _pass(question, memory, scratch)
    if run.eager or stack.experts or windowed(stack, run):
        _pass(question, memory, 0)


def _pass(question: Question, memory: Memory, scratch: int) -> None:
    ((stack, run),) = question.passes
    cache = Cache(memory, stack)
    layers = ForwardLayers(memory, stack, question.formats, question.batch, run, cache, scratch=scratch)
    held, given = _embedded(question, memory, layers)
    # Without a cache the layers soon use the same blocks over and over.
    for _ in range(stack.layers if stack.causal else min(stack.layers, SETTLED)):
        given = layers.layer(given, last_use=given not in held)
    result = given if stack.post_norms else layers.norm()
    memory.drop(*(tensor for tensor in (given, *held) if tensor is not result))
    layers.end()
    if question.projection:
        result = memory.follow(result, *_logits(question))
        result = _generate(question, memory, cache, result)
    memory.drop(result)
    cache.clear()


def logit_bytes(question: Question, tokens: int) -> int:
    """Of the logits of so many tokens."""
    return tokens * (question.architecture.vocab or 0) * question.formats.compute


def _logits(question: Question) -> list[int]:
    """Of the last position alone; capped ones are divided, pass a tanh, and are multiplied."""
    return [logit_bytes(question, question.batch)] * (4 if question.architecture.capped_logits else 1)


def generated(question: Question) -> list[int]:
    """Steps of a generation, in order, that stand for all: counted from the first one behind the prefill.

    What a layer holds is small beside the caches, and the same at each step; so is what a step adds.
    """
    steps = max(0, question.output_tokens - 1)
    followed = min(steps, STEPS)
    return [steps * step // followed for step in range(1, followed + 1)]


def _generate(question: Question, memory: Memory, cache: Cache, logits: Block) -> Block:
    """One token of each sample after another: the caches grow, and the last layer runs. Gives the last logits."""
    ((stack, run),) = question.passes
    formats, batch = question.formats, question.batch
    for step in generated(question):
        now = replace(run, tokens=1, keys=question.input_tokens + step)
        hidden = masks(memory, stack, 1, now.keys, batch * formats.stream) if run.eager else []
        layers = ForwardLayers(memory, stack, formats, batch, now, cache)
        for _ in range(stack.layers - 1):
            layers.grow()
        memory.drop(layers.layer(memory.take(layers.hidden), last_use=True), *hidden)
        layers.end()
        # What the step before gave is there until this one gives its own.
        logits = memory.follow(logits, *_logits(question))
    return logits


def _embedded(question: Question, memory: Memory, layers: ForwardLayers) -> tuple[list[Block], Block]:
    """What the model holds of its embeddings until it ends, and what the first layer is given."""
    if question.pixel_bytes:
        length = question.input_tokens
        patches = memory.take(layers.hidden // length * (length - 1))
        embedded = memory.follow(memory.follow(patches, layers.hidden), layers.hidden)
        return [embedded], embedded
    if question.architecture.decoder:
        return _words(question, memory, layers.hidden)
    return _sentences(question, memory, layers)


def _words(question: Question, memory: Memory, hidden: int) -> tuple[list[Block], Block]:
    """Of a decoder: words, which Gemma scales, with positions, or tables that turn by them; and masks where eager."""
    ((stack, run),) = question.passes
    hidden_ones = list[Block]()

    def mask() -> None:
        if run.eager:
            size = question.batch * question.formats.stream
            hidden_ones.extend(masks(memory, stack, run.tokens, run.keys, size))
        elif windowed(stack, run):
            hidden_ones.append(window(memory, run.tokens * run.keys))

    words = memory.take(hidden)
    if stack.norm is Norm.GEMMA:
        words = memory.follow(words, hidden)
    if not question.architecture.position_table:
        mask()
        turning = [] if stack.returns_scores else tables(memory, stack, question.formats, run.tokens)
        return [words, *hidden_ones, *turning], words
    if stack.unfused_attention:  # GPT-Neo makes its mask first, GPT-2 last
        mask()
    positions = memory.take(hidden // question.batch)
    total = memory.take(hidden)
    if not stack.unfused_attention:
        mask()
    return [words, positions, *hidden_ones], total


def _sentences(question: Question, memory: Memory, layers: ForwardLayers) -> tuple[list[Block], Block]:
    """Of an encoder: the sum of embeddings, normalized; ALBERT's are narrow, and a matrix widens them."""
    architecture, hidden = question.architecture, layers.hidden
    tables = {weight.name: weight.inputs for weight in architecture.body if weight.name.startswith("embeddings.")}
    size = layers.tokens * tables["embeddings.word"] * question.formats.compute
    words = memory.take(size)
    places = size if architecture.own_positions else size // question.batch
    if "embeddings.token_type" in tables:
        others = [memory.take(size)]
        total = memory.take(size)
        others.append(memory.take(places))
        total = memory.follow(total, size)
    else:
        others = [memory.take(places)]
        total = memory.take(size)
    embedded = layers.norm(size)
    memory.drop(total, words, *others)
    if not architecture.projected_embeddings:
        return [embedded], embedded
    layers.multiplies()
    return [embedded], memory.take(hidden)
