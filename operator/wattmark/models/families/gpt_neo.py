"""GPT-Neo, as transformers builds it."""

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm

TOKEN = Per.DECODER_TOKEN
DEFAULT_KINDS = [[["global", "local"], 12]]
MOST_KINDS = 64


def gpt_neo(fields: Fields) -> Architecture:
    """GPT-Neo: learned positions; every other layer sees a window, but by a mask alone: it computes and keeps all."""
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_heads", "num_attention_heads")
    layers = fields.integer("num_layers", "num_hidden_layers")
    local = _local(fields, layers)
    stack = Stack(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("hidden_size", hidden, heads),
        intermediate=fields.integer("intermediate_size", default=4 * hidden),
        norm=Norm.LAYER,
        causal=True,
        local_layers=local,
        activation=fields.text("activation_function", default="gelu_new"),
        holds_attended=True,
        unfused_attention=True,
        fp32_scores=True,
        fp32_softmax=True,
        returns_scores=True,
        hidden_dropout=fields.share("resid_dropout", default=0.0),
        attention_dropout=fields.share("attention_dropout", default=0.0),
    )
    vocab = fields.integer("vocab_size")
    positions = fields.integer("max_position_embeddings", default=2048)
    tied = fields.flag("tie_word_embeddings", default=True)
    return Architecture(
        model_type="gpt_neo",
        family=Family.DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            embedding("embeddings.position", positions, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=False, out_bias=True),
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=((Head.BASE, ()), (Head.CAUSAL_LM, (lm_head(hidden, vocab, tied=tied),))),
        decoder=stack,
        vocab=vocab,
        max_positions=positions,
        tied=tied,
        checkpoint_tied=tied,
        static_cache=False,  # its mask is cut by the number of keys, those not yet written included
        table_bytes=layers * positions**2,  # each layer keeps its mask, as booleans
    )


def _local(fields: Fields, layers: int) -> int:
    """How many layers see a window: `attention_types` is a list of [kinds, repetitions], one kind for each layer."""
    runs, named, local = fields.raw("attention_types") or DEFAULT_KINDS, 0, 0
    if not isinstance(runs, list | tuple) or len(runs) > MOST_KINDS:
        raise OddFieldError("attention_types", f"is {runs!r:.60}, not a list of at most {MOST_KINDS}")
    for run in runs:
        if not isinstance(run, list | tuple) or len(run) != 2 or not isinstance(run[0], list | tuple):
            raise OddFieldError("attention_types", f"holds {run!r:.60}, not [kinds, repetitions]")
        if any(kind not in ("global", "local") for kind in run[0]):
            raise OddFieldError("attention_types", f"holds {run[0]!r:.60}; only global and local are known")
        repeated = Fields({"attention_types": run[1]}).integer("attention_types")
        named += len(run[0]) * repeated
        local += sum(kind == "local" for kind in run[0]) * repeated
    if named != layers:
        raise OddFieldError("attention_types", f"names {named} layers, not {layers}")
    return local
