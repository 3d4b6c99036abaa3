"""ResNet, as transformers builds it (v1.5: the stride of a bottleneck is in its 3 x 3 convolution)."""

from collections.abc import Iterator

from wattmark.models.architecture import Architecture, Convolution, Family, Head, Image, Kind, Modality, Per, Weights
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import linear

DEFAULT_SIDE_PIXELS = 224  # a ResNet takes any size; its published weights were trained and are measured at this one
MOST_LAYERS = 512  # blocks; the largest that is published has 50


def resnet(fields: Fields) -> Architecture:
    """ResNet with basic or bottleneck layers; any image size."""
    stem = fields.integer("embedding_size", default=64)
    channels, labels = fields.integer("num_channels", default=3), fields.labels()
    widths, depths = fields.integers("hidden_sizes"), fields.integers("depths")
    if len(widths) != len(depths) or sum(depths) > MOST_LAYERS:
        raise OddFieldError("depths", f"needs one depth for each of hidden_sizes and at most {MOST_LAYERS} in all")
    plan = (
        Convolution("stem", channels, stem, 7, 2, activated=True),
        *_stages(fields, stem, widths, depths),
    )
    classifier = linear("classifier", widths[-1], labels, Per.SAMPLE)
    return Architecture(
        model_type="resnet",
        family=Family.CONVOLUTIONAL,
        modality=Modality.IMAGE,
        hidden=widths[-1],
        body=tuple(weight for step in plan for weight in _weights(step)),
        heads=((Head.BASE, ()), (Head.IMAGE_CLASSIFICATION, (classifier,))),
        image=Image(DEFAULT_SIDE_PIXELS, DEFAULT_SIDE_PIXELS, channels, None, fixed_size=False),
        convolutions=plan,
        checkpointable=False,
        labels=labels,
        # Each batch norm keeps a running mean and variance.
        buffers=sum(2 * step.channels_out for step in plan),
    )


def _weights(step: Convolution) -> tuple[Weights, Weights]:
    fan_in = step.channels_in * step.kernel**2
    return (
        Weights(step.name, Kind.CONVOLUTION, step.channels_out, fan_in),
        Weights(f"{step.name}.norm", Kind.NORM, step.channels_out, bias=True),
    )


def _stages(fields: Fields, stem: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> Iterator[Convolution]:
    kind = fields.text("layer_type", default="bottleneck")
    if kind not in ("basic", "bottleneck"):
        raise OddFieldError("layer_type", f"is {kind!r:.60}, not basic or bottleneck")
    early = fields.flag("downsample_in_bottleneck", default=False)
    before, downscale = stem, 4  # the stem's convolution and its max pooling halve the sides once each
    for number, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        stride = 2 if number or fields.flag("downsample_in_first_stage", default=False) else 1
        for layer in range(depth):
            name = f"stage{number + 1}.{layer}"
            now, arriving = (stride, before) if layer == 0 else (1, width)
            outgoing = downscale * now
            if arriving != width or now != 1:
                yield Convolution(f"{name}.shortcut", arriving, width, 1, outgoing, activated=False)
            if kind == "basic":
                yield Convolution(f"{name}.1", arriving, width, 3, outgoing, activated=True)
                yield Convolution(f"{name}.2", width, width, 3, outgoing, activated=False, joins=True)
            else:
                inner = divides("hidden_sizes", width, 4)
                yield Convolution(f"{name}.1", arriving, inner, 1, outgoing if early else downscale, activated=True)
                yield Convolution(f"{name}.2", inner, inner, 3, outgoing, activated=True)
                yield Convolution(f"{name}.3", inner, width, 1, outgoing, activated=False, joins=True)
            downscale = outgoing
        before = width
