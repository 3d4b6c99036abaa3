"""GPT-2, as transformers builds it."""

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack
from wattmark.models.fields import Fields, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm


def gpt2(fields: Fields) -> Architecture:
    """GPT-2: learned positions, pre-norm layers, output projection tied to the embedding."""
    fields.must_not("add_cross_attention")
    hidden, heads = fields.integer("n_embd", "hidden_size"), fields.integer("n_head", "num_attention_heads")
    stack = Stack(
        layers=fields.integer("n_layer", "num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("n_embd", hidden, heads),
        intermediate=fields.integer("n_inner", default=4 * hidden),
        norm=Norm.LAYER,
        causal=True,
        activation=fields.text("activation_function", default="gelu_new"),
        fused_projections=True,
        holds_attended=True,
        hidden_dropout=fields.share("resid_pdrop", default=0.1),
        attention_dropout=fields.share("attn_pdrop", default=0.1),
    )
    vocab = fields.integer("vocab_size")
    positions = fields.integer("n_positions", "max_position_embeddings", default=1024)
    tied = fields.flag("tie_word_embeddings", default=True)
    return Architecture(
        model_type="gpt2",
        family=Family.DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            embedding("embeddings.position", positions, hidden),
            *attention("layers.attention", stack, Per.DECODER_TOKEN, qkv_bias=True, out_bias=True),
            *mlp("layers.mlp", stack, Per.DECODER_TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * stack.layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=((Head.BASE, ()), (Head.CAUSAL_LM, (lm_head(hidden, vocab, tied=tied),))),
        decoder=stack,
        vocab=vocab,
        max_positions=positions,
        tied=tied,
        checkpoint_tied=tied,
    )
