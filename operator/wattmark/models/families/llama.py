"""Llama and decoders built like it: Mistral, Qwen, Phi-3, Gemma 2. Rotary positions, RMSNorm, gated feed-forward."""

from dataclasses import dataclass, replace

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm

TOKEN = Per.DECODER_TOKEN
WINDOWED = "sliding_attention"
LAYER_TYPES = ("full_attention", WINDOWED)


@dataclass(frozen=True, slots=True)
class _Biases:
    qkv: bool = False
    out: bool = False
    mlp: bool = False


def llama(fields: Fields) -> Architecture:
    """Llama 1, 2 and 3 (and TinyLlama, Vicuna and others of the same type)."""
    every = fields.flag("attention_bias", default=False)
    biases = _Biases(every, every, fields.flag("mlp_bias", default=False))
    return _decoder(fields, _stack(fields, _head_dim(fields)), biases, 2048)


def mistral(fields: Fields) -> Architecture:
    """Mistral: every layer attends within the sliding window, if there is one."""
    stack = _stack(fields, _head_dim(fields), kv_heads=8)
    # A missing window is transformers' default; null means none.
    window = 4096 if "sliding_window" not in fields else fields.optional("sliding_window")
    stack = replace(stack, window_tokens=window, window_layers=stack.layers if window else 0)
    return _decoder(fields, stack, _Biases(), 131072)


def mixtral(fields: Fields) -> Architecture:
    """Mixtral: Mistral with a mixture of experts in every layer."""
    stack = _stack(fields, _head_dim(fields), kv_heads=8)
    window = fields.optional("sliding_window")
    stack = replace(
        _experts(stack, fields.integer("num_local_experts", "num_experts", default=8), _chosen(fields, 2)),
        fp32_routes=True,
        window_tokens=window,
        window_layers=stack.layers if window else 0,
    )
    return _decoder(fields, stack, _Biases(), 131072)


def phi3(fields: Fields) -> Architecture:
    """Phi-3, Phi-3.5 mini and Phi-4: one matrix for query, key and value, one for gate and up."""
    dropout = fields.share("resid_pdrop", default=0.0)
    window = fields.optional("sliding_window")
    stack = _stack(fields, _head_dim(fields))
    stack = replace(
        stack,
        fused_projections=True,
        fused_gate=True,
        rotary_dim=int(stack.head_dim * fields.share("partial_rotary_factor", default=1.0)),
        hidden_dropout=dropout,
        window_tokens=window,
        window_layers=stack.layers if window else 0,
    )
    return _decoder(fields, stack, _Biases(), 4096)


def gemma2(fields: Fields) -> Architecture:
    """Gemma 2: every other layer attends within a window; each part is normalized before and behind itself."""
    stack = _stack(fields, fields.integer("head_dim", default=256), kv_heads=4)
    types = _layer_types(fields, stack.layers)
    windowed = (stack.layers + 1) // 2 if types is None else types.count(WINDOWED)
    stack = replace(
        stack,
        activation=fields.text("hidden_activation", default="gelu_pytorch_tanh"),
        norm=Norm.GEMMA,
        norms_behind=True,
        unfused_attention=True,
        capped_scores=_capped(fields, "attn_logit_softcapping", 50),
        window_tokens=fields.integer("sliding_window", default=4096) if windowed else None,
        window_layers=windowed,
    )
    every = fields.flag("attention_bias", default=False)
    more = norm("layers.norms_behind", stack.hidden, Norm.RMS, count=2 * stack.layers)
    found = _decoder(fields, stack, _Biases(every, every), 8192, (more,), tied=True)
    return replace(found, capped_logits=_capped(fields, "final_logit_softcapping", 30))


def _capped(fields: Fields, name: str, default: int) -> bool:
    """Whether a cap is set; null is none."""
    value = fields.raw(name) if name in fields else default
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise OddFieldError(name, f"is {value!r:.60}, not a number")
    return value is not None


def qwen2(fields: Fields) -> Architecture:
    """Qwen 2 and 2.5: biases on query, key and value."""
    return _decoder(
        fields, _qwen_windows(fields, _stack(fields, _head_dim(fields), kv_heads=32)), _Biases(qkv=True), 32768
    )


def qwen3(fields: Fields) -> Architecture:
    """Qwen 3: query and key are normalized per head; the head size is its own field."""
    stack = _stack(fields, fields.integer("head_dim", default=128), kv_heads=32)
    stack = replace(_qwen_windows(fields, stack), query_key_norms=True)
    every = fields.flag("attention_bias", default=False)
    query_key = norm("layers.attention.query_key_norms", stack.head_dim, Norm.RMS, count=2 * stack.layers)
    return _decoder(fields, stack, _Biases(every, every), 32768, (query_key,))


def qwen3_moe(fields: Fields) -> Architecture:
    """Qwen 3 with a mixture of experts in every layer."""
    fields.must_not("mlp_only_layers", [])
    fields.must_not("decoder_sparse_step", 1)
    stack = _stack(fields, _head_dim(fields), kv_heads=4)
    experts = fields.integer("num_experts", "num_local_experts", default=128)
    stack = replace(_experts(stack, experts, _chosen(fields, 8)), query_key_norms=True)
    stack = replace(stack, intermediate=fields.integer("moe_intermediate_size", default=768))
    window = fields.optional("sliding_window") if fields.flag("use_sliding_window", default=False) else None
    stack = replace(stack, window_tokens=window, window_layers=stack.layers if window else 0)
    every = fields.flag("attention_bias", default=False)
    query_key = norm("layers.attention.query_key_norms", stack.head_dim, Norm.RMS, count=2 * stack.layers)
    return _decoder(fields, stack, _Biases(every, every), 32768, (query_key,))


def _chosen(fields: Fields, default: int) -> int:
    return fields.integer("num_experts_per_tok", default=default)


def _experts(stack: Stack, experts: int, chosen: int) -> Stack:
    if chosen > experts:
        raise OddFieldError("num_experts_per_tok", f"chooses {chosen} of {experts} experts")
    return replace(stack, experts=experts, experts_per_token=chosen, fused_gate=True)


def _head_dim(fields: Fields) -> int:
    own = fields.optional("head_dim")
    return own or divides("hidden_size", fields.integer("hidden_size"), fields.integer("num_attention_heads"))


def _stack(fields: Fields, head_dim: int, kv_heads: int | None = None) -> Stack:
    """`kv_heads` is the class's own default; Llama's is as many as query heads."""
    heads = fields.integer("num_attention_heads")
    key_heads = fields.integer("num_key_value_heads", default=kv_heads or heads)
    divides("num_attention_heads", heads, key_heads)
    layers = fields.integer("num_hidden_layers")
    _layer_types(fields, layers)  # of a class that does not read them too: transformers refuses odd ones in all
    return Stack(
        layers=layers,
        hidden=fields.integer("hidden_size"),
        heads=heads,
        kv_heads=key_heads,
        head_dim=head_dim,
        intermediate=fields.integer("intermediate_size"),
        norm=Norm.RMS,
        causal=True,
        activation=fields.text("hidden_act", default="silu"),
        gated=True,
        rotary=True,
        fp32_softmax=True,
        attention_dropout=fields.share("attention_dropout", default=0.0),
    )


def _qwen_windows(fields: Fields, stack: Stack) -> Stack:
    if not fields.flag("use_sliding_window", default=False):
        return stack
    window = fields.integer("sliding_window", default=4096)
    types = _layer_types(fields, stack.layers)
    if types is None:
        layers = max(0, stack.layers - fields.integer("max_window_layers", default=28, low=0))
    else:
        layers = types.count(WINDOWED)
    return replace(stack, window_tokens=window if layers else None, window_layers=layers)


def _layer_types(fields: Fields, layers: int) -> tuple[object, ...] | None:
    """Each layer's kind of attention, where the configuration names them."""
    types = fields.raw("layer_types")
    if types is None:
        return None
    if not isinstance(types, list | tuple) or len(types) != layers:
        raise OddFieldError("layer_types", f"does not name the kind of each of the {layers} layers")
    for kind in types:
        if kind not in LAYER_TYPES:
            raise OddFieldError("layer_types", f"holds {kind!r:.60}; only {' and '.join(LAYER_TYPES)} are known")
    return tuple(types)


def _decoder(
    fields: Fields,
    stack: Stack,
    biases: _Biases,
    positions: int,
    more: tuple[Weights, ...] = (),
    *,
    tied: bool = False,
) -> Architecture:
    """`positions`, and whether the output projection is `tied`, are the class's own defaults."""
    vocab, hidden = fields.integer("vocab_size"), stack.hidden
    tied = fields.flag("tie_word_embeddings", default=tied)
    return Architecture(
        model_type=fields.text("model_type", default="llama"),
        family=Family.DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=biases.qkv, out_bias=biases.out),
            *mlp("layers.mlp", stack, TOKEN, bias=biases.mlp),
            norm("layers.norms", hidden, Norm.RMS, count=2 * stack.layers),
            *more,
            norm("norm", hidden, Norm.RMS),
        ),
        heads=((Head.BASE, ()), (Head.CAUSAL_LM, (lm_head(hidden, vocab, tied=tied),))),
        decoder=stack,
        vocab=vocab,
        max_positions=fields.integer("max_position_embeddings", default=positions),
        tied=tied,
        checkpoint_tied=tied,
    )
