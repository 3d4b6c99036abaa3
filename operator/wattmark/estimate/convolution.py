"""Activations of a convolutional network, by summing over its plan."""

from wattmark.models import Architecture, Convolution

STEM_POOLING = 4  # sides are halved by the first convolution and by the pooling behind it


def _area(height_pixels: int, width_pixels: int, downscale: int) -> int:
    return -(-height_pixels // downscale) * -(-width_pixels // downscale)


def saved(architecture: Architecture, height_pixels: int, width_pixels: int, size: int) -> int:
    """Bytes of one image kept for the backward pass.

    Every convolution's output (its normalization reads it), every activation's output (the next convolution reads
    it), and what the pooling behind the stem gives, with its 8-byte indices. `size` is bytes per element.
    """
    kept = 0
    for step in architecture.convolutions:
        outputs = 2 if step.activated or step.joins else 1
        kept += outputs * step.channels_out * _area(height_pixels, width_pixels, step.downscale) * size
    stem = architecture.convolutions[0]
    image = stem.channels_in * height_pixels * width_pixels * size
    return kept + image + stem.channels_out * _area(height_pixels, width_pixels, STEM_POOLING) * (size + 8)


def held(architecture: Architecture, height_pixels: int, width_pixels: int, size: int) -> int:
    """Bytes of one image held at the widest moment of a forward pass.

    At a convolution: its input and output, the normalized output or the residual that waits for it. `size` is bytes
    per element.
    """

    def moment(step: Convolution, before: int) -> int:
        arriving = step.channels_in * _area(height_pixels, width_pixels, before)
        leaving = step.channels_out * _area(height_pixels, width_pixels, step.downscale)
        return max(arriving, leaving) + arriving + leaving

    before = 1
    widest = 0
    for step in architecture.convolutions:
        widest = max(widest, moment(step, before))
        if step.activated or step.joins:  # a shortcut stands beside the layer, not before its next convolution
            before = max(step.downscale, STEM_POOLING)
    return widest * size
