"""Activations of transformer layers: what a forward pass holds at once, and what it saves for the backward pass.

The forms follow Korthikanti et al. 2022 (arXiv 2205.05198), extended by what the layers of transformers really keep:
autocast's copies of a matrix's input, RMSNorm's fp32 copy, grouped heads, gates and the steps of each activation
function. All figures are bytes of one sample and one layer unless they say otherwise.
"""

from dataclasses import dataclass

from wattmark.estimate.formats import Formats
from wattmark.models import Norm, Stack

# Widths of the feed-forward part that an activation saves for its backward pass (its output, which the next matrix
# saves, included) and that it holds at once in a forward pass. Some are written out in Python, step by step.
SAVED_WIDTHS = {"gelu": 2, "gelu_pytorch_tanh": 2, "silu": 2, "swish": 2, "relu": 1, "gelu_new": 5, "gelu_fast": 8}
HELD_WIDTHS = {"gelu": 2, "gelu_pytorch_tanh": 2, "silu": 2, "swish": 2, "relu": 2, "gelu_new": 4, "gelu_fast": 5}

# What `held` counts, in words.
HELD_FORMULA = (
    "batch x tokens x (widths of the feed-forward part + 4 hidden) x B of one layer; "
    "eager attention: + batch x heads x tokens^2 x 2 B and, if raised, 4"
)
ROUTE_BYTES = 4 * 8 + 2 * 4  # of a token's way to one expert and back: four indices, two factors


@dataclass(frozen=True, slots=True)
class Adapters:
    """Low-rank adapters beside frozen matrices: of attention, and, with `mlp`, of the feed-forward part as well.

    `saves_inputs` tells that the frozen matrices save what they read, as LLM.int8()'s do, with or without an adapter.
    """

    rank: int
    mlp: bool
    saves_inputs: bool = False


@dataclass(frozen=True, slots=True)
class Pass:
    """One run through a stack: `tokens` new ones in each sample, which attend to `keys` (themselves included).

    `memory` are the tokens of an encoder that cross-attention reads. `eager` tells that attention scores are
    materialized; `adapters` that the layer's own weights are frozen; `cached` that a cache, which is counted elsewhere,
    holds the keys and values; `embedded` is how many hidden states the caller holds: what the embeddings gave.
    """

    tokens: int
    keys: int
    memory: int = 0
    eager: bool = False
    on_gpu: bool = True
    adapters: Adapters | None = None
    cached: bool = False
    embedded: int = 1


def mask_bytes(run: Pass, formats: Formats) -> int:
    """Bytes that dropout's mask takes per element: a GPU keeps booleans, a CPU the format of its input."""
    return 1 if run.on_gpu else formats.compute


def held(stack: Stack, run: Pass, formats: Formats, *, masked: int = 0) -> int:
    """Bytes of temporaries that one layer holds at its widest moment without a backward pass, per sample.

    Feed-forward: the embeddings, the layer's input, that with attention's result, the normalized version of it (none
    behind norms at the end), what attention gave where the layer holds it, and the widths at the activation; or, of a
    mixture, four times what its experts gave: what they were given, their results, those weighted and back in order.
    Fused attention: embeddings, input and normalized; and a query that is turned with its key and value, or a key with
    query and value; then `masked`, which it makes for a mask, beside the query, and the keys and values that no cache
    holds: of more tokens than its window has. Eager attention: see `_eager_held`; its scores outlive it, because the
    layer holds what it was given till its own end.
    """
    if stack.relative_span:
        return _apart_held(stack, run, formats)
    size = formats.compute
    before = (run.embedded + 1) * stack.hidden * formats.stream + (
        0 if stack.post_norms else stack.hidden * formats.stream
    )
    # Behind one matrix for gate and up both stay while their product is made.
    widths = max(HELD_WIDTHS[stack.activation], (4 if stack.fused_gate else 3) if stack.gated else 0)
    copies = max(1, stack.experts_per_token)
    routed = stack.experts_per_token * stack.hidden * size  # a token's copies, one for each of its experts
    ordered = 2 * routed + 2 * routes(stack, 1, size)
    within = max(copies * widths * stack.intermediate * formats.result + routed, ordered)
    summed = (2 if stack.holds_attended else 1) * stack.hidden * formats.stream
    forward = run.tokens * (before + summed + within)
    if run.eager:
        forward += masks(stack, run, formats)
        return max(forward + _old_scores(stack, run, formats, ended=True), _eager_held(stack, run, formats))
    turned = max(4 * stack.query_width + 2 * stack.kv_width, 2 * stack.query_width + 5 * stack.kv_width)
    there = 2 * stack.kv_width if run.cached else 0
    attention = run.tokens * (before + (turned - there) * formats.result)
    given = 2 * stack.kv_width if stack.window_tokens and run.tokens > stack.window_tokens else 0
    under_mask = run.tokens * (before + (stack.query_width + given) * formats.result) + masked if masked else 0
    return max(forward, attention, under_mask)


def _eager_held(stack: Stack, run: Pass, formats: Formats) -> int:
    """Embeddings, residual and normalized, query, key and value, the mask, scores before and after softmax, older ones.

    Scores that some models raise to fp32 in between: a GPU's softmax reads fp16 and writes fp32, of which a 16-bit copy
    is made while what it read is still there; of bf16, and on a CPU, an fp32 copy is made first.
    """
    size, keys = formats.compute, max(run.keys, run.memory)
    hidden = (run.embedded + (1 if stack.post_norms else 2)) * stack.hidden * formats.stream
    given = 0 if run.cached else 2 * stack.kv_width
    if stack.fused_projections and not stack.fp32_scores:
        # The query, or the value, is a view of what the one matrix gave; a query and a key that are turned are not.
        turned = stack.query_width + (0 if run.cached else stack.kv_width)
        given = 2 * stack.kv_width + (turned if stack.rotary else 0)
    attention = run.tokens * (hidden + (stack.query_width + given) * size)
    if stack.kv_heads < stack.heads:
        attention += 2 * keys * stack.query_width * size  # keys and values, repeated for every head of their group
    attention += masks(stack, run, formats)
    if stack.fp32_scores:
        attention += (run.tokens * stack.query_width + keys * stack.kv_width) * (4 if size < 4 else 0)
        scores = 8
        if stack.fused_projections:
            # CodeGen: values are a view that keeps all that the one matrix gave. Queries and keys are cut out of it,
            # and the part of them that is turned, in fp32.
            there = 2 * stack.kv_width if run.cached else 0
            attention += run.tokens * (2 * (stack.query_width + stack.kv_width) + there) * size
    elif stack.fp32_softmax and size < 4:
        scores = size + 4 + (size if run.on_gpu and formats.half else 4)
    else:
        scores = 2 * size
    return attention + stack.heads * run.tokens * keys * scores + _old_scores(stack, run, formats, ended=False)


def masks(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of the masks that eager attention adds to its scores, per sample: one, and one for layers with a window."""
    kinds = 2 if 0 < stack.window_layers < stack.layers else 1
    return kinds * run.tokens * run.keys * formats.stream if stack.causal else 0


def _span(stack: Stack, run: Pass) -> int:
    """Relative positions that are told apart."""
    return 2 * (stack.relative_span if stack.whole_span else min(run.tokens, stack.relative_span))


def _apart_held(stack: Stack, run: Pass, formats: Formats) -> int:
    """The widest moment of a layer that attends to content and to positions apart: what positions say is gathered.

    Scores of content, of content to positions and their sum are there, those of positions to content for each position
    told apart, and what is gathered of them. The layer's input; query, key and value, of one matrix also its result;
    positions as queries and keys, for each sample where all are told apart, else a copy for the product; and the mask,
    in fp32. Of few tokens the feed-forward part is wider, between its input, attention's result and the activation; or
    its end, where the first DeBERTa normalizes in fp32, step by step: three versions.
    """
    size, mask = formats.compute, 4 * run.tokens * run.keys
    span, scores = _span(stack, run), stack.heads * run.tokens * run.keys
    wide, positions = stack.heads * run.tokens * span, span * stack.query_width
    if stack.whole_span:
        apart = 4 * scores + max(wide, scores) + 2 * positions
    else:
        apart = 3 * scores + wide + max(scores, positions)
    hidden = (1 + (3 if stack.whole_span else 5)) * stack.hidden
    forward = (2 * stack.hidden + HELD_WIDTHS[stack.activation] * stack.intermediate) * size
    if not stack.whole_span:
        forward = max(forward, (4 * stack.hidden + stack.intermediate) * size + 3 * 4 * stack.hidden)
    return max((apart + run.tokens * hidden) * size, run.tokens * forward) + mask


def _old_scores(stack: Stack, run: Pass, formats: Formats, *, ended: bool) -> int:
    """Scores that nobody reads any more, in the layer's attention or, `ended`, behind it.

    Its own self-attention's, behind it or under its cross-attention; its cross-attention's, behind that; and the layer
    before's, where layers return them.
    """
    own = 1 if ended or stack.cross_attention else 0
    keys = (own + (1 if stack.returns_scores else 0)) * run.keys
    if ended and stack.cross_attention:
        keys += run.memory
    return stack.heads * run.tokens * keys * formats.compute


def routes(stack: Stack, tokens: int, size: int) -> int:
    """Bytes of what a mixture's experts give, weighted; `size` is that of an element before."""
    return tokens * stack.experts_per_token * stack.hidden * (4 if stack.fp32_routes else size)


def windowed(stack: Stack, run: Pass) -> bool:
    """Whether fused attention gets a mask: of layers whose window is no longer than the text."""
    window = stack.window_tokens
    return run.on_gpu and not run.eager and run.tokens > 1 and window is not None and window <= run.keys


def held_once(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of temporaries that do not grow with the batch: the position bias, and its copy for the layer that runs.

    Of a window, a boolean for each pair of tokens.
    Of positions that are attended to apart: their embeddings, normalized, or as keys and queries; and three tables of
    8-byte indices.
    """
    if stack.relative_span:
        positions = (1 if stack.whole_span else 2) * _span(stack, run) * stack.hidden * formats.compute
        return positions + 3 * 8 * run.tokens * run.keys
    if windowed(stack, run):
        return run.tokens * run.keys
    if not stack.position_bias:
        return 0
    return 2 * stack.heads * run.tokens * max(run.keys, run.memory) * formats.compute


def saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that one layer keeps from its forward to its backward pass, per sample."""
    tokens, dropout = run.tokens, stack.hidden_dropout > 0
    parts = _attention_saved(stack, run, formats, inputs=1 if stack.fused_projections else 3, memory=0)
    if stack.cross_attention:
        parts += _attention_saved(stack, run, formats, inputs=1, memory=run.memory)
    norms = _norms(stack) * _norm_saved(stack, run, formats)
    if stack.query_key_norms:
        norms += (stack.query_width + stack.kv_width) * (4 + (0 if run.adapters else formats.compute))
    if run.adapters:
        norms += adapted(stack, run.adapters) * run.adapters.rank * formats.compute
    drops = (1 if stack.attended_undropped else 2) + (1 if stack.cross_attention else 0)
    masks = drops * stack.hidden * mask_bytes(run, formats) if dropout else 0
    # T5 clamps what fp16 may have overflowed behind each of its parts: what was there before is saved.
    clamps = (3 if stack.cross_attention else 2) if stack.position_bias and formats.half and formats.stream == 2 else 0
    return parts + tokens * (norms + masks + clamps * stack.hidden * 2 + mlp_saved(stack, run, formats))


def _norms(stack: Stack) -> int:
    """Normalizations of a layer that save an input of their own: side by side they read, and save, the same one."""
    if stack.parallel:
        return 1
    return (3 if stack.cross_attention else 2) + (2 if stack.norms_behind else 0)


def shared(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that a whole pass saves whatever the batch size: position biases, which SDPA copies for each layer."""
    if not stack.position_bias or run.eager:
        return 0
    cross = stack.heads * run.tokens * run.memory * formats.compute if stack.cross_attention else 0
    return stack.layers * stack.heads * run.tokens * run.keys * formats.compute + cross


def unreached(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per sample that the first of layers with frozen weights does not save: its input needs no gradient.

    That of its first norm, unless norms stand behind; and the feed-forward part's, where that reads the same hidden
    state as attention does and has no adapters.
    """
    if run.adapters is None or stack.post_norms:
        return 0
    apart = mlp_saved(stack, run, formats) if stack.parallel and not run.adapters.mlp else 0
    return run.tokens * (_norm_saved(stack, run, formats) + apart)


def norm_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per sample that a norm saves which stands behind all layers."""
    return run.tokens * _norm_saved(stack, run, formats)


def adapted(stack: Stack, adapters: Adapters) -> int:
    """Matrices of one layer that have an adapter."""
    attention = (1 if stack.fused_projections else 3) + 1 + (4 if stack.cross_attention else 0)
    return attention + ((2 if stack.gated and not stack.fused_gate else 1) + 1 if adapters.mlp else 0)


def _norm_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per token: LayerNorm saves its input; RMSNorm an fp32 version of it and the normalized one.

    The normalized one is for the gradient of the norm's scales, which frozen ones have not.
    """
    if stack.norm is Norm.LAYER:
        return stack.hidden * formats.stream
    if run.adapters:
        return stack.hidden * (4 + (formats.stream if stack.norm is Norm.T5 and formats.stream < 4 else 0))
    if stack.norm is Norm.GEMMA:
        return stack.hidden * 8
    narrow = formats.stream if stack.norm is Norm.T5 and formats.stream < 4 else 0
    return stack.hidden * (4 + formats.stream + narrow)


def _attention_saved(stack: Stack, run: Pass, formats: Formats, *, inputs: int, memory: int) -> int:
    """Input of the projections, query, key, value, the result and its log-sum-exp; eager: scores as well."""
    size = formats.compute
    # Autocast copies the fp32 input once for each matrix that reads it; without it one tensor serves all.
    copies = inputs if formats.stream != size else 1
    keys = memory or run.keys
    total = run.tokens * (copies * stack.hidden + 2 * stack.query_width) * size + 2 * keys * stack.kv_width * size
    if memory and formats.stream != size and (run.on_gpu or run.adapters):
        # Copies of the encoder's result, for keys and for values. A CPU's trained matrices save them, too, but its
        # unfused attention takes as much less than is counted.
        total += 2 * memory * stack.hidden * size
    if run.adapters and formats.mixed and not run.eager:
        total += run.tokens * stack.query_width * size  # the output matrix's adapter casts its input for itself
    if run.adapters and run.adapters.saves_inputs and formats.result != size:
        total += run.tokens * stack.hidden * formats.result  # beside an adapter's copies
    if stack.fp32_scores and not formats.mixed:
        total += (run.tokens * stack.query_width + keys * stack.kv_width) * (4 - size)
    if stack.fused_projections and stack.rotary and not run.eager:
        # Values are a view of what the one matrix gave, and keep all of it. Queries and keys, of which
        # a part is turned, are put together anew, head by head; so then is the result of flash attention, which a copy
        # orders. Of that copy an adapter, under autocast, saves one of its own, which is counted; the frozen matrix
        # nothing. The kernel for fp32 and for masks gives its result in order.
        unread = run.adapters and formats.mixed and not run.adapters.saves_inputs
        ordered = 0 if unread or (run.on_gpu and (size == 4 or windowed(stack, run))) else 1
        total += run.tokens * ((1 + ordered) * stack.query_width + stack.kv_width) * size
    if run.eager:
        total += 2 * keys * (stack.query_width - stack.kv_width) * size
        total += stack.heads * run.tokens * keys * _score_saved(stack, run, formats)
    else:
        total += 4 * stack.heads * run.tokens
        # Of fp32, and under a mask, another kernel, which wants keys and values for every head of a group.
        repeated = 2 * keys * (stack.query_width - stack.kv_width) * size
        if run.on_gpu and size == 4:
            total += repeated
        if not memory and windowed(stack, run):
            mask = run.tokens * keys * size
            total += (mask + (repeated if size < 4 else 0)) * stack.window_layers // stack.layers
    return total


def _score_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per score of eager attention: softmax's result, its narrower or dropped version, dropout's mask."""
    biased, softmax = formats.mixed and stack.position_bias, softmax_bytes(stack, run, formats)
    capped = formats.compute if stack.capped_scores else 0
    if stack.attention_dropout > 0:
        mask = formats.stream if biased and not run.on_gpu else mask_bytes(run, formats)
        return capped + softmax + formats.compute + mask
    return capped + softmax + (formats.compute if softmax != formats.compute else 0)


def softmax_bytes(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of an element of softmax's result."""
    # A learned bias is fp32 under autocast, and so is its sum with the scores.
    biased = formats.mixed and stack.position_bias
    raised = stack.fp32_softmax or biased or (formats.mixed and run.on_gpu)
    return 4 if raised else formats.compute


def mlp_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per token of the feed-forward part: its input, the activation's steps, the gate's factors, the product."""
    size, width = formats.compute, stack.intermediate
    if stack.experts:
        return _mixture_saved(stack, run, formats)
    inputs = (2 if stack.gated and not stack.fused_gate and formats.stream != size else 1) * stack.hidden * size
    if stack.shared_norm and formats.stream == size:
        inputs = 0  # attention saves it
    widths = SAVED_WIDTHS[stack.activation] + (2 if stack.gated else 0)
    raised = 0
    if raises(stack, run, formats):
        # The input's copy, the tangent, its sum, and the result before a gate.
        raised = (4 if stack.gated else 3) * (4 - size) * width
    inner = 0
    dropped = 0 if stack.gated else 1
    kept = stack.activation == "relu" and not stack.gated  # the activation saves its own result
    narrow = 1  # the product, as the last matrix, or its adapter, reads it
    if run.adapters and run.adapters.saves_inputs:
        narrow = 0
        if formats.result != size:
            inputs = (inputs if run.adapters.mlp else 0) + stack.hidden * formats.result
    elif run.adapters and not run.adapters.mlp:  # no matrix of this part saves its input
        inputs = dropped = narrow = 0
        widths -= 0 if kept else 1
    elif kept and formats.result != size:
        widths += 1
    if stack.inner_dropout and stack.hidden_dropout > 0:
        # A mask; and the dropped version, unless only that is still needed, as behind a gate's product.
        inner = width * mask_bytes(run, formats) + dropped * width * size
    return inputs + ((widths - narrow) * formats.result + narrow * size) * width + raised + inner


def raises(stack: Stack, run: Pass, formats: Formats) -> bool:
    """Whether the activation's steps are in fp32: a GPU's autocast takes powers so."""
    return stack.activation == "gelu_new" and formats.mixed and run.on_gpu and formats.result == formats.compute


def _mixture_saved(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per token of a mixture: the router's input; for each chosen expert its input and result and its layers.

    The grouped multiplication knows no autocast: it computes in the format of the weights. Frozen matrices save
    neither what they nor what the router reads; the result is for the gradient of the factor that weights it.
    """
    frozen = 1 if run.adapters else 0
    size, width = formats.weight, SAVED_WIDTHS[stack.activation] + (2 if stack.gated else 0) - frozen
    one = ((2 - frozen) * stack.hidden + width * stack.intermediate) * size + ROUTE_BYTES
    router = 0 if frozen else stack.hidden * formats.compute
    return router + stack.experts * 4 + stack.experts_per_token * one
