"""Norms, feed-forward parts and experts of layers that run without a backward pass, operation by operation."""

from wattmark.estimate.formats import Formats
from wattmark.estimate.simulation.allocator import SMALL_BYTES, Block
from wattmark.estimate.simulation.sequence import INDEX_BYTES, STATISTIC_BYTES, Cache, Memory
from wattmark.estimate.transformer import Pass
from wattmark.models import Norm, Stack


class ForwardParts:
    """Parts of layers that run one after another over a batch of samples, each of them as the `run` says.

    Keys and values go into the `cache`. The first product of matrices takes so many bytes of `scratch`.
    """

    def __init__(
        self,
        memory: Memory,
        stack: Stack,
        formats: Formats,
        batch: int,
        run: Pass,
        cache: Cache,
        *,
        scratch: int = 0,
    ) -> None:
        size = formats.compute
        self._memory, self._stack, self._formats, self._run = memory, stack, formats, run
        self._cache, self._number, self._scratch = cache, 0, scratch
        self._samples, self.tokens = batch, batch * run.tokens
        self.hidden = self.tokens * stack.hidden * size
        self._query, self._key = self.tokens * stack.query_width * size, self.tokens * stack.kv_width * size
        self._width = self.tokens * stack.intermediate * size
        self._encoded = batch * run.memory * stack.kv_width * size
        self._small_are_placed = False

    @property
    def _keys(self) -> int:
        """Tokens of each sample that the layer attends to: once it generates, no more than its window has."""
        run, stack = self._run, self._stack
        if run.tokens == run.keys or stack.window_tokens is None or not self._cache.slides(self._number):
            return run.keys
        return min(run.keys, stack.window_tokens)

    @property
    def _kept(self) -> int:
        """Bytes of its keys, or of its values."""
        return self._samples * self._keys * self._stack.kv_width * self._formats.compute

    @property
    def _repeated(self) -> int:
        """Bytes of these for each head of a group."""
        return self._samples * self._keys * self._stack.query_width * self._formats.compute

    @property
    def _scores(self) -> int:
        """How many scores there are."""
        return self.tokens * self._keys * self._stack.heads

    def norm(self, size: int | None = None, rows: int | None = None) -> Block:
        """The normalized version of a tensor of so many bytes (default: hidden states) with so many rows."""
        size, rows = size or self.hidden, rows or self.tokens
        match self._stack.norm:
            case Norm.LAYER:
                result = self._memory.take(size)
                self._memory.drop(*[self._statistic(rows) for _ in range(2)])
                return result
            case Norm.RMS:
                return self._root_mean_square(size, rows)
            case Norm.GEMMA:
                return self._scaled_wide(size, rows)
            case Norm.T5:
                return self._scaled_narrow(size, rows)

    def _root_mean_square(self, size: int, rows: int) -> Block:
        memory, narrow = self._memory, self._formats.compute < 4
        wide = size // self._formats.compute * 4
        raised, mean = self._mean(wide, rows)
        root = self._statistic(rows)
        scaled = memory.take(wide)
        memory.drop(root, raised)
        lowered = memory.take(size) if narrow else None
        result = memory.take(size)
        memory.drop(lowered, scaled, mean)
        return result

    def _mean(self, wide: int, rows: int) -> tuple[Block | None, Block | None]:
        """What is normalized, raised to fp32 where it is lower, and the mean of its squares in each row."""
        raised = self._memory.take(wide) if self._formats.compute < 4 else None
        power = self._memory.take(wide)
        mean = self._statistic(rows)
        self._memory.drop(power)
        return raised, mean

    def _scaled_wide(self, size: int, rows: int) -> Block:
        """Times its scales in fp32, and lowered then (Gemma2RMSNorm)."""
        memory, narrow = self._memory, self._formats.compute < 4
        wide = size // self._formats.compute * 4
        raised, mean = self._mean(wide, rows)
        shifted = self._statistic(rows)
        memory.drop(mean)
        root = self._statistic(rows)
        memory.drop(shifted)
        scaled = memory.take(wide)
        memory.drop(root, raised)
        return memory.follow(scaled, wide, size) if narrow else memory.follow(scaled, wide)

    def _scaled_narrow(self, size: int, rows: int) -> Block:
        """Lowered, and then times its scales; nothing raised is kept for the mean (T5LayerNorm)."""
        memory, narrow = self._memory, self._formats.compute < 4
        wide = size // self._formats.compute * 4
        power = memory.follow(memory.take(wide), wide) if narrow else memory.take(wide)
        mean = self._statistic(rows)
        memory.drop(power)
        root = self._statistic(rows)
        scaled = memory.take(wide)
        memory.drop(root)
        result = memory.follow(scaled, size, size) if narrow else memory.follow(scaled, size)
        memory.drop(mean)
        return result

    def _statistic(self, rows: int) -> Block | None:
        """A figure for each row: a small one finds the place of the first layer's again, and is not followed there."""
        size = rows * STATISTIC_BYTES
        return None if self._small_are_placed and size <= SMALL_BYTES else self._memory.take(size)

    def multiplies(self) -> None:
        """The first product of matrices takes cuBLAS's workspace."""
        if self._scratch:
            self._memory.take(self._scratch)
            self._scratch = 0

    def _feed_forward(self) -> Block:
        memory, stack, width = self._memory, self._stack, self._width
        if stack.experts:
            return self._experts()
        if not stack.gated:
            active = self._activated(memory.take(width))
        elif stack.fused_gate:
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
            if stack.inner_dropout:  # a statement of its own, till whose function ends gate and up have names
                down = memory.take(self.hidden)
                memory.drop(active, gate, up)
                return down
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

    def _experts(self) -> Block:
        """Each token's experts, grouped: grouped_mm_experts_forward of transformers' integrations/moe.py."""
        memory, stack, tokens, size = self._memory, self._stack, self.tokens, self._formats.compute
        routes = tokens * stack.experts_per_token  # of a token to one expert each
        chances = tokens * stack.experts * 4
        scores = memory.take(tokens * stack.experts * size)
        raised = memory.take(chances) if size < 4 else None
        likely = memory.take(chances)
        memory.drop(raised)
        weights, chosen = memory.take(routes * 4), memory.take(routes * INDEX_BYTES)
        memory.drop(memory.take(tokens * 4))
        share = 4 if stack.fp32_routes else size  # what weighs results, and so these then
        if share < 4:
            weights = memory.follow(weights, routes * share)
        memory.drop(likely)
        order = [memory.take(routes * INDEX_BYTES) for _ in range(2)]
        rows = memory.take(routes * INDEX_BYTES)
        given = memory.take(routes * stack.hidden * size)
        memory.drop(rows)
        ordered = memory.take(routes * share), memory.take(routes * 4)  # weights, and experts as 32-bit numbers
        both = memory.take(2 * routes * stack.intermediate * size)
        gate = memory.take(routes * stack.intermediate * size)
        active = memory.take(routes * stack.intermediate * size)
        memory.drop(gate, both)
        down = memory.take(routes * stack.hidden * size)
        memory.drop(active)
        weighted = memory.take(routes * stack.hidden * share)
        back = memory.take(routes * INDEX_BYTES)
        memory.drop(memory.take(routes * INDEX_BYTES))
        weighted = memory.follow(weighted, routes * stack.hidden * share)
        total = memory.take(tokens * stack.hidden * share)
        result = memory.take(self.hidden) if size < share else None
        memory.drop(*order, given, *ordered, down, weighted, back)
        if result is not None:
            memory.drop(total)
        memory.drop(scores, weights, chosen)
        return result or total
