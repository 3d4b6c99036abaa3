"""A transformer's forward pass as a sequence of allocations, in the order in which the framework makes and frees them.

Reserved memory depends on the order: which freed block the next tensor fits into. Followed is what PyTorch's and
transformers' own classes do layer by layer, operator by operator, as a trace shows it. Tensors that are a few hundred
bytes, whatever the batch, are left out.
"""

from wattmark.estimate.allocator import SMALL_BYTES, Allocator, Block
from wattmark.estimate.formats import Formats
from wattmark.models import Norm, Stack

# Those that are one kernel, and one that is written out in Python.
ACTIVATIONS = frozenset({"gelu", "gelu_pytorch_tanh", "silu", "swish", "relu", "gelu_new"})
MOST_LAYERS = 160  # that are followed: no model has more, and each takes its time
STATISTIC_BYTES = 4  # norms' means and attention's log-sum-exp are fp32


class Memory:
    """Tensors in a simulated allocator."""

    def __init__(self, allocator: Allocator) -> None:
        self.allocator = allocator

    def take(self, size: int) -> Block:
        """A new tensor."""
        return self.allocator.allocate(size)

    def drop(self, *tensors: Block | None) -> None:
        """Free these, one after another."""
        for tensor in tensors:
            if tensor is not None:
                self.allocator.release(tensor)

    def follow(self, tensor: Block, *sizes: int) -> Block:
        """One tensor after another, each made of the one before, which is then freed."""
        for size in sizes:
            made = self.take(size)
            self.drop(tensor)
            tensor = made
        return tensor


def tables(memory: Memory, stack: Stack, formats: Formats, length: int) -> list[Block]:
    """Cosines and sines of so many positions, for all layers: computed in fp32, and lowered where the stream is lower.

    LlamaRotaryEmbedding.forward, and what is like it.
    """
    elements = length * stack.turned_dim
    angles = [memory.take(elements // 2 * 4), memory.take(elements * 4)]
    waves = []
    for _ in range(2):
        wave = memory.take(elements * 4)
        waves.append(memory.take(elements * 4))
        memory.drop(wave)
    if formats.stream == 4:
        memory.drop(*angles)
        return waves
    lowered = [memory.take(elements * formats.stream) for _ in waves]
    memory.drop(*angles, *waves)
    return lowered


class Cache:
    """Keys and values that stay; they grow by concatenation, so that for a moment old and new are both there."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._tensors: list[Block] = []

    def write(self, layer: int, size: int) -> None:
        """A layer's keys, and then its values, of so many bytes each."""
        for place in (2 * layer, 2 * layer + 1):
            made = self._memory.take(size)
            if place < len(self._tensors):
                self._memory.drop(self._tensors[place])
                self._tensors[place] = made
            else:
                self._tensors.append(made)


class Layers:
    """Layers that run one after another over `tokens` of all samples together, without a backward pass.

    They attend to `keys` of all samples, and write them into the `cache` from the layer numbered `first` on.
    """

    def __init__(
        self,
        memory: Memory,
        stack: Stack,
        formats: Formats,
        tokens: int,
        keys: int,
        cache: Cache,
        *,
        first: int = 0,
        scratch: int = 0,
        holds_context: bool = True,
    ) -> None:
        size = formats.compute
        self._memory, self._stack, self._formats, self.tokens = memory, stack, formats, tokens
        self._cache, self._number, self._scratch, self._holds_context = cache, first, scratch, holds_context
        self.hidden = tokens * stack.hidden * size
        self._query, self._key = tokens * stack.query_width * size, tokens * stack.kv_width * size
        self._kept, self._repeated = keys * stack.kv_width * size, keys * stack.query_width * size
        self._width = tokens * stack.intermediate * size
        self._small_are_placed = False

    def norm(self, size: int | None = None, rows: int | None = None) -> Block:
        """The normalized version of a tensor of so many bytes (default: hidden states) with so many rows."""
        memory, size, rows = self._memory, size or self.hidden, rows or self.tokens
        if self._stack.norm is Norm.LAYER:
            result = memory.take(size)
            memory.drop(*[self._statistic(rows) for _ in range(2)])
            return result
        wide = size // self._formats.compute * 4
        narrow = self._formats.compute < 4
        raised = memory.take(wide) if narrow else None
        power = memory.take(wide)
        mean = self._statistic(rows)
        memory.drop(power)
        root = self._statistic(rows)
        scaled = memory.take(wide)
        memory.drop(root, raised)
        lowered = memory.take(size) if narrow else None
        result = memory.take(size)
        memory.drop(lowered, scaled, mean)
        return result

    def _statistic(self, rows: int) -> Block | None:
        """A figure for each row: a small one finds the place of the first layer's again, and is not followed there."""
        size = rows * STATISTIC_BYTES
        return None if self._small_are_placed and size <= SMALL_BYTES else self._memory.take(size)

    def layer(self, given: Block, *, last_use: bool) -> Block:
        """One layer's result; `given` is freed when it is there, on its `last_use`. Keys and values of a cache stay."""
        if self._stack.post_norms:
            result = self._behind()
        elif self._stack.parallel:
            result = self._side_by_side()
        else:
            result = self._ahead()
        if last_use:
            self._memory.drop(given)
        self._small_are_placed = True
        self._number += 1
        return result

    def _ahead(self) -> Block:
        """Norms ahead of attention and of the feed-forward part."""
        memory = self._memory
        normed = self.norm()
        attended = self._attention(normed)
        middle = memory.take(self.hidden)
        if not self._stack.holds_attended:
            memory.drop(attended)
        else:
            memory.drop(normed)
        again = self.norm()
        down = self._feed_forward()
        if self._stack.holds_attended:
            result = memory.take(self.hidden)
            memory.drop(again, middle, attended, down)
        else:
            memory.drop(again)
            result = memory.take(self.hidden)
            memory.drop(down, middle)
        return result

    def _behind(self) -> Block:
        """Norms behind both parts."""
        memory = self._memory
        self._multiplies()
        projections = [memory.take(self._query), memory.take(self._key), memory.take(self._key)]
        context = self._attended()
        holds = self._holds_context
        if holds:
            memory.drop(*projections)
        attended = memory.take(self.hidden)
        if not holds:
            memory.drop(context, *projections)
        total = memory.take(self.hidden)
        normed = self.norm()
        memory.drop(total, attended, context if holds else None)
        active = self._activated(memory.take(self._width))
        down = memory.take(self.hidden)
        if not holds:
            memory.drop(active)
        total = memory.take(self.hidden)
        result = self.norm()
        memory.drop(total, down, active if holds else None, normed)
        return result

    def _side_by_side(self) -> Block:
        """Attention and feed-forward read the same hidden states."""
        memory = self._memory
        normed = self.norm()
        attended = self._attention(normed)
        memory.drop(normed)
        again = self.norm()
        down = self._feed_forward()
        memory.drop(again)
        total = memory.take(self.hidden)
        result = memory.take(self.hidden)
        memory.drop(total, attended, down)
        return result

    def _multiplies(self) -> None:
        """The first product of matrices takes cuBLAS's workspace."""
        if self._scratch:
            self._memory.take(self._scratch)
            self._scratch = 0

    def _attended(self) -> Block:
        """The fused kernel's result; of fp32 another kernel, which wants a key and a value for every head."""
        memory = self._memory
        if self._formats.compute == 4:
            copies = 2 if self._stack.kv_heads < self._stack.heads else 0
            repeated = [memory.take(self._repeated) for _ in range(copies)]
            result = memory.take(self._query)
            memory.drop(*repeated)
            return result
        result = memory.take(self._query)
        memory.drop(self._statistic(self.tokens * self._stack.heads))
        return result

    def _attention(self, normed: Block) -> Block:
        """Attention's result behind its last matrix; `normed` is freed unless the layer holds it."""
        memory, stack = self._memory, self._stack
        self._multiplies()
        attended = self._fused() if stack.fused_projections else self._separate()
        if not stack.holds_attended and not stack.parallel:
            memory.drop(normed)
        return attended

    def _fused(self) -> Block:
        memory, stack = self._memory, self._stack
        joint = memory.take(self._query + 2 * self._key)
        if not stack.rotary:
            self._cache.write(self._number, self._kept)
            context = self._attended()
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
        context = self._attended()
        if self._formats.compute < 4:
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
            context = self._attended()
            attended = memory.take(self.hidden)
            memory.drop(context, query)
        else:
            context = self._attended()
            attended = memory.take(self.hidden)
            memory.drop(context, query, key, value)
        return attended

    def _normed_heads(self, tensor: Block, size: int, heads: int) -> Block:
        normed = self.norm(size, self.tokens * heads)
        self._memory.drop(tensor)
        return normed

    def _turned(self, size: int) -> Block:
        """A tensor turned by its positions: times cosines, plus its swapped halves times sines."""
        memory = self._memory
        product = memory.take(size)
        other = memory.follow(memory.take(size // 2), size, size)
        result = memory.take(size)
        memory.drop(product, other)
        return result

    def _feed_forward(self) -> Block:
        memory, width = self._memory, self._width
        if not self._stack.gated:
            active = self._activated(memory.take(width))
        elif self._stack.fused_gate:
            both = memory.take(2 * width)
            gate = memory.take(width)
            active = memory.take(width)
            memory.drop(gate)
            down = memory.take(self.hidden)
            memory.drop(active, both)
            return down
        else:
            gate = self._activated(memory.take(width))
            up = memory.take(width)
            active = memory.take(width)
            memory.drop(gate, up)
        down = memory.take(self.hidden)
        memory.drop(active)
        return down

    def _activated(self, tensor: Block) -> Block:
        memory, width = self._memory, self._width
        if self._stack.activation != "gelu_new":
            return memory.follow(tensor, width)
        half = memory.take(width)
        inner = memory.follow(memory.take(width), width, width, width, width, width)
        result = memory.take(width)
        memory.drop(half, inner, tensor)
        return result
