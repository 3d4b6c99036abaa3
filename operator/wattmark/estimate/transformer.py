"""Activations of transformer layers: what a forward pass holds at once, and what it saves for the backward pass.

The forms follow Korthikanti et al. 2022 (arXiv 2205.05198), extended by what the layers of transformers really keep:
autocast's copies of a matrix's input, RMSNorm's fp32 copy, grouped heads, gates and the steps of each activation
function. All figures are bytes of one sample and one layer unless they say otherwise.
"""

from dataclasses import dataclass

from wattmark.estimate.formats import Formats
from wattmark.models import Norm, Stack

# Widths of the feed-forward part that an activation saves for its backward pass (its output, which the next matrix
# saves, included) and that it holds at once in a forward pass. gelu_new is written out in Python, step by step.
SAVED_WIDTHS = {"gelu": 2, "gelu_pytorch_tanh": 2, "silu": 2, "swish": 2, "relu": 1, "gelu_new": 5}
HELD_WIDTHS = {"gelu": 2, "gelu_pytorch_tanh": 2, "silu": 2, "swish": 2, "relu": 2, "gelu_new": 4}


@dataclass(frozen=True, slots=True)
class Pass:
    """One run through a stack: `tokens` new ones in each sample, which attend to `keys` (themselves included).

    `memory` are the tokens of an encoder that cross-attention reads. `eager` tells that attention scores are
    materialized.
    """

    tokens: int
    keys: int
    memory: int = 0
    eager: bool = False
    on_gpu: bool = True


def mask_bytes(run: Pass, formats: Formats) -> int:
    """Bytes that dropout's mask takes per element: a GPU keeps booleans, a CPU the format of its input."""
    return 1 if run.on_gpu else formats.compute


def held(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of temporaries that one layer holds at its widest moment without a backward pass, per sample.

    Feed-forward: four hidden buffers (residual, normalized, attention's and its own result) and the widths at the
    activation. Fused attention: three hidden buffers, query, key, value, their rotated versions and the result. Eager
    attention: residual and normalized, query, key and value, and the scores before and after softmax, which some
    models raise to fp32 in between.
    """
    size = formats.compute
    widths = max(HELD_WIDTHS[stack.activation], 3 if stack.gated else 0)
    copies = max(1, stack.experts_per_token)
    forward = run.tokens * (4 * stack.hidden * formats.stream + copies * widths * stack.intermediate * size)
    if not run.eager:
        attention = run.tokens * (
            3 * stack.hidden * formats.stream + (4 * stack.query_width + 3 * stack.kv_width) * size
        )
        return max(forward, attention)
    keys = max(run.keys, run.memory)
    attention = run.tokens * (2 * stack.hidden * formats.stream + (stack.query_width + 2 * stack.kv_width) * size)
    if stack.kv_heads < stack.heads:
        attention += 2 * keys * stack.query_width * size  # keys and values, repeated for every head of their group
    raised = 4 if stack.fp32_softmax and size < 4 else 0
    attention += stack.heads * run.tokens * keys * (2 * size + raised)
    return max(forward, attention)


def held_once(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of temporaries that do not grow with the batch: the position bias, and its copy for the layer that runs."""
    if not stack.position_bias:
        return 0
    return 2 * stack.heads * run.tokens * max(run.keys, run.memory) * formats.compute


def saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that one layer keeps from its forward to its backward pass, per sample."""
    tokens, dropout = run.tokens, stack.hidden_dropout > 0
    parts = _attention_saved(stack, run, formats, inputs=1 if stack.fused_projections else 3, memory=0)
    if stack.cross_attention:
        parts += _attention_saved(stack, run, formats, inputs=1, memory=run.memory)
    norms = (3 if stack.cross_attention else 2) * _norm_saved(stack, formats)
    if stack.query_key_norms:
        norms += (stack.query_width + stack.kv_width) * (4 + formats.compute)
    masks = (3 if stack.cross_attention else 2) * stack.hidden * mask_bytes(run, formats) if dropout else 0
    return parts + tokens * (norms + masks + _mlp_saved(stack, run, formats))


def shared(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that a whole pass saves whatever the batch size: position biases, which SDPA copies for each layer."""
    if not stack.position_bias or run.eager:
        return 0
    cross = stack.heads * run.tokens * run.memory * formats.compute if stack.cross_attention else 0
    return stack.layers * stack.heads * run.tokens * run.keys * formats.compute + cross


def backward_temporaries(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of gradients of activations alive at once in a layer's backward pass, per sample."""
    gates = 2 if stack.gated else 1
    widths = gates * max(1, stack.experts_per_token) * stack.intermediate
    size = run.tokens * (widths * formats.compute + 2 * stack.hidden * formats.stream)
    if run.eager:
        size = max(size, stack.heads * run.tokens * max(run.keys, run.memory) * (4 + formats.compute))
    return size


def _norm_saved(stack: Stack, formats: Formats) -> int:
    """Bytes per token: LayerNorm saves its input; RMSNorm an fp32 version of it and the normalized one."""
    if stack.norm is Norm.LAYER:
        return stack.hidden * formats.stream
    narrow = formats.stream if stack.norm is Norm.T5 and formats.stream < 4 else 0
    return stack.hidden * (4 + formats.stream + narrow)


def _attention_saved(stack: Stack, run: Pass, formats: Formats, *, inputs: int, memory: int) -> int:
    """Input of the projections, query, key, value, the result and its log-sum-exp; eager: scores as well."""
    size = formats.compute
    # Autocast copies the fp32 input once for each matrix that reads it; without it one tensor serves all.
    copies = inputs if formats.mixed else 1
    keys = memory or run.keys
    total = run.tokens * (copies * stack.hidden + 2 * stack.query_width) * size + 2 * keys * stack.kv_width * size
    if run.eager:
        total += 2 * keys * (stack.query_width - stack.kv_width) * size
        total += stack.heads * run.tokens * keys * _score_saved(stack, run, formats)
    else:
        total += 4 * stack.heads * run.tokens
    return total


def _score_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per score of eager attention: softmax's result, its narrower or dropped version, dropout's mask."""
    # A learned bias is fp32 under autocast, and so is its sum with the scores.
    biased = formats.mixed and stack.position_bias
    raised = stack.fp32_softmax or biased or (formats.mixed and run.on_gpu)
    softmax = 4 if raised else formats.compute
    if stack.attention_dropout > 0:
        mask = formats.stream if biased and not run.on_gpu else mask_bytes(run, formats)
        return softmax + formats.compute + mask
    return softmax + (formats.compute if softmax != formats.compute else 0)


def _mlp_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per token of the feed-forward part: its input, the activation's steps, the gate's factors, the product."""
    size, width = formats.compute, max(1, stack.experts_per_token) * stack.intermediate
    inputs = (2 if stack.gated and formats.mixed else 1) * stack.hidden * size
    widths = SAVED_WIDTHS[stack.activation] + (2 if stack.gated else 0)
    inner = 0
    if stack.inner_dropout and stack.hidden_dropout > 0:
        # A mask; and the dropped version, unless only that is still needed, as behind a gate's product.
        inner = width * mask_bytes(run, formats) + (0 if stack.gated else width * size)
    return inputs + widths * width * size + inner
