"""EfficientNet, as transformers builds it."""

from collections.abc import Iterator
from math import ceil

from wattmark.models.architecture import Architecture, Family, Head, Image, Inverted, Kind, Modality, Per, Weights
from wattmark.models.fields import Fields, OddFieldError
from wattmark.models.layers import linear

STEM_CHANNELS, TOP_CHANNELS = 32, 1280  # before scaling by the width
MOST_BLOCKS = 1000
SMALLEST = 1 << 24  # a division of sides beyond which one pixel is left of any image
MOST_SCALING = 100.0
_PLAN = {
    "kernel_sizes": [3, 3, 5, 3, 5, 5, 3],
    "in_channels": [32, 16, 24, 40, 80, 112, 192],
    "out_channels": [16, 24, 40, 80, 112, 192, 320],
    "num_block_repeats": [1, 2, 2, 3, 3, 4, 1],
    "expand_ratios": [1, 6, 6, 6, 6, 6, 6],
    "strides": [1, 2, 2, 2, 1, 2, 1],
}


def efficientnet(fields: Fields) -> Architecture:
    """EfficientNet: blocks that widen, convolve each channel alone, weigh the channels and narrow; any image size."""
    channels, labels = fields.integer("num_channels", default=3), fields.labels()
    stem, top = _scaled(fields, STEM_CHANNELS), _scaled(fields, TOP_CHANNELS)
    if fields.integer("hidden_dim", default=2560) != top:
        raise OddFieldError("hidden_dim", f"is not {top}, which the top of the network has")
    blocks, inverted = _blocks(fields)
    last = inverted[-1].channels_out
    body = (*_normed("stem", stem, channels * 9), *blocks, *_normed("top", top, last))
    height, width = fields.pair("image_size", default=600)
    return Architecture(
        model_type="efficientnet",
        family=Family.CONVOLUTIONAL,
        modality=Modality.IMAGE,
        hidden=top,
        body=body,
        heads=((Head.BASE, ()), (Head.IMAGE_CLASSIFICATION, (linear("classifier", top, labels, Per.SAMPLE),))),
        image=Image(height, width, channels, None, fixed_size=False),
        labels=labels,
        checkpointable=False,
        # Each batch norm keeps a running mean and variance.
        buffers=sum(2 * weight.outputs for weight in body if weight.kind is Kind.NORM),
        inverted=inverted,
        only_inference="what squeeze-and-excitation and convolutions of each channel alone save",
    )


def _blocks(fields: Fields) -> tuple[tuple[Weights, ...], tuple[Inverted, ...]]:
    """The weights of all blocks, and their plan."""
    plan = {name: fields.integers(name) if name in fields else tuple(own) for name, own in _PLAN.items()}
    if len({len(values) for values in plan.values()}) != 1:
        raise OddFieldError("num_block_repeats", f"differs in length from another of {', '.join(_PLAN)}")
    depth = fields.number("depth_coefficient", default=3.1, high=MOST_SCALING)
    squeeze = fields.number("squeeze_expansion_ratio", default=0.25, high=MOST_SCALING)
    repeats = [ceil(depth * count) for count in plan["num_block_repeats"]]
    if sum(repeats) > MOST_BLOCKS:
        raise OddFieldError("num_block_repeats", f"makes more than {MOST_BLOCKS} blocks")
    if not any(repeats):
        raise OddFieldError("depth_coefficient", "makes no blocks")
    found: list[Weights] = []
    blocks: list[Inverted] = []
    leaving, before = 0, 2  # the stem halves the sides
    for stage, count in enumerate(repeats):
        arriving, leaving = (_scaled(fields, plan[name][stage]) for name in ("in_channels", "out_channels"))
        for block in range(count):
            inputs = leaving if block else arriving
            kernel, ratio = plan["kernel_sizes"][stage], plan["expand_ratios"][stage]
            after = before if block else min(before * plan["strides"][stage], SMALLEST)
            blocks.append(Inverted(inputs, inputs * ratio, leaving, before, after))
            before = after
            found += _block(f"stage{stage + 1}.{block}", inputs, leaving, kernel, ratio, max(1, int(inputs * squeeze)))
    return tuple(found), tuple(blocks)


def _block(name: str, inputs: int, outputs: int, kernel: int, ratio: int, squeezed: int) -> Iterator[Weights]:
    wide = inputs * ratio
    if ratio != 1:
        yield from _normed(f"{name}.expand", wide, inputs)
    yield from _normed(f"{name}.depthwise", wide, kernel**2)
    yield Weights(f"{name}.reduce", Kind.CONVOLUTION, squeezed, wide, bias=True)
    yield Weights(f"{name}.excite", Kind.CONVOLUTION, wide, squeezed, bias=True)
    yield from _normed(f"{name}.project", outputs, wide)


def _normed(name: str, outputs: int, fan_in: int) -> Iterator[Weights]:
    yield Weights(name, Kind.CONVOLUTION, outputs, fan_in)
    yield Weights(f"{name}.norm", Kind.NORM, outputs, bias=True)


def _scaled(fields: Fields, channels: int) -> int:
    """Channels times the width, rounded to the divisor; never less than nine tenths of it, as transformers rounds."""
    divisor = fields.integer("depth_divisor", default=8)
    wanted = channels * fields.number("width_coefficient", default=2.0, high=MOST_SCALING)
    rounded = max(divisor, int(wanted + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * wanted else rounded
