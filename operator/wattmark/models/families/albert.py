"""ALBERT, as transformers builds it: layers of a group share their weights, embeddings are narrower than layers."""

from collections.abc import Iterator
from dataclasses import replace

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, divides
from wattmark.models.layers import attention, embedding, linear, mlp, norm

TOKEN = Per.ENCODER_TOKEN


def albert(fields: Fields) -> Architecture:
    """ALBERT: BERT's layers, of which each group keeps one copy, or `inner_group_num` in a row."""
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    inner = fields.integer("inner_group_num", default=1)
    stack = Stack(
        layers=fields.integer("num_hidden_layers") * inner,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("hidden_size", hidden, heads),
        intermediate=fields.integer("intermediate_size"),
        norm=Norm.LAYER,
        causal=False,
        activation=fields.text("hidden_act", default="gelu_new"),
        post_norms=True,
        holds_projections=True,
        hidden_dropout=fields.share("hidden_dropout_prob", default=0.0),
        attention_dropout=fields.share("attention_probs_dropout_prob", default=0.0),
    )
    copies = fields.integer("num_hidden_groups", default=1) * inner
    vocab, width = fields.integer("vocab_size"), fields.integer("embedding_size", default=128)
    positions, labels = fields.integer("max_position_embeddings", default=512), fields.labels()
    pooler = linear("pooler", hidden, hidden, Per.SAMPLE)
    return Architecture(
        model_type="albert",
        family=Family.ENCODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, width),
            embedding("embeddings.position", positions, width),
            embedding("embeddings.token_type", fields.integer("type_vocab_size", default=2), width),
            norm("embeddings.norm", width, Norm.LAYER),
            linear("embeddings.projection", width, hidden, TOKEN),
            *_shared(stack, copies),
        ),
        heads=(
            (Head.BASE, (pooler,)),
            (Head.SEQUENCE_CLASSIFICATION, (pooler, linear("classifier", hidden, labels, Per.SAMPLE))),
        ),
        encoder=stack,
        vocab=vocab,
        max_positions=positions,
        labels=labels,
        projected_embeddings=True,
        checkpointable=False,
    )


def _shared(stack: Stack, copies: int) -> Iterator[Weights]:
    """The weights of all layers, stored `copies` times, passed through once a layer."""
    for weight in (
        *attention("layers.attention", stack, TOKEN, qkv_bias=True, out_bias=True),
        *mlp("layers.mlp", stack, TOKEN, bias=True),
    ):
        yield replace(weight, count=copies, used=stack.layers)
    yield norm("layers.norms", stack.hidden, stack.norm, count=2 * copies)
