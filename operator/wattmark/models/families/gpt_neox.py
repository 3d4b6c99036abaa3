"""GPT-NeoX and Pythia, as transformers builds them."""

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack
from wattmark.models.fields import Fields, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm

TOKEN = Per.DECODER_TOKEN


def gpt_neox(fields: Fields) -> Architecture:
    """GPT-NeoX: rotary positions on a part of each head; attention and feed-forward side by side or in turn."""
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    head_dim = divides("hidden_size", hidden, heads)
    stack = Stack(
        layers=fields.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate=fields.integer("intermediate_size"),
        norm=Norm.LAYER,
        causal=True,
        activation=fields.text("hidden_act", default="gelu"),
        fused_projections=True,
        rotary=True,
        rotary_dim=int(head_dim * fields.share("rotary_pct", default=0.25)),
        parallel=fields.flag("use_parallel_residual", default=True),
        fp32_softmax=True,
        hidden_dropout=fields.share("hidden_dropout", default=0.0),
        attention_dropout=fields.share("attention_dropout", default=0.0),
    )
    vocab = fields.integer("vocab_size")
    tied = fields.flag("tie_word_embeddings", default=False)
    biased = fields.flag("attention_bias", default=True)
    return Architecture(
        model_type="gpt_neox",
        family=Family.DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=biased, out_bias=biased),
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * stack.layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=((Head.BASE, ()), (Head.CAUSAL_LM, (lm_head(hidden, vocab, tied=tied),))),
        decoder=stack,
        vocab=vocab,
        max_positions=fields.integer("max_position_embeddings", default=2048),
        tied=tied,
        checkpoint_tied=tied,
    )
