"""Memory of inference: load, one forward pass, prefill and decode."""

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate import convolution, inverted, quantized, sound, static_cache, transformer
from wattmark.estimate.interval import MIB, Interval, exact, spread
from wattmark.estimate.parts import Part, PhaseParts
from wattmark.estimate.question import Question
from wattmark.estimate.transformer import Pass
from wattmark.models import Family, Norm, Stack

# How far from the truth the closed form of temporaries has been: two hidden buffers more or less than assumed make a
# quarter, and PyTorch frees some of them earlier than the form assumes.
TEMPORARIES = (0.6, 1.3)
CONVOLUTIONS = (0.5, 1.6)
SMALL_TENSORS = 16 * MIB  # masks, positions, rotary tables, sampling


def phases(question: Question) -> tuple[PhaseParts, ...]:
    """Every phase of an inference run with what the allocator holds at its fullest; workspaces apart."""
    weights = weights_part(question)
    loaded = PhaseParts(Phase.LOAD, (weights, quantized.loading(question)))
    products = quantized.forward(question, question.rows)
    if question.architecture.vocab is None or question.architecture.family is Family.ENCODER:
        return loaded, PhaseParts(Phase.FORWARD, (weights, _temporaries(question), products))
    cache = _cache(question, steps=0)
    # An encoder has run before there is a cache; logits come when the layers' temporaries are gone.
    layers = [
        PhaseParts(
            Phase.PREFILL, (weights, *((cache,) if stack.causal else ()), _layer(question, stack, run), products)
        )
        for stack, run in question.passes
    ]
    logits = PhaseParts(Phase.PREFILL, (weights, cache, _hidden(question), _logits(question)))
    if question.output_tokens < 2:  # the prompt's pass gives the first one
        return loaded, *layers, logits
    grown = _cache(question, question.output_tokens)
    products = quantized.forward(question, question.batch)
    decode = PhaseParts(Phase.DECODE, (weights, grown, _decode_temporaries(question), products, _logits(question)))
    return loaded, *layers, logits, decode


def weights_part(question: Question) -> Part:
    """The weights, as the framework stores them: unique tensors, batch norm's running statistics included."""
    count = question.count
    size = quantized.weight_bytes(question)
    tables = question.architecture.table_bytes
    adapters = question.trained_elements * question.formats.weight if question.adapters else 0
    return Part(
        ComponentName.WEIGHTS,
        exact(size + tables + adapters),
        (
            f"{count.total + count.buffers} stored elements x {question.formats.weight} B, tied weights once"
            if question.resolved.quantization is None
            else f"{count.total + count.buffers} stored elements, linear layers quantized{_apart(question)}: {size} B"
        )
        + (f"; {tables} B of fixed tables" if tables else "")
        + (f"; {adapters} B of adapters" if adapters else ""),
    )


def _apart(question: Question) -> str:
    """What of a mixture is no linear layer to transformers, and so is not quantized."""
    experts = sum(stack.layers * stack.expert_elements for stack in question.stacks)
    return f" but {experts} {quantized.EXPERTS_APART}" if experts else ""


def _temporaries(question: Question) -> Part:
    size, batch = question.formats.compute, question.batch
    if question.architecture.convolutions:
        likely = batch * convolution.held(question.architecture, question.pixels, size)
        return Part(
            ComponentName.ACTIVATIONS,
            spread(likely, *CONVOLUTIONS, SMALL_TENSORS),
            "widest convolution: batch x (image + input + output + larger of both) x B, from the plan of layers",
        )
    if question.architecture.inverted:
        return Part(
            ComponentName.ACTIVATIONS,
            spread(inverted.held(question), *CONVOLUTIONS, SMALL_TENSORS),
            "widest block: batch x (input + widened + twice what its channels' convolution gives) x B",
        )
    ((stack, run),) = question.passes
    return _layer(question, stack, run)


def _layer(question: Question, stack: Stack, run: Pass) -> Part:
    """At the widest moment of a layer, or, of a stack that hears, of what stands in front of its layers."""
    batch, formats = question.batch, question.formats
    kept = batch * run.memory * question.architecture.hidden * formats.compute + question.pixel_bytes
    kept += sound.kept(question)
    if stack.keeps_states:
        others = stack.layers - 1  # the last one's input is held anyway
        kept += others * batch * run.tokens * stack.hidden * formats.compute
    if question.output_tokens and stack.cross_attention:
        kept += 2 * batch * run.memory * stack.kv_width * formats.compute  # keys and values: the cache takes a copy
    once = transformer.held_once(stack, run, formats)
    # A mask is made for windows, with or without a static cache; an encoder knows neither.
    masked = static_cache.masked(stack, run, formats) if stack.causal else 0
    likely = kept + once + batch * transformer.held(stack, run, formats, masked=masked)
    front = 0 if stack.causal else sound.front(question)
    if front > likely:
        return Part(
            ComponentName.ACTIVATIONS,
            spread(sound.given(question) + front, *CONVOLUTIONS, SMALL_TENSORS),
            "the sound, and the widest convolution along it: batch x (input + output) x B",
        )
    return Part(
        ComponentName.ACTIVATIONS,
        spread(sound.given(question) + likely, *TEMPORARIES, SMALL_TENSORS),
        transformer.HELD_FORMULA,
    )


def _hidden(question: Question) -> Part:
    """What is left of the layers when logits are computed: the last hidden states of each side; T5 scales them first.

    T5ForConditionalGeneration.forward, unless the configuration says that the projection is not tied (T5 1.1).
    """
    stack, run = question.passes[-1]
    scaled = run.tokens if stack.norm is Norm.T5 and question.architecture.checkpoint_tied else 0
    tokens = scaled + sum(run.tokens for _, run in question.passes)
    size = question.batch * tokens * question.architecture.hidden * question.formats.stream
    return Part(ComponentName.ACTIVATIONS, spread(size, 1, 2, SMALL_TENSORS), "batch x tokens x hidden x B")


def _decode_temporaries(question: Question) -> Part:
    decoder = question.architecture.decoder
    assert decoder is not None  # only models that generate get here
    size, batch = question.formats.compute, question.batch
    keys = _keys(question, question.output_tokens)
    # The cache of a layer grows by concatenation: for a moment its old and its new keys are both there, then values; of
    # one that slides, both of both.
    old = 2 if decoder.window_layers else 1
    grown = 0 if question.static_tokens else old * batch * keys * decoder.kv_width * size
    memory = question.input_tokens if decoder.cross_attention else 0
    encoded = batch * memory * question.architecture.hidden * size + sound.given(question)
    step = Pass(1, keys, memory, question.eager(decoder), cached=True)
    once = transformer.held_once(decoder, step, question.formats)
    masked = static_cache.masked(decoder, step, question.formats) if question.static_tokens else 0
    # The old one is gone when attention copies: in fp32 keys and values for every head of a group, which its fused
    # kernel wants; eager attention counts that itself.
    grouped = decoder.kv_heads < decoder.heads and size == 4 and not step.eager and not question.static_tokens
    copied = 2 * batch * keys * decoder.query_width * size if grouped else 0
    layer = copied + batch * transformer.held(decoder, step, question.formats, masked=masked)
    likely = encoded + once + max(grown, layer)
    return Part(
        ComponentName.ACTIVATIONS,
        spread(likely, *TEMPORARIES, SMALL_TENSORS),
        "one token's layer, and its mask"
        if question.static_tokens
        else "one layer's keys and values copied as they grow: 2 x batch x tokens x kv heads x head size x B; "
        "one token's layer",
    )


def _keys(question: Question, steps: int) -> int:
    if question.static_tokens:
        return question.static_tokens
    if question.architecture.family is Family.ENCODER_DECODER:
        return max(1, steps)
    return question.input_tokens + max(0, steps - 1)  # nothing reads the last token that is generated


def cache_bytes(stack: Stack, batch: int, keys: int, windowed: int, memory: int, size: int) -> int:
    """Keys and values of all layers; one with a window keeps no more than `windowed`, cross-attention the encoder's."""
    tokens = (stack.layers - stack.window_layers) * keys + stack.window_layers * windowed
    if stack.cross_attention:
        tokens += stack.layers * memory
    return 2 * batch * tokens * stack.kv_width * size


def _cache(question: Question, steps: int) -> Part:
    decoder = question.architecture.decoder
    assert decoder is not None  # only models that generate get here
    memory = question.input_tokens if decoder.cross_attention else 0
    keys = _keys(question, steps) if question.output_tokens else question.input_tokens
    # What is kept of a prompt that is longer than the window is a view of all of it (DynamicSlidingWindowLayer.update)
    # till the first token's step is through the layer.
    most = decoder.window_tokens or keys
    if not question.static_tokens:
        most = max(most, question.input_tokens)
    return Part(
        ComponentName.KV_CACHE,
        exact(cache_bytes(decoder, question.batch, keys, min(keys, most), memory, question.formats.compute)),
        "2 x layers x kv heads x head size x B x batch x tokens; a window's layers keep no more than window or prompt",
    )


def _logits(question: Question) -> Part:
    vocab, batch, size = question.architecture.vocab or 0, question.batch, question.formats.compute
    if question.architecture.family is Family.ENCODER_DECODER and not question.output_tokens:
        every = batch * question.input_tokens * vocab * size
        return Part(ComponentName.LOGITS, exact(every), "batch x tokens x vocabulary x B: a target's every position")
    return Part(
        ComponentName.LOGITS,
        Interval(batch * vocab * size, batch * vocab * size, batch * vocab * (size + 8)),
        "batch x vocabulary x B: the last position alone; at most two fp32 copies of it",
    )
