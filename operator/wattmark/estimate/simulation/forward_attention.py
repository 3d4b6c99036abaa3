"""Attention of layers that run without a backward pass: fused kernels, and what eager attention materializes."""

from wattmark.estimate.simulation.allocator import Block
from wattmark.estimate.simulation.forward_parts import ForwardParts
from wattmark.estimate.transformer import windowed


class ForwardAttention(ForwardParts):
    """Attention of layers, operation by operation. Eager attention's scores are left in `_given_scores`."""

    _given_scores: Block | None = None

    def _attention(self, normed: Block) -> Block:
        """Attention's result behind its last matrix; `normed` is freed unless the layer holds it."""
        memory, stack = self._memory, self._stack
        self.multiplies()
        if stack.returns_scores and stack.rotary:
            attended = self._turned_by_own_tables()
        elif stack.fused_projections:
            attended = self._fused()
        else:
            attended = self._separate()
        if not stack.holds_attended and not stack.parallel:
            memory.drop(normed)
        return attended

    def grow(self) -> None:
        """One step of a layer: only what is as large as its keys and values matters, these and their copies."""
        memory, stack, size = self._memory, self._stack, self._formats.compute
        self._cache.write(self._number, self._kept)
        fused = size == 4 and self._keys == self._run.keys  # under a window's mask heads stand in for tokens
        grouped = stack.kv_heads < stack.heads and (self._run.eager or fused)
        copies = [memory.take(self._repeated) for _ in range(2 if grouped else 0)]
        copies += [memory.take(self._kept // size * 4)] if stack.fp32_scores and size < 4 else []
        memory.drop(*copies)
        self._number += 1

    def _fused(self) -> Block:
        """Query, key and value of one matrix."""
        memory, stack = self._memory, self._stack
        joint = memory.take(self._query + 2 * self._key)
        if not stack.rotary:
            self._cache.write(self._number, self._kept)
            context = self._context()
            attended = memory.take(self.hidden)
            memory.drop(context, joint)
            return attended
        sizes = self._query, self._key
        turning = [size * stack.turned_dim // stack.head_dim for size in sizes]
        if stack.fused_gate:  # Phi-3 puts a query together again before it turns a key
            query, key = (memory.follow(self._turned(t), size) for t, size in zip(turning, sizes, strict=True))
        else:
            turned = [self._turned(size) for size in turning]
            query, key = (memory.follow(t, size) for t, size in zip(turned, sizes, strict=True))
        self._cache.write(self._number, self._kept)
        memory.drop(key)
        # Queries are put together anew, head by head; so then is the kernel's result, which a copy orders.
        context = self._context(in_order=True)
        if self._formats.compute < 4 and not self._run.eager and not windowed(stack, self._run):
            context = memory.follow(context, self._query)
        attended = memory.take(self.hidden)
        memory.drop(context, joint, query)
        return attended

    def _separate(self) -> Block:
        memory, stack = self._memory, self._stack
        query = memory.take(self._query)
        if stack.query_key_norms:
            query = self._normed_heads(query, self._query, stack.heads)
        key = memory.take(self._key)
        if stack.query_key_norms:
            key = self._normed_heads(key, self._key, stack.kv_heads)
        value: Block | None = memory.take(self._key)
        if stack.rotary:
            turned = self._turned(self._query), self._turned(self._key)
            memory.drop(query, key)
            query, key = turned
        if stack.causal:
            self._cache.write(self._number, self._kept)
            memory.drop(key, value)
            context = self._context()
            attended = memory.take(self.hidden)
            memory.drop(context, query)
        else:
            context = self._context()
            attended = memory.take(self.hidden)
            memory.drop(context, query, key, value)
        return attended

    def _turned_by_own_tables(self) -> Block:
        """GPT-J's and CodeGen's: each layer has a table, of which sines and cosines come in fp32.

        GPT-J lowers them before it turns; CodeGen, whose query, key and value are of one matrix, does not, so that what
        it turns, and puts together again, is raised. All of it is there until attention has its result.
        """
        memory, stack, size = self._memory, self._stack, self._formats.compute
        joint = memory.take(3 * self._query) if stack.fused_projections else None
        query, key, value = (memory.take(self._query) for _ in range(3))
        wide = self._query // size * 4 if joint else self._query
        part = self._query * stack.turned_dim // stack.head_dim
        turned = [self._turned(part, part * wide // self._query) for _ in range(2)]
        whole_key, whole_query = memory.take(wide), memory.take(wide)
        lowered = memory.take(self._query) if wide > self._query else None
        self._cache.write(self._number, self._kept)
        memory.drop(lowered, whole_key, value)
        context = self._eager(in_order=False, raised=wide > self._query)
        attended = memory.take(self.hidden)
        memory.drop(context, joint, whole_query, turned[0], key, turned[1], query)
        return attended

    def _normed_heads(self, tensor: Block, size: int, heads: int) -> Block:
        normed = self.norm(size, self.tokens * heads)
        self._memory.drop(tensor)
        return normed

    def _turned(self, size: int, wide: int | None = None) -> Block:
        """A tensor turned by its positions: times cosines, plus its swapped halves times sines, maybe `wide` ones."""
        memory, wide = self._memory, wide or size
        product = memory.take(wide)
        other = memory.follow(memory.take(size // 2), size, wide)
        result = memory.take(wide)
        memory.drop(product, other)
        return result

    def _context(self, *, in_order: bool = False) -> Block:
        """What heads give together; `in_order` tells that queries lie head by head."""
        return self._eager(in_order=in_order) if self._run.eager else self._attended()

    def _attended(self) -> Block:
        """The fused kernel's result; of fp32 another kernel, which wants a key and a value for every head."""
        memory = self._memory
        if windowed(self._stack, self._run):
            return self._attended_under_mask()
        if self._formats.compute == 4:
            copies = 2 if self._stack.kv_heads < self._stack.heads else 0
            repeated = [memory.take(self._repeated) for _ in range(copies)]
            result = memory.take(self._query)
            memory.drop(*repeated)
            return result
        result = memory.take(self._query)
        memory.drop(self._statistic(self.tokens * self._stack.heads))
        return result

    def _attended_under_mask(self) -> Block:
        """The other kernel's: zeros and infinities are made in fp32 for each layer anew, and lowered."""
        memory, size = self._memory, self._formats.compute
        pairs = self.tokens * self._run.keys
        repeated = [memory.take(self._repeated) for _ in range(2 if self._stack.kv_heads < self._stack.heads else 0)]
        mask = memory.take(pairs * 4)
        if size < 4:
            mask = memory.follow(mask, pairs * size)
        result = memory.take(self._query)
        memory.drop(mask, *repeated)
        return result

    def _eager(self, *, in_order: bool, raised: bool = False) -> Block:
        """eager_attention_forward of the classes: products, scores step by step, softmax, products, their order.

        What does not lie head by head is copied for a product: a query that is not `in_order`, and keys and values that
        no cache has put together. Scores are `raised` with queries and keys, of which the query may be wide already.
        """
        memory, stack, run, size = self._memory, self._stack, self._run, self._formats.compute
        grouped, apart = stack.kv_heads < stack.heads, run.tokens > 1  # one token lies in any order
        repeated = [memory.take(self._repeated) for _ in range(2 if grouped else 0)]
        wide = 4 if stack.fp32_scores else size
        wider = [] if raised or wide == size else [memory.take(self._query // size * wide)]
        wider += [] if wide == size else [memory.take(self._kept // size * wide)]
        copies = [] if in_order or not apart else [memory.take(self._query // size * wide)]
        copies += [] if run.cached else [memory.take(self._key)]
        scores = memory.take(self._scores * wide)
        memory.drop(*copies)
        # Scaled (or, in GPT-Neo, hidden by the class's own mask); divided, tanh, times the cap; the mask.
        steps = 1 + (3 if stack.capped_scores else 0) + (1 if stack.causal else 0)
        scores = self._softmax(memory.follow(scores, *[self._scores * wide] * steps), wide)
        copy = None if run.cached else memory.take(self._key)
        context = memory.take(self._query)
        memory.drop(copy, *wider)
        if apart:
            context = memory.follow(context, self._query)
        memory.drop(*repeated)
        self._given_scores = scores
        return context

    def _softmax(self, scores: Block, wide: int) -> Block:
        """In fp32 where the class wants it, of which a lower version is made; of bf16, a raised one as well before."""
        memory, size, elements = self._memory, self._formats.compute, self._scores
        if wide > size or size == 4 or not self._stack.fp32_softmax:
            scores = memory.follow(scores, elements * wide)
            return memory.follow(scores, elements * size) if wide > size else scores
        raised = None if self._formats.half else memory.take(elements * 4)
        likely = memory.take(elements * 4)
        memory.drop(raised)
        lowered = memory.take(elements * size)
        memory.drop(likely, scores)
        return lowered
