"""What a static cache costs beside its own size: once tokens are in it, it is attended to in full, under a mask."""

from wattmark.estimate.formats import Formats
from wattmark.estimate.transformer import Pass
from wattmark.models import Stack


def masked(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of the mask and what fused attention makes for it, per sample, in the layer that runs.

    The mask in the format of the arithmetic, which the kernel reads (transformers makes it of booleans, once for the
    batch), and the fp32 one that this is cast from (PyTorch's scaled_dot_product_attention makes both); and, as fused
    kernels know no groups under a mask, keys and values for every head of a group: but for a single token, whose heads
    stand in for tokens. The first pass finds an empty cache and attends to what it was given, without a mask, unless
    layers attend within a window that is no longer than the cache.
    """
    if run.eager:  # its mask is counted with the scores; keys and values are repeated with or without one
        return 0
    if run.tokens > 1 and not (stack.window_tokens and stack.window_tokens <= run.keys):
        return 0
    size = run.tokens * run.keys * (4 if formats.compute == 4 else 4 + formats.compute)
    if stack.kv_heads < stack.heads and run.tokens > 1:
        size += 2 * run.keys * stack.query_width * formats.compute
    return size
