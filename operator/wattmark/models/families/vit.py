"""ViT, as transformers builds it."""

from wattmark.models.architecture import Architecture, Family, Head, Image, Kind, Modality, Norm, Per, Stack, Weights
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import attention, linear, mlp, norm

TOKEN = Per.ENCODER_TOKEN


def vit(fields: Fields) -> Architecture:
    """ViT: an image cut into patches, a class token, learned positions; one image size only."""
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
        fp32_softmax=True,
        activation=fields.text("hidden_act", default="gelu"),
        hidden_dropout=fields.share("hidden_dropout_prob", default=0.0),
        attention_dropout=fields.share("attention_probs_dropout_prob", default=0.0),
    )
    height, width = fields.pair("image_size", default=224)
    patch = fields.pair("patch_size", default=16)
    channels, labels = fields.integer("num_channels", default=3), fields.labels()
    patches = (height // patch[0]) * (width // patch[1])
    if not patches:
        raise OddFieldError("patch_size", f"a patch of {patch[0]} x {patch[1]} is larger than the image")
    pooler = linear("pooler", hidden, fields.integer("pooler_output_size", default=hidden), Per.SAMPLE)
    qkv_bias = fields.flag("qkv_bias", default=True)
    return Architecture(
        model_type="vit",
        family=Family.VISION_TRANSFORMER,
        modality=Modality.IMAGE,
        hidden=hidden,
        body=(
            # As a convolution the patches' projection is one weight; FLOPs count it once for each patch.
            Weights("embeddings.patch", Kind.CONVOLUTION, hidden, channels * patch[0] * patch[1], True, per=TOKEN),
            Weights("embeddings.class", Kind.OTHER, hidden),
            Weights("embeddings.position", Kind.OTHER, patches + 1, hidden),
            *attention("layers.attention", stack, TOKEN, qkv_bias=qkv_bias, out_bias=True),
            *mlp("layers.mlp", stack, TOKEN, bias=True),
            norm("layers.norms", hidden, Norm.LAYER, count=2 * stack.layers),
            norm("norm", hidden, Norm.LAYER),
        ),
        heads=(
            (Head.BASE, (pooler,)),
            (Head.IMAGE_CLASSIFICATION, (linear("classifier", hidden, labels, Per.SAMPLE),)),
        ),
        encoder=stack,
        max_positions=patches + 1,
        image=Image(height, width, channels, patch, fixed_size=True),
        labels=labels,
    )
