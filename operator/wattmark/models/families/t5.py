"""T5 and Flan-T5 (T5 1.1), as transformers builds them."""

from dataclasses import replace

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, OddFieldError
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm


def t5(fields: Fields) -> Architecture:
    """T5: relative position biases shared by the layers of a side, RMSNorm (of its own kind), no biases at all."""
    fields.must_not("is_decoder")
    if not fields.flag("is_encoder_decoder", default=True):
        raise OddFieldError("is_encoder_decoder", "a T5 without its decoder is not covered by the closed form")
    activation = fields.text("feed_forward_proj", default="relu").split("-")
    heads, layers = fields.integer("num_heads", "num_attention_heads"), fields.integer("num_layers")
    dropout = fields.share("dropout_rate", default=0.1)
    encoder = Stack(
        layers=layers,
        hidden=fields.integer("d_model", "hidden_size"),
        heads=heads,
        kv_heads=heads,
        head_dim=fields.integer("d_kv", default=64),
        intermediate=fields.integer("d_ff"),
        norm=Norm.T5,
        causal=False,
        # A gate's plain "gelu" means the approximation by tanh, for checkpoints older than its name.
        activation="gelu_new" if activation == ["gated", "gelu"] else activation[-1],
        inner_dropout=True,
        gated=activation[0] == "gated",
        position_bias=True,
        hidden_dropout=dropout,
        attention_dropout=dropout,
    )
    decoder = replace(
        encoder, layers=fields.integer("num_decoder_layers", default=layers), causal=True, cross_attention=True
    )
    vocab, hidden = fields.integer("vocab_size"), encoder.hidden
    buckets = fields.integer("relative_attention_num_buckets", default=32)
    return Architecture(
        model_type="t5",
        family=Family.ENCODER_DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            *_side("encoder", encoder, Per.ENCODER_TOKEN, buckets),
            *_side("decoder", decoder, Per.DECODER_TOKEN, buckets),
        ),
        heads=((Head.BASE, ()), (Head.SEQ2SEQ_LM, (lm_head(hidden, vocab, tied=True),))),
        encoder=encoder,
        decoder=decoder,
        vocab=vocab,
        tied=True,
        # transformers ties a freshly built T5 whatever this field says, yet keeps the projection of its own that a
        # published T5 1.1 checkpoint holds.
        checkpoint_tied=fields.flag("tie_word_embeddings", default=True),
    )


def _side(name: str, stack: Stack, token: Per, buckets: int) -> tuple[Weights, ...]:
    cross: tuple[Weights, ...] = ()
    if stack.cross_attention:
        memory = Per.ENCODER_TOKEN
        cross = attention(f"{name}.cross", stack, token, qkv_bias=False, out_bias=False, memory=memory)
    return (
        embedding(f"{name}.position_bias", buckets, stack.heads),
        *attention(f"{name}.attention", stack, token, qkv_bias=False, out_bias=False),
        *cross,
        *mlp(f"{name}.mlp", stack, token, bias=False),
        norm(f"{name}.norms", stack.hidden, Norm.T5, count=(3 if cross else 2) * stack.layers),
        norm(f"{name}.norm", stack.hidden, Norm.T5),
    )
