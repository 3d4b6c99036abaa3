"""Activations of a convolutional network, by walking its plan."""

from collections.abc import Iterator

from wattmark.estimate.formats import Formats
from wattmark.models import Architecture, Convolution

STEM_POOLING = 4  # sides are halved by the first convolution and by the pooling behind it
Pixels = tuple[int, int]


def area(pixels: Pixels, downscale: int) -> int:
    """Pixels of an image whose sides are divided, rounded up."""
    return -(-pixels[0] // downscale) * -(-pixels[1] // downscale)


def placed(architecture: Architecture) -> Iterator[tuple[Convolution, int]]:
    """Every convolution with the downscale of what it reads."""
    before = 1
    for step in architecture.convolutions:
        yield step, before
        if step.activated or step.joins:  # a shortcut stands beside the layer, not before its next convolution
            before = max(step.downscale, STEM_POOLING)


def _kept(step: Convolution, pixels: Pixels) -> int:
    """Elements kept of one step: its output, which the normalization reads, and the activation's, read by the next."""
    return (2 if step.activated or step.joins else 1) * step.channels_out * area(pixels, step.downscale)


def saved(architecture: Architecture, pixels: Pixels, size: int) -> int:
    """Bytes of one image kept for the backward pass; `size` is bytes per element.

    What every step keeps, the image itself, and what the pooling behind the stem gives, with its 8-byte indices.
    """
    stem = architecture.convolutions[0]
    kept = sum(_kept(step, pixels) for step in architecture.convolutions)
    image = stem.channels_in * area(pixels, 1)
    return (kept + image) * size + stem.channels_out * area(pixels, STEM_POOLING) * (size + 8)


def held(architecture: Architecture, pixels: Pixels, size: int) -> int:
    """Bytes of one image held at the widest moment of a forward pass; `size` is bytes per element.

    The image itself, which the caller holds; and at a convolution its input and output, the normalized output or the
    residual that waits for it, or at the pooling behind the stem what it reads and gives.
    """
    image = architecture.convolutions[0].channels_in * area(pixels, 1)
    widest = pooling(architecture, pixels, size)
    for number, (step, before) in enumerate(placed(architecture)):
        arriving = step.channels_in * area(pixels, before)
        leaving = step.channels_out * area(pixels, step.downscale)
        widest = max(widest, (max(arriving, leaving) + (arriving if number else 0) + leaving) * size)
    return image * size + widest


def pooling(architecture: Architecture, pixels: Pixels, size: int) -> int:
    """Bytes of one image that the pooling behind the stem reads and gives, with its 8-byte indices."""
    stem = architecture.convolutions[0]
    return stem.channels_out * (area(pixels, stem.downscale) * size + area(pixels, STEM_POOLING) * (size + 8))


def fullest_backward(architecture: Architecture, pixels: Pixels, formats: Formats, batch: int) -> tuple[int, int]:
    """Bytes of activations and of parameters' gradients where their sum is highest on the way back.

    The late stages hold most of the parameters and little of the activations, so the peak lies behind them: the
    gradients of the steps that are done, what the steps before them keep, and the gradients at the step itself.
    """
    remaining = batch * saved(architecture, pixels, formats.compute)
    gradients = (architecture.hidden + 1) * (architecture.labels or 0) * formats.weight
    best = remaining, gradients
    for step, before in reversed(tuple(placed(architecture))):
        gradients += step.channels_out * (step.channels_in * step.kernel**2 + 2) * formats.weight
        moving = step.channels_in * area(pixels, before) + step.channels_out * area(pixels, step.downscale)
        here = remaining + batch * moving * formats.compute, gradients
        best = max(best, here, key=sum)
        remaining -= batch * _kept(step, pixels) * formats.compute
    return best
