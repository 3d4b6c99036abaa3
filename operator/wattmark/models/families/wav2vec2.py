"""wav2vec 2.0 (and XLS-R), as transformers builds it."""

from collections.abc import Iterator

from wattmark.models.architecture import (
    Architecture,
    Audio,
    Family,
    Head,
    Kind,
    Modality,
    Norm,
    Per,
    Stack,
    Wave,
    Weights,
)
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, linear, mlp, norm

TOKEN = Per.ENCODER_TOKEN
_CONVOLUTIONS = {"conv_dim": (512,) * 7, "conv_stride": (5, 2, 2, 2, 2, 2, 2), "conv_kernel": (10, 3, 3, 3, 3, 2, 2)}


def wav2vec2(fields: Fields) -> Architecture:
    """wav2vec 2.0: convolutions over the waveform, positions by a convolution, an encoder."""
    for odd in ("add_adapter", "use_weighted_layer_sum", "adapter_attn_dim"):
        fields.must_not(odd)
    hidden, heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    stack = Stack(
        layers=fields.integer("num_hidden_layers"),
        hidden=hidden,
        heads=heads,
        kv_heads=heads,
        head_dim=divides("hidden_size", hidden, heads),
        intermediate=fields.integer("intermediate_size"),
        norm=Norm.LAYER,
        causal=False,
        activation=fields.text("hidden_act", default="gelu"),
        hidden_dropout=fields.share("hidden_dropout", default=0.1),
        attention_dropout=fields.share("attention_dropout", default=0.1),
    )
    projected, labels = fields.integer("classifier_proj_size", default=256), fields.labels()
    classifier = (
        linear("projector", hidden, projected, Per.SAMPLE),
        linear("classifier", projected, labels, Per.SAMPLE),
    )
    return Architecture(
        model_type="wav2vec2",
        family=Family.ENCODER,
        modality=Modality.AUDIO,
        hidden=hidden,
        body=(
            *_front(fields, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=True, out_bias=True),
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * stack.layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=((Head.BASE, ()), (Head.AUDIO_CLASSIFICATION, classifier)),
        encoder=stack,
        labels=labels,
        audio=Audio(None, None, tuple(_waves(fields))),
        # A norm over channels has to turn them, and the copies that its kernel makes of that no trace sees.
        unmodelled=""
        if fields.raw("feat_extract_norm") != "layer"
        else "copies around norms over a waveform's channels",
        only_inference="what convolutions over a waveform save",
    )


def _waves(fields: Fields) -> Iterator[Wave]:
    """Convolutions over the waveform."""
    plan = {name: fields.integers(name) if name in fields else own for name, own in _CONVOLUTIONS.items()}
    if len({len(values) for values in plan.values()}) != 1:
        raise OddFieldError("conv_dim", f"differs in length from another of {', '.join(_CONVOLUTIONS)}")
    yield from map(Wave, plan["conv_dim"], plan["conv_kernel"], plan["conv_stride"])


def _front(fields: Fields, hidden: int) -> Iterator[Weights]:
    """What stands before the layers: features of the waveform, their projection, the mask, the positions."""
    kind, biased = fields.text("feat_extract_norm", default="group"), fields.flag("conv_bias", default=False)
    if kind not in ("group", "layer"):
        raise OddFieldError("feat_extract_norm", f"is {kind!r:.60}, not group or layer")
    before = 1
    for number, wave in enumerate(_waves(fields)):
        yield Weights(f"features.{number}", Kind.CONVOLUTION, wave.width, before * wave.kernel, bias=biased)
        if kind == "layer" or not number:
            yield norm(f"features.{number}.norm", wave.width, Norm.LAYER)
        before = wave.width
    yield norm("projection.norm", before, Norm.LAYER)
    yield linear("projection", before, hidden, TOKEN)
    if fields.share("mask_time_prob", default=0.05) or fields.share("mask_feature_prob", default=0.0):
        yield Weights("mask", Kind.OTHER, hidden)
    kernel = fields.integer("num_conv_pos_embeddings", default=128)
    inputs = divides(
        "num_conv_pos_embedding_groups", hidden, fields.integer("num_conv_pos_embedding_groups", default=16)
    )
    yield Weights("positions", Kind.CONVOLUTION, hidden, inputs * kernel, bias=True)
    yield Weights("positions.scale", Kind.OTHER, kernel)  # its weights are normalized for each place of the kernel
