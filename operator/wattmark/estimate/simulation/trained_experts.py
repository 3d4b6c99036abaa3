"""A mixture of experts in training: grouped_mm_experts_forward of transformers' integrations/moe.py, there and back.

What is a few bytes for each way of a token to an expert is not followed: it finds room beside hidden states. Autocast
does not know grouped products: they are computed in the stream's format, as parameters are stored.
"""

from wattmark.estimate.simulation.tape import Gradients, Value
from wattmark.estimate.simulation.trained_parts import TrainedParts


class TrainedExperts(TrainedParts):
    """The router of one layer, and its experts, on a tape."""

    def _experts(self, given: Value, *, again: bool) -> Value:
        """What a token's experts give, weighed and summed. Run `again`, it ends before what they gave is ordered."""
        tape, stack, size, tokens = self._tape, self._stack, self._formats.stream, self._shape.tokens
        share = 4 if stack.fp32_routes else size  # what weighs results, and so these then
        routes = tokens * stack.experts_per_token  # of a token to one expert each
        wide = routes * stack.hidden * share
        weights = self._routed(given, routes * share)
        copied = self._picked(given, routes * stack.hidden * size)
        both = self._grouped(copied, stack.hidden, 2 * stack.intermediate, routes)
        gate, up = (tape.view(both, both.size // 2) for _ in range(2))
        tape.record((gate, up), (), lambda *_: [(both, tape.take(both.size))])
        active = tape.apply(gate, None, gate)
        product = tape.multiply(active, up)
        tape.drop(active, gate, up, both)
        down = self._grouped(product, stack.intermediate, stack.hidden, routes)
        tape.drop(product)
        weighted = self._weighed(down, weights, wide)
        tape.dry = tape.dry or again
        ordered = self._picked(weighted, wide)
        tape.drop(weighted)
        total = tape.apply(ordered, tokens * stack.hidden * share)
        result = tape.apply(total, tokens * stack.hidden * size) if size < share else total
        tape.drop(copied, weights, down, ordered)  # variables of the function, in the order of their names
        if result is not total:
            tape.drop(total)
        return result

    def _routed(self, given: Value, size: int) -> Value:
        """Weights of each token's experts, the likeliest ones."""
        tape, stack, tokens = self._tape, self._stack, self._shape.tokens
        scores = self.linear(given, stack.hidden, stack.experts)
        chances = tokens * stack.experts * 4
        raised = tape.apply(scores, chances) if scores.size < chances else scores
        likely = tape.apply(raised, None, keeps=True)
        tape.drop(scores, *([raised] if raised is not scores else []))

        def rule(_: Value) -> Gradients:
            zeros, made = tape.take(chances), tape.take(chances)
            tape.drop(zeros)
            return [(likely, made)]

        weights = tape.take(size)
        tape.record(weights, (), rule)
        tape.drop(likely)
        return weights

    def _picked(self, given: Value, size: int) -> Value:
        """Rows by their indices: gradients are put into zeros."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            zeros, made = tape.take(given.size), tape.take(given.size)
            tape.drop(zeros)
            return [(given, made)]

        made = tape.take(size)
        tape.record(made, (), rule)
        return made

    def _grouped(self, given: Value, inputs: int, outputs: int, rows: int) -> Value:
        """Times each row's expert's matrix: those of all experts are one parameter, which beside adapters is frozen."""
        tape, size = self._tape, self._formats.stream
        matrix = self.parameter() if self._adapters is None else None

        def rule(_: Value) -> Gradients:
            if matrix is None:
                return [(given, tape.take(given.size))]
            made = tape.take(self._stack.experts * inputs * outputs * size, stays=True)
            return [(matrix, made), (given, tape.take(given.size))]

        result = tape.take(rows * outputs * size)
        tape.record(result, () if matrix is None else (given,), rule)
        return result

    def _weighed(self, given: Value, weights: Value, size: int) -> Value:
        """Times weights, maybe in a wider format."""
        tape = self._tape

        def rule(_: Value) -> Gradients:
            of_weights, gradient = tape.take(size), tape.take(size)
            if size != given.size:
                wide, gradient = gradient, tape.take(given.size)
                tape.drop(wide)
            tape.drop(of_weights)
            return [(weights, tape.take(weights.size)), (given, gradient)]

        made = tape.take(size)
        tape.record(made, (given, weights), rule)
        return made
