"""Activations of a forward pass through blocks that widen, convolve each channel alone, and narrow."""

from wattmark.estimate.convolution import area
from wattmark.estimate.question import Question


def held(question: Question) -> int:
    """Bytes held at the widest moment, whole batch, the image included; 0 for a model without such blocks.

    What the stem gave is there to the end, a block's input to the block's end, and what goes into one of its parts
    until that part is over: what is widened, while the channels' convolution and its norm give two more. Where sides
    are halved, a version of it with a margin, of at least one pixel, comes before.
    """
    architecture, pixels = question.architecture, question.pixels
    if not architecture.inverted or architecture.image is None:
        return 0
    first = architecture.inverted[0]
    stem = first.channels_in * area(pixels, first.before)
    widest = 2 * stem
    for block in architecture.inverted:
        arriving, leaving = (area(pixels, side) for side in (block.before, block.downscale))
        given = block.channels_in * arriving
        wide, narrow = block.wide * arriving, block.wide * leaving
        widening = 2 * wide if block.wide != block.channels_in else 0
        waiting = wide if widening else 0
        sides = (-(-pixels[0] // block.before) + 1, -(-pixels[1] // block.before) + 1)
        padded = block.wide * area(sides, 1) if block.downscale != block.before else 0
        alone = waiting + max(padded + narrow, 2 * narrow)
        kept = given if block is first else stem + given
        widest = max(widest, kept + max(widening, alone, narrow + 2 * block.channels_out * leaving))
    image = architecture.image.channels * area(pixels, 1)
    return question.batch * (image + widest) * question.formats.compute
