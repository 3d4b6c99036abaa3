"""A transformer's forward pass as a sequence of allocations, in the order in which the framework makes and frees them.

Reserved memory depends on the order: which freed block the next tensor fits into. Followed is what PyTorch's and
transformers' own classes do layer by layer, operator by operator, as a trace shows it. Tensors that are a few hundred
bytes, whatever the batch, are left out.
"""

from wattmark.estimate.formats import Formats
from wattmark.estimate.simulation.allocator import Allocator, Block
from wattmark.models import Stack

# Those that are one kernel, and one that is written out in Python.
ACTIVATIONS = frozenset({"gelu", "gelu_pytorch_tanh", "silu", "swish", "relu", "gelu_new"})
MOST_LAYERS = 160  # that are followed: no model has more, and each takes its time
INDEX_BYTES = 8
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


def window(memory: Memory, pairs: int) -> Block:
    """What a window hides: not so late, not too early, and both, a byte for each pair of tokens."""
    later = memory.take(pairs)
    within = memory.take(pairs)
    memory.drop(later)
    earlier = memory.take(pairs)
    both = memory.take(pairs)
    memory.drop(earlier, within)
    return both


def masks(memory: Memory, stack: Stack, tokens: int, keys: int, size: int) -> list[Block]:
    """What eager attention adds to its scores: zeros and infinities, made of one sample's booleans.

    `size` are bytes of those of all samples for a pair of tokens (create_causal_mask, and its like with a window).
    """
    pairs, kinds = tokens * keys, list[Block]()
    if stack.window_layers < stack.layers:
        later = memory.take(pairs)
        kinds.append(memory.take(pairs * size))
        memory.drop(later)
    if stack.window_layers:
        both = window(memory, pairs)
        kinds.append(memory.take(pairs * size))
        memory.drop(both)
    return kinds


class Cache:
    """Keys and values that stay; they grow by concatenation, so that for a moment old and new are both there.

    Those of a layer with a window, of which so many are among the layers, grow both before either old one is freed
    (DynamicSlidingWindowLayer): every other layer's in Gemma 2.
    """

    def __init__(self, memory: Memory, stack: Stack) -> None:
        self._memory, self._windows, self._layers = memory, stack.window_layers, stack.layers
        self._tensors: list[Block] = []
        self._fixed: list[Block] = []

    def write(self, layer: int, size: int) -> None:
        """A layer's keys, and then its values, of so many bytes each."""
        places = 2 * layer, 2 * layer + 1
        if places[0] == len(self._tensors):
            self._tensors += [self._memory.take(size) for _ in places]
        elif self.slides(layer):
            old = [self._tensors[place] for place in places]
            self._tensors[places[0] : places[1] + 1] = [self._memory.take(size) for _ in places]
            self._memory.drop(*old)
        else:
            for place in places:
                self._tensors[place] = self._memory.follow(self._tensors[place], size)

    def add(self, size: int) -> None:
        """Keys and values that do not grow."""
        self._fixed += [self._memory.take(size) for _ in range(2)]

    def clear(self) -> None:
        """Free all of them."""
        self._memory.drop(*self._tensors, *self._fixed)
        self._tensors.clear()
        self._fixed.clear()

    def slides(self, layer: int) -> bool:
        """Whether this layer has a window."""
        return -(-(layer + 1) * self._windows // self._layers) > -(-layer * self._windows // self._layers)
