"""BERT, RoBERTa, XLM-RoBERTa and DistilBERT, as transformers builds them."""

from wattmark.models.architecture import Architecture, Family, Head, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, divides
from wattmark.models.layers import attention, embedding, linear, mlp, norm

TOKEN = Per.ENCODER_TOKEN


def _stack(
    layers: int,
    hidden: int,
    heads: int,
    intermediate: int,
    activation: str,
    dropouts: tuple[float, float],
    *,
    distilled: bool = False,
) -> Stack:
    return Stack(
        layers=layers,
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("hidden_size", hidden, heads),
        intermediate=intermediate,
        norm=Norm.LAYER,
        causal=False,
        activation=activation,
        post_norms=True,
        holds_activated=not distilled,
        attended_undropped=distilled,
        hidden_dropout=dropouts[0],
        attention_dropout=dropouts[1],
    )


def _layers(stack: Stack) -> tuple[Weights, ...]:
    return (
        *attention("layers.attention", stack, TOKEN, qkv_bias=True, out_bias=True),
        *mlp("layers.mlp", stack, TOKEN, bias=True),
        norm("layers.norms", stack.hidden, stack.norm, count=2 * stack.layers),
    )


def bert(fields: Fields) -> Architecture:
    """BERT: absolute positions, token types, a pooler over the first token."""
    fields.must_not("is_decoder")
    fields.must_not("add_cross_attention")
    fields.must_not("position_embedding_type", "absolute")
    hidden = fields.integer("hidden_size")
    stack = _stack(
        fields.integer("num_hidden_layers"),
        hidden,
        fields.integer("num_attention_heads"),
        fields.integer("intermediate_size"),
        fields.text("hidden_act", default="gelu"),
        (
            fields.share("hidden_dropout_prob", default=0.1),
            fields.share("attention_probs_dropout_prob", default=0.1),
        ),
    )
    vocab, positions = fields.integer("vocab_size"), fields.integer("max_position_embeddings", default=512)
    roberta = fields.raw("model_type") != "bert"
    # RoBERTa numbers positions from the padding index + 1 on, so that many rows are never used by a token.
    first_position = fields.integer("pad_token_id", default=1, low=0) + 1 if roberta else 0
    labels = fields.labels()
    pooler = linear("pooler", hidden, hidden, Per.SAMPLE)
    classifier = linear("classifier", hidden, labels, Per.SAMPLE)
    dense = linear("classifier.dense", hidden, hidden, Per.SAMPLE)
    return Architecture(
        model_type=fields.text("model_type", default="bert"),
        family=Family.ENCODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            embedding("embeddings.position", positions, hidden),
            embedding("embeddings.token_type", fields.integer("type_vocab_size", default=2), hidden),
            norm("embeddings.norm", hidden, Norm.LAYER),
            *_layers(stack),
        ),
        heads=(
            (Head.BASE, (pooler,)),
            (Head.SEQUENCE_CLASSIFICATION, (dense if roberta else pooler, classifier)),
        ),
        encoder=stack,
        vocab=vocab,
        max_positions=max(1, positions - first_position),
        own_positions=roberta,
        labels=labels,
    )


def distilbert(fields: Fields) -> Architecture:
    """DistilBERT: BERT without token types and pooler."""
    hidden = fields.integer("dim", "hidden_size")
    stack = _stack(
        fields.integer("n_layers", "num_hidden_layers"),
        hidden,
        fields.integer("n_heads", "num_attention_heads"),
        fields.integer("hidden_dim", "intermediate_size"),
        fields.text("activation", default="gelu"),
        (fields.share("dropout", default=0.1), fields.share("attention_dropout", default=0.1)),
        distilled=True,
    )
    vocab, positions = fields.integer("vocab_size"), fields.integer("max_position_embeddings", default=512)
    labels = fields.labels()
    head = (linear("pre_classifier", hidden, hidden, Per.SAMPLE), linear("classifier", hidden, labels, Per.SAMPLE))
    return Architecture(
        model_type="distilbert",
        family=Family.ENCODER,
        modality=Modality.TEXT,
        hidden=hidden,
        body=(
            embedding("embeddings.word", vocab, hidden),
            embedding("embeddings.position", positions, hidden),
            norm("embeddings.norm", hidden, Norm.LAYER),
            *_layers(stack),
        ),
        heads=((Head.BASE, ()), (Head.SEQUENCE_CLASSIFICATION, head)),
        encoder=stack,
        vocab=vocab,
        max_positions=positions,
        labels=labels,
    )
