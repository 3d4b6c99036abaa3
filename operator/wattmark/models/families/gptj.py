"""GPT-J and CodeGen, as transformers builds them: rotary positions, attention and feed-forward side by side."""

from dataclasses import replace

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, embedding, lm_head, mlp, norm

TOKEN = Per.DECODER_TOKEN
FP32_BYTES = 4


def gptj(fields: Fields) -> Architecture:
    """GPT-J: one normalization a layer, read by attention and feed-forward alike; an output projection with a bias."""
    hidden, heads = fields.integer("n_embd", "hidden_size"), fields.integer("n_head", "num_attention_heads")
    layers = fields.integer("n_layer", "num_hidden_layers")
    head_dim = divides("n_embd", hidden, heads)
    # With null the whole of a head is turned, by tables as wide as the model.
    rotary = (
        None
        if "rotary_dim" in fields and fields.raw("rotary_dim") is None
        else fields.integer("rotary_dim", default=64)
    )
    stack = Stack(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=head_dim,
        intermediate=fields.integer("n_inner", default=4 * hidden),
        norm=Norm.LAYER,
        causal=True,
        activation=fields.text("activation_function", default="gelu_new"),
        rotary=True,
        rotary_dim=rotary or head_dim,
        parallel=True,
        shared_norm=True,
        unfused_attention=True,
        fp32_scores=True,
        fp32_softmax=True,
        returns_scores=True,
        hidden_dropout=fields.share("resid_pdrop", default=0.0),
        attention_dropout=fields.share("attn_pdrop", default=0.0),
    )
    vocab = fields.integer("vocab_size")
    positions = fields.integer("n_positions", "max_position_embeddings", default=2048)
    tied = fields.flag("tie_word_embeddings", default=False)
    return Architecture(
        model_type=fields.text("model_type", default="gptj"),
        family=Family.DECODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=False, out_bias=False),
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=((Head.BASE, ()), (Head.CAUSAL_LM, (lm_head(hidden, vocab, tied=tied, bias=True),))),
        decoder=stack,
        vocab=vocab,
        max_positions=positions,
        tied=tied,
        checkpoint_tied=tied,
        # Each layer keeps sines and cosines of its own.
        table_bytes=layers * positions * (rotary or hidden) * FP32_BYTES,
    )


def codegen(fields: Fields) -> Architecture:
    """CodeGen: GPT-J with one matrix for query, key and value, cut into four parts."""
    if fields.integer("n_head", "num_attention_heads") % 4:
        raise OddFieldError("n_head", "transformers cuts CodeGen's heads into 4 equal parts")
    found = gptj(fields)
    assert found.decoder is not None  # a GPT-J has one
    return replace(found, decoder=replace(found.decoder, fused_projections=True))
