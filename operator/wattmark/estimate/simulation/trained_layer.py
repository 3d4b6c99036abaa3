"""A transformer layer in training, operation by operation, as transformers' own classes run it."""

from wattmark.estimate.simulation.tape import Value
from wattmark.estimate.simulation.trained_attention import TrainedAttention
from wattmark.estimate.simulation.trained_experts import TrainedExperts


class TrainedLayer(TrainedAttention, TrainedExperts):
    """One layer on a tape."""

    def run(self, given: Value, *, again: bool = False) -> Value:
        """The layer's result. To run it `again` ends where all is there that the backward pass reads."""
        if self._stack.post_norms:
            return self._behind(given)
        return self._side_by_side(given, again=again) if self._stack.parallel else self._ahead(given, again=again)

    def _ahead(self, given: Value, *, again: bool) -> Value:
        """Norms ahead of attention and of the feed-forward part."""
        tape, holds = self._tape, self._stack.holds_attended
        normed = self.norm(given)
        attended = self.dropped(self._attention(normed))
        tape.drop(*self._views)
        self._views.clear()
        if not holds:
            tape.drop(normed)
        if self._stack.norms_behind:
            attended = self._normed(attended)
        middle = tape.add(attended, given)
        tape.drop(normed if holds else attended)
        normed = self.norm(middle)
        behind = self._stack.norms_behind
        down = self._feed_forward(normed, again=again and not behind)
        if not holds:
            tape.drop(normed)
        if behind:
            down = self._normed(down, again=again)
        result = tape.add(middle, down)
        tape.drop(down, middle, *([attended, normed] if holds else []), *self._late)
        self._late.clear()
        return result

    def _normed(self, given: Value, *, again: bool = False) -> Value:
        result = self.norm(given, again=again)
        self._tape.drop(given)
        return result

    def _behind(self, given: Value) -> Value:
        """Norms behind both parts."""
        tape = self._tape
        attended = self._attention(given)
        if self._drops_attended:
            attended = self.dropped(attended)
        total = tape.add(attended, given)
        normed = self.norm(total)
        tape.drop(total, attended, *self._late)
        self._late.clear()
        down = self._feed_forward(normed, again=False)
        total = tape.add(down, normed)
        result = self.norm(total)
        tape.drop(total, down, *self._late, normed)
        return result

    def _side_by_side(self, given: Value, *, again: bool) -> Value:
        """Attention and feed-forward read the same hidden states."""
        tape = self._tape
        normed = self.norm(given)
        attended = self.dropped(self._attention(normed))
        tape.drop(normed)
        normed = self.norm(given)
        down = self._feed_forward(normed, again=again)
        tape.drop(normed)
        total = tape.add(down, attended)
        result = tape.add(total, given)
        tape.drop(total, attended, down)
        return result

    def _feed_forward(self, normed: Value, *, again: bool) -> Value:
        tape, stack = self._tape, self._stack
        if stack.experts:
            return self._experts(normed, again=again)
        adapted = self._adapters is not None and self._adapters.mlp
        halves: list[Value] = []
        if stack.fused_gate:
            both = self.linear(normed, stack.hidden, 2 * stack.intermediate, adapted=adapted)
            gate, up = (tape.view(both, both.size // 2) for _ in range(2))
            tape.record((gate, up), (), lambda *_: [(both, tape.take(both.size))], both)
            active = tape.apply(gate, None, gate)
            product = tape.multiply(up, active)
            tape.drop(active, both)
            halves = [gate, up]  # which are held till the end
        elif stack.gated:
            gate = self.linear(normed, stack.hidden, stack.intermediate, adapted=adapted)
            active = tape.then(gate, None, gate)
            up = self.linear(normed, stack.hidden, stack.intermediate, adapted=adapted)
            product = tape.multiply(active, up)
            tape.drop(active, up)
        else:
            product = self._activated(self.linear(normed, stack.hidden, stack.intermediate, bias=True, adapted=adapted))
        drops = stack.hidden_dropout > 0  # whose mask is the last thing saved
        down = self.linear(
            product, stack.intermediate, stack.hidden, bias=not stack.gated, adapted=adapted, again=again and not drops
        )
        tape.drop(*halves)
        if self._apart:
            self._late.append(product)
        else:
            tape.drop(product)
        result = self.dropped(down)
        tape.dry = tape.dry or again
        return result

    def _activated(self, given: Value) -> Value:
        """Behind the activation: one kernel, or GELU by a tangent, written out in Python."""
        tape = self._tape
        if self._stack.activation != "gelu_new":
            return tape.then(given, None, given)
        half = tape.apply(given)
        if self._formats.mixed:  # autocast takes powers in fp32, and what is computed of them stays so
            raised = tape.apply(given, 2 * given.size)
            power = tape.power(raised)
            tape.drop(raised)
        else:
            power = tape.power(given)
        inner = tape.then(power)
        total = tape.add(given, inner)
        tape.drop(inner)
        tangent = tape.then(tape.then(total), keeps=True)
        raised = tape.take(tangent.size)
        tape.record(raised, (), lambda gradient: [(tangent, tape.held(gradient))], tangent)
        tape.drop(tangent)
        result = tape.multiply(half, raised)
        tape.drop(half, raised, given)
        return result
