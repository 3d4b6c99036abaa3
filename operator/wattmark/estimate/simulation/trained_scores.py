"""Eager attention of a layer in training: scores that are materialized, step by step, and the way back through them."""

from wattmark.estimate.simulation.tape import Gradients, Value
from wattmark.estimate.simulation.trained_parts import TrainedParts


class TrainedScores(TrainedParts):
    """What eager_attention_forward of transformers' classes does, on a tape, where scores are not dropped out."""

    def _repeated(self, given: Value) -> Value:
        """For every head of a group."""
        return self._tape.apply(given, given.size // self._stack.kv_heads * self._stack.heads)

    def _eager(self, query: Value, key: Value, value: Value) -> Value:
        """What heads give together, in the order of tokens. Products want what they read head by head."""
        tape, stack, shape, size = self._tape, self._stack, self._shape, self._formats.compute
        elements = shape.batch * stack.heads * shape.length**2
        width = shape.tokens * stack.query_width * size
        repeated = [self._repeated(one) for one in (key, value)] if stack.kv_heads < stack.heads else []
        keys, values = repeated or (key, value)
        lowered = [tape.apply(one, one.size // 2) for one in (query, keys)] if query.size > width else []
        asking, asked = lowered or (query, keys)
        copies = [self._by_heads(asking), *([] if repeated else [self._by_heads(asked)])]
        scores = self._products(copies[0], copies[-1] if not repeated else asked, elements * size)
        tape.drop(*copies, *lowered)
        weights = self._weights(scores, elements)
        read = values if repeated else self._by_heads(values)
        context = self._products(weights, read, width)
        tape.drop(weights, *([] if repeated else [read]))
        ordered = tape.then(context)
        tape.drop(*repeated)
        return ordered

    def _weights(self, scores: Value, elements: int) -> Value:
        """Scaled, capped where the class does so, under a mask in the stream's format; softmax in fp32, and lowered.

        The layer is given them, too, as they were before autocast's product lowered them, and has them until its end.
        """
        tape, formats, narrow = self._tape, self._formats, elements * self._formats.compute
        scores = tape.then(scores)
        if self._stack.capped_scores:
            scores = tape.then(tape.then(tape.then(scores), keeps=True))
        if self._stack.causal:
            scores = self._masked(scores, elements * formats.stream)
        if scores.size == elements * 4 or formats.half:
            likely = tape.apply(scores, elements * 4, keeps=True)
        else:
            likely = tape.then(tape.apply(scores, elements * 4), keeps=True)
        if narrow == elements * 4 or formats.mixed:
            tape.drop(scores)
            self._late.append(tape.held(likely))
            return tape.then(likely, narrow) if formats.mixed else likely
        weights = tape.then(likely, narrow)
        tape.drop(scores)
        self._late.append(tape.held(weights))
        return weights

    def _masked(self, scores: Value, size: int) -> Value:
        """A sum, whose gradient is the scores' own unless the mask was wider."""
        tape = self._tape
        if size != scores.size:
            return tape.then(scores, size)
        made = tape.take(size)
        tape.record(made, (), lambda gradient: [(scores, tape.held(gradient))])
        tape.drop(scores)
        return made

    def _by_heads(self, given: Value) -> Value:
        """A copy, whose gradient is that of what was copied."""
        tape = self._tape
        made = tape.take(given.size)
        tape.record(made, (), lambda gradient: [(given, tape.held(gradient))])
        return made

    def _products(self, one: Value, other: Value, size: int) -> Value:
        """Of two matrices for each head: both are saved."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            return [(other, tape.take(other.size)), (one, tape.take(one.size))]

        made = tape.take(size)
        tape.record(made, (other, one), rule)
        return made
