"""Floating-point operations of one pass: a multiplication and an addition are two."""

from dataclasses import dataclass

from wattmark.models.architecture import Architecture, Head, Kind, Per, Stack


@dataclass(frozen=True, slots=True)
class Flops:
    """Matrix and convolution FLOPs of one pass over a whole batch; element-wise work is not counted.

    `linear` are weights times activations, `attention` the scores and their product with the values (a causal mask
    saves nothing here: both triangles are counted, as torch's FlopCounterMode does).
    """

    linear: int
    attention: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.linear + self.attention


def flops(
    architecture: Architecture,
    head: Head,
    *,
    batch: int,
    encoder_tokens: int = 0,
    decoder_tokens: int = 0,
    past_tokens: int = 0,
    logits_tokens: int = 0,
    side_pixels: tuple[int, int] | None = None,
) -> Flops:
    """FLOPs of one forward pass over `batch` samples; a training step takes three times as many.

    `encoder_tokens` and `decoder_tokens` are new tokens of each side per sample (0: that side does not run),
    `past_tokens` those already in the decoder's cache, `logits_tokens` the positions that are projected onto the
    vocabulary. An image model ignores them all and takes `side_pixels` (height, width; default: its own size).
    ValueError for a model whose layers are not described.
    """
    if architecture.unmodelled or architecture.audio or architecture.inverted:
        raise ValueError(f"not described: {architecture.unmodelled or 'convolutions of a sound or of single channels'}")
    tokens = {
        Per.ENCODER_TOKEN: encoder_tokens,
        Per.DECODER_TOKEN: decoder_tokens,
        Per.LOGITS_TOKEN: logits_tokens,
        Per.SAMPLE: 1,
    }
    if architecture.convolutions:
        return Flops(linear=batch * (_head(architecture, head) + _convolutions(architecture, side_pixels)), attention=0)
    if architecture.image is not None:
        tokens[Per.ENCODER_TOKEN] = encoder_tokens = architecture.max_positions or 0
    linear = 0
    for weight in (*architecture.body, *architecture.head_weights(head)):
        if weight.kind in (Kind.LINEAR, Kind.EXPERT, Kind.CONVOLUTION):
            # The class token is no patch: it enters behind the projection.
            count = tokens[weight.per] - (1 if weight.kind is Kind.CONVOLUTION else 0)
            linear += 2 * batch * count * weight.outputs * weight.inputs * weight.passes
    attention = _attention(architecture.encoder, encoder_tokens, 0, 0)
    attention += _attention(architecture.decoder, decoder_tokens, past_tokens, encoder_tokens)
    return Flops(linear=linear, attention=batch * attention)


def _attention(stack: Stack | None, new: int, past: int, memory: int) -> int:
    if stack is None:
        return 0
    seen = new + past
    windowed = min(seen, stack.window_tokens) if stack.window_tokens and new == 1 else seen
    keys = (stack.layers - stack.window_layers) * seen + stack.window_layers * windowed
    if stack.cross_attention:
        keys += stack.layers * memory
    return 4 * new * keys * stack.query_width


def _head(architecture: Architecture, head: Head) -> int:
    return sum(2 * weight.outputs * weight.inputs for weight in architecture.head_weights(head))


def _convolutions(architecture: Architecture, side_pixels: tuple[int, int] | None) -> int:
    image = architecture.image
    height, width = side_pixels or ((image.height_pixels, image.width_pixels) if image else (0, 0))
    return sum(
        2
        * step.channels_out
        * step.channels_in
        * step.kernel**2
        * -(-height // step.downscale)
        * -(-width // step.downscale)
        for step in architecture.convolutions
    )
