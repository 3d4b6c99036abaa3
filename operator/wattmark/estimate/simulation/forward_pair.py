"""A forward pass through an encoder and a decoder, and what is generated then, as a sequence of allocations."""

from wattmark.estimate.question import Question
from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.forward_pass import generated, logit_bytes
from wattmark.estimate.simulation.forward_relative import RelativeLayers
from wattmark.estimate.simulation.sequence import INDEX_BYTES, Cache, Memory


def pair(question: Question, memory: Memory, scratch: int) -> None:
    """Both sides, the first time; later ones find the blocks of the one before."""
    (encoder, read), (decoder, run) = question.passes
    formats, batch = question.formats, question.batch
    memory.take(batch * read.tokens * INDEX_BYTES)
    none = Cache(memory, encoder)
    layers = RelativeLayers(memory, encoder, formats, batch, read, none, scratch=scratch)
    encoded = _side(memory, layers, encoder.layers)
    cache = Cache(memory, decoder)
    layers = RelativeLayers(memory, decoder, formats, batch, run, cache)
    result = _side(memory, layers, decoder.layers)
    tokens = batch * (1 if question.output_tokens else run.tokens)
    hidden = tokens * decoder.hidden * formats.compute
    # What is projected is scaled first, unless the configuration says that the projection is not tied (T5 1.1).
    scaled = memory.take(hidden) if question.architecture.checkpoint_tied else None
    logits = memory.take(logit_bytes(question, tokens))
    memory.drop(result, scaled)
    # What one token holds is as much at each step; caches of the encoder's states do not grow.
    for step in generated(question):
        for layer in range(decoder.layers):
            cache.write(layer, batch * (1 + step) * decoder.kv_width * formats.compute)
        logits = memory.follow(logits, logit_bytes(question, batch))
    memory.drop(logits, encoded)


def _side(memory: Memory, layers: RelativeLayers, count: int) -> Block:
    """What a side gives: embeddings, layers, a norm."""
    words = given = memory.take(layers.hidden)
    for _ in range(count):
        given = layers.layer(given, last_use=given is not words)
    normed = layers.norm()
    memory.drop(given, words)
    layers.end()
    return normed
