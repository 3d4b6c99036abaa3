"""T5's layers without a backward pass: positions are a bias of scores, and a decoder reads what an encoder gave."""

from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.forward_parts import ForwardParts
from wattmark.estimate.simulation.sequence import INDEX_BYTES


class RelativeLayers(ForwardParts):
    """Layers that run one after another; the first one makes the biases, which all of them read."""

    _bias: Block | None = None
    _cross_bias: Block | None = None

    def layer(self, given: Block, *, last_use: bool) -> Block:
        """One layer's result (T5Block.forward); `given` is freed when it is there, on its `last_use`."""
        memory, stack = self._memory, self._stack
        normed = self.norm()
        attended = self._attention()
        middle = memory.take(self.hidden)
        memory.drop(attended, normed)
        middle = self._clamped(middle)
        if stack.cross_attention:
            normed = self.norm()
            attended = self._cross_attention()
            total = memory.take(self.hidden)
            memory.drop(normed, attended, middle)
            middle = self._clamped(total)
        normed = self.norm()
        down = self._feed_forward()
        memory.drop(normed)
        result = memory.take(self.hidden)
        memory.drop(down, middle)
        result = self._clamped(result)
        if last_use:
            memory.drop(given)
        self._small_are_placed = True
        self._number += 1
        return result

    def _clamped(self, given: Block) -> Block:
        """Below what fp16 can hold: a byte for each element tells what it cannot."""
        if not self._formats.half:
            return given
        self._memory.drop(self._memory.take(self.hidden // 2))
        return self._memory.follow(given, self.hidden)

    def end(self) -> None:
        """The biases are there until the stack is done."""
        self._memory.drop(self._bias, self._cross_bias)

    def _attention(self) -> Block:
        memory, stack = self._memory, self._stack
        self.multiplies()
        query, *others = memory.take(self._query), memory.take(self._key), memory.take(self._key)
        if stack.causal:
            self._cache.write(self._number, self._kept)
            memory.drop(*others)
            others = []
        self._bias = self._bias or self._positions()
        whole = self._scores * self._formats.compute // self._samples
        masked = later = None
        if stack.causal and self._run.tokens > 1:
            later = memory.take(self._run.tokens * self._run.keys)
            masked = memory.take(whole)
        aligned = memory.take(whole)  # the kernel wants rows of a mask one behind the other
        memory.drop(later, masked)
        context = memory.take(self._query)
        memory.drop(aligned)
        attended = memory.take(self.hidden)
        memory.drop(context, query, *others)
        return attended

    def _cross_attention(self) -> Block:
        """Keys and values of the encoder's states are made once, and stay; the bias is zeros."""
        memory, size = self._memory, self._formats.compute
        query, key, value = memory.take(self._query), memory.take(self._encoded), memory.take(self._encoded)
        self._cache.add(self._encoded)
        memory.drop(key, value)
        if self._cross_bias is None:
            self._cross_bias = memory.take(self._stack.heads * self._run.tokens * self._run.memory * size)
        context = memory.take(self._query)
        attended = memory.take(self.hidden)
        memory.drop(context, query)
        return attended

    def _positions(self) -> Block:
        """The bias of each head for each pair of tokens: T5Attention.compute_bias, 64-bit numbers step by step."""
        memory, heads, size = self._memory, self._stack.heads, self._formats.compute
        pairs = self._run.tokens * self._run.keys
        index, real = pairs * INDEX_BYTES, pairs * 4
        distance = memory.take(index)
        if self._stack.causal:
            buckets, apart = None, memory.follow(memory.take(index), index, index)
        else:
            buckets, apart = memory.follow(memory.take(pairs), index, index, index), memory.take(index)
        near = memory.take(pairs)
        far = memory.follow(memory.take(real), real, real, real, real, index, index)
        most = memory.take(index)
        least = memory.take(index)
        memory.drop(most, far)
        chosen = memory.take(index)
        if buckets is None:
            buckets = memory.take(index)
        memory.drop(chosen, apart, near, least)
        bias = memory.take(pairs * heads * size)
        memory.drop(distance, buckets)
        return bias
