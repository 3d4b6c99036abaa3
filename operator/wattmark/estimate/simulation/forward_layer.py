"""Transformer layers without a backward pass, operation by operation, as transformers' own classes run them."""

from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.forward_attention import ForwardAttention


class ForwardLayers(ForwardAttention):
    """Layers that run one after another."""

    _older: Block | None = None  # the layer before's scores, where layers give them back

    def layer(self, given: Block, *, last_use: bool) -> Block:
        """One layer's result; `given` is freed when it is there, on its `last_use`. Keys and values of a cache stay."""
        stack = self._stack
        if stack.post_norms:
            result = self._behind()
        elif stack.parallel:
            result = self._side_by_side()
        else:
            result = self._ahead()
        if stack.returns_scores:
            self._memory.drop(self._older)
            self._older, self._given_scores = self._given_scores, None
        if last_use:
            self._memory.drop(given)
        self._small_are_placed = True
        self._number += 1
        return result

    def end(self) -> None:
        """What layers hold until the pass is over."""
        self._memory.drop(self._older)

    def _used_scores(self) -> list[Block]:
        """Scores of attention's, which a layer holds until its end unless it gives them back."""
        if self._given_scores is None or self._stack.returns_scores:
            return []
        scores, self._given_scores = self._given_scores, None
        return [scores]

    def _ahead(self) -> Block:
        """Norms ahead of attention and of the feed-forward part; behind each of them as well where the stack has so."""
        memory, stack = self._memory, self._stack
        normed = self.norm()
        attended = self._attention(normed)
        if stack.norms_behind:
            attended = self._normed(attended)
        middle = memory.take(self.hidden)
        if not stack.holds_attended:
            memory.drop(attended)
        else:
            memory.drop(normed)
        again = self.norm()
        down = self._feed_forward()
        if stack.holds_attended:
            result = memory.take(self.hidden)
            memory.drop(again, middle, attended, *self._used_scores(), down)
        else:
            memory.drop(again)
            if stack.norms_behind:
                down = self._normed(down)
            result = memory.take(self.hidden)
            memory.drop(down, middle, *self._used_scores())
        return result

    def _normed(self, given: Block) -> Block:
        result = self.norm()
        self._memory.drop(given)
        return result

    def _behind(self) -> Block:
        """Norms behind both parts. What modules of their own give is held by the one that called them."""
        memory, stack = self._memory, self._stack
        self.multiplies()
        projections = [memory.take(self._query), memory.take(self._key), memory.take(self._key)]
        context = self._context()
        holds = stack.holds_activated
        if holds:
            memory.drop(*projections)
        attended = memory.take(self.hidden)
        if not holds:
            memory.drop(context)
            if not stack.holds_projections:
                memory.drop(*projections)
        total = memory.take(self.hidden)
        normed = self.norm()
        memory.drop(total, attended, context if holds else None)
        if stack.holds_projections:
            memory.drop(*projections)
        active = self._activated(memory.take(self._width))
        down = memory.take(self.hidden)
        if not holds:
            memory.drop(active)
        total = memory.take(self.hidden)
        result = self.norm()
        memory.drop(total, down, active if holds else None, *self._used_scores(), normed)
        return result

    def _side_by_side(self) -> Block:
        """Attention and feed-forward read the same hidden states, and maybe the same normalized version of them."""
        memory, shared = self._memory, self._stack.shared_norm
        normed = self.norm()
        attended = self._attention(normed)
        if shared:
            down = self._feed_forward()
        else:
            memory.drop(normed)
            again = self.norm()
            down = self._feed_forward()
            memory.drop(again)
        total = memory.take(self.hidden)
        result = memory.take(self.hidden)
        memory.drop(total, normed if shared else None, attended, *self._used_scores(), down)
        return result
