"""DeBERTa and DeBERTa v2 (and v3, which is v2 with other training), as transformers builds them."""

from collections.abc import Iterator

from wattmark.models.architecture import Architecture, Family, Head, Kind, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, embedding, linear, mlp, norm

TOKEN = Per.ENCODER_TOKEN


def deberta(fields: Fields) -> Architecture:
    """DeBERTa: content and relative position are attended to apart; one matrix for query, key and value."""
    fields.must_not("talking_head")
    kinds = _position_kinds(fields)
    stack = _stack(fields, _reach(fields), whole_span=False)
    hidden, layers, relative = stack.hidden, stack.layers, fields.flag("relative_attention", default=False)
    more: list[Weights] = [
        linear("layers.attention.joint", hidden, 3 * hidden, TOKEN, bias=False, count=layers),
        Weights("layers.attention.biases", Kind.OTHER, hidden, count=2 * layers),
        linear("layers.attention.output", hidden, hidden, TOKEN, count=layers),
    ]
    if relative:
        more.append(embedding("positions", 2 * _reach(fields), hidden))
        if "c2p" in kinds:
            more.append(linear("layers.attention.position_key", hidden, hidden, Per.SAMPLE, bias=False, count=layers))
        if "p2c" in kinds:
            more.append(linear("layers.attention.position_query", hidden, hidden, Per.SAMPLE, count=layers))
    return _encoder(fields, stack, tuple(more), kinds)


def deberta_v2(fields: Fields) -> Architecture:
    """DeBERTa v2 and v3: positions share the projections of content, and are counted in buckets."""
    kinds = _position_kinds(fields)
    stack = _stack(fields, _buckets(fields) or _reach(fields), whole_span=True)
    hidden, layers, relative = stack.hidden, stack.layers, fields.flag("relative_attention", default=False)
    more: list[Weights] = list(attention("layers.attention", stack, TOKEN, qkv_bias=True, out_bias=True))
    if relative:
        more.append(embedding("positions", 2 * (_buckets(fields) or _reach(fields)), hidden))
        apart = () if fields.flag("share_att_key", default=False) else kinds
        more += (linear(f"layers.attention.{kind}", hidden, hidden, Per.SAMPLE, count=layers) for kind in apart)
    if "layer_norm" in fields.text("norm_rel_ebd", default="none").lower():
        more.append(norm("positions.norm", hidden, Norm.LAYER))
    kernel = fields.integer("conv_kernel_size", default=0, low=0)
    if kernel:
        inputs = divides("conv_groups", hidden, fields.integer("conv_groups", default=1))
        more.append(Weights("convolution", Kind.CONVOLUTION, hidden, inputs * kernel, bias=True, per=TOKEN))
        more.append(norm("convolution.norm", hidden, Norm.LAYER))
    return _encoder(fields, stack, tuple(more), kinds)


def _stack(fields: Fields, span: int, *, whole_span: bool) -> Stack:
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    size = divides("hidden_size", hidden, heads)
    if fields.optional("attention_head_size") not in (None, size):
        raise OddFieldError("attention_head_size", f"is not hidden_size / num_attention_heads, {size}")
    return Stack(
        layers=fields.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=size,
        intermediate=fields.integer("intermediate_size"),
        norm=Norm.LAYER,
        causal=False,
        activation=fields.text("hidden_act", default="gelu"),
        unfused_attention=True,
        keeps_states=True,
        relative_span=span if fields.flag("relative_attention", default=False) else 0,
        whole_span=whole_span,
        hidden_dropout=fields.share("hidden_dropout_prob", default=0.1),
        attention_dropout=fields.share("attention_probs_dropout_prob", default=0.1),
    )


def _position_kinds(fields: Fields) -> tuple[str, ...]:
    """Which of c2p (content to position) and p2c there are: a list, or a string of them with | between."""
    given = fields.raw("pos_att_type") or ()
    kinds = given.lower().split("|") if isinstance(given, str) else given
    if not isinstance(kinds, list | tuple) or any(kind not in ("c2p", "p2c", "p2p") for kind in kinds):
        raise OddFieldError("pos_att_type", f"is {given!r:.60}; c2p, p2c and p2p are known")
    return tuple(kind for kind in ("c2p", "p2c") if kind in kinds)


def _reach(fields: Fields) -> int:
    """How far positions are told apart, in tokens to either side; less than 1 means the longest sequence."""
    return _positive(fields, "max_relative_positions") or fields.integer("max_position_embeddings", default=512)


def _buckets(fields: Fields) -> int:
    return _positive(fields, "position_buckets")


def _positive(fields: Fields, name: str) -> int:
    """A field of which -1 means none; none is 0."""
    return 0 if fields.raw(name) == -1 else fields.integer(name, default=0, low=0)


def _embeddings(fields: Fields, hidden: int) -> Iterator[Weights]:
    width = fields.integer("embedding_size", default=hidden)
    yield embedding("embeddings.word", fields.integer("vocab_size"), width)
    if fields.flag("position_biased_input", default=True):
        yield embedding("embeddings.position", fields.integer("max_position_embeddings", default=512), width)
    if types := fields.integer("type_vocab_size", default=0, low=0):
        yield embedding("embeddings.token_type", types, width)
    if width != hidden:
        yield linear("embeddings.projection", width, hidden, TOKEN, bias=False)
    yield norm("embeddings.norm", hidden, Norm.LAYER)


def _encoder(
    fields: Fields, stack: Stack, attention_weights: tuple[Weights, ...], kinds: tuple[str, ...]
) -> Architecture:
    hidden, labels = stack.hidden, fields.labels()
    pooled = fields.integer("pooler_hidden_size", default=hidden)
    classifier = (linear("pooler", pooled, pooled, Per.SAMPLE), linear("classifier", hidden, labels, Per.SAMPLE))
    return Architecture(
        model_type=fields.text("model_type", default="deberta-v2"),
        family=Family.ENCODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            *_embeddings(fields, hidden),
            *attention_weights,
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * stack.layers),
        ),
        heads=((Head.BASE, ()), (Head.SEQUENCE_CLASSIFICATION, classifier)),
        encoder=stack,
        vocab=fields.integer("vocab_size"),
        max_positions=fields.integer("max_position_embeddings", default=512),
        labels=labels,
        unmodelled="" if stack.relative_span and len(kinds) == 2 else "attention to content or to positions alone",
        only_inference="what attention to content and to positions apart saves",
    )
