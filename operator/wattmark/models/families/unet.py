"""The U-Net that denoises latents in Stable Diffusion, as diffusers builds it."""

from collections.abc import Iterator
from itertools import pairwise

from wattmark.models.architecture import Architecture, Family, Head, Image, Kind, Modality, Norm, Per, Weights
from wattmark.models.fields import Fields, OddFieldError, divides
from wattmark.models.layers import linear, norm

CLASS = "UNet2DConditionModel"
MOST_LEVELS, MOST_LAYERS = 8, 512  # published ones have 4 levels of 2 blocks, and at most 10 layers in an attention
# What diffusers builds where a field says nothing. Another value is another model.
_ONLY = {
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "resnet_time_scale_shift": "default",
    "time_embedding_type": "positional",
    "attention_type": "default",
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
}
_WITHOUT = (
    "class_embed_type",
    "num_class_embeds",
    "class_embeddings_concat",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "cross_attention_norm",
    "dual_cross_attention",
    "only_cross_attention",
    "mid_block_only_cross_attention",
    "resnet_skip_time_act",
    "time_cond_proj_dim",
    "time_embedding_dim",
    "num_attention_heads",
    "reverse_transformer_layers_per_block",
)
_DOWN, _UP = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}, {"UpBlock2D": False, "CrossAttnUpBlock2D": True}


def unet(fields: Fields) -> Architecture:
    """A pyramid of residual blocks, on some levels with attention to themselves and to a text; down, and up again."""
    for name in _WITHOUT:
        fields.must_not(name)
    for name, only in _ONLY.items():
        fields.must_not(name, only)
    if "mid_block_type" in fields and fields.raw("mid_block_type") is None:
        raise OddFieldError("mid_block_type", "is null: a U-Net without a middle is not covered by the closed form")
    widths = fields.integers("block_out_channels")
    if len(widths) > MOST_LEVELS:
        raise OddFieldError("block_out_channels", f"has {len(widths)} levels, at most {MOST_LEVELS} are known")
    side = fields.pair("sample_size")
    channels = fields.integer("in_channels", default=4)
    return Architecture(
        model_type=CLASS,
        family=Family.DENOISER,
        modality=Modality.IMAGE,
        hidden=widths[-1],
        body=tuple(_Pyramid(fields, widths).weights(channels, fields.integer("out_channels", default=4))),
        heads=((Head.BASE, ()),),
        image=Image(*side, channels, None, fixed_size=False),
        unmodelled="what each level of a U-Net keeps for the way up",
        unrunnable=f"the runner builds classes of transformers, and {CLASS} is one of diffusers: run it with diffusers "
        "and read torch.cuda.max_memory_allocated()",
    )


class _Pyramid:
    """The parts that all levels share."""

    def __init__(self, fields: Fields, widths: tuple[int, ...]) -> None:
        self.widths = widths
        self.blocks = _few("layers_per_block", fields.integer("layers_per_block", default=2))
        self.depths = _per_level(fields, "transformer_layers_per_block", 1, len(widths))
        self.heads = _per_level(fields, "attention_head_dim", 8, len(widths))  # diffusers' misnomer for their number
        for depth in self.depths:
            _few("transformer_layers_per_block", depth)
        for width, heads in zip(widths, self.heads, strict=True):
            divides("attention_head_dim", width, heads)
        self.text = fields.integer("cross_attention_dim", default=1280)
        self.linear = fields.flag("use_linear_projection", default=False)
        self.time = 4 * widths[0]
        self.down = _attends(fields, "down_block_types", _DOWN, len(widths))
        self.up = _attends(fields, "up_block_types", _UP, len(widths))
        self.added = self._added(fields)

    def weights(self, channels_in: int, channels_out: int) -> Iterator[Weights]:
        """All of them, from latents to latents."""
        first, last = self.widths[0], self.widths[-1]
        yield _convolution("in", channels_in, first, 3)
        yield linear("time.1", first, self.time, Per.SAMPLE)
        yield linear("time.2", self.time, self.time, Per.SAMPLE)
        if self.added is not None:
            yield linear("added.1", self.added, self.time, Per.SAMPLE)
            yield linear("added.2", self.time, self.time, Per.SAMPLE)
        kept = [first]  # channels that the way down keeps for the way up
        for level, (before, width) in enumerate(pairwise((first, *self.widths))):
            for block in range(self.blocks):
                name = f"down.{level}.{block}"
                yield from self._residual(name, width if block else before, width)
                if self.down[level]:
                    yield from self._attention(name, width, self.depths[level])
                kept.append(width)
            if level < len(self.widths) - 1:
                yield _convolution(f"down.{level}.sampler", width, width, 3)
                kept.append(width)
        yield from self._residual("middle.0", last, last)
        yield from self._attention("middle", last, self.depths[-1])
        yield from self._residual("middle.1", last, last)
        before = last
        for number, width in enumerate(reversed(self.widths)):
            for block in range(self.blocks + 1):
                name = f"up.{number}.{block}"
                yield from self._residual(name, before + kept.pop(), width)
                if self.up[number]:
                    yield from self._attention(name, width, self.depths[-1 - number])
                before = width
            if number < len(self.widths) - 1:
                yield _convolution(f"up.{number}.sampler", width, width, 3)
        yield norm("out.norm", first, Norm.LAYER)
        yield _convolution("out", first, channels_out, 3)

    def _residual(self, name: str, before: int, width: int) -> Iterator[Weights]:
        """Two convolutions with a time between them; where widths differ, a third over the shortcut."""
        yield norm(f"{name}.norm.1", before, Norm.LAYER)
        yield _convolution(f"{name}.1", before, width, 3)
        yield linear(f"{name}.time", self.time, width, Per.SAMPLE)
        yield norm(f"{name}.norm.2", width, Norm.LAYER)
        yield _convolution(f"{name}.2", width, width, 3)
        if before != width:
            yield _convolution(f"{name}.shortcut", before, width, 1)

    def _attention(self, name: str, width: int, depth: int) -> Iterator[Weights]:
        """Layers that attend to their own places, then to the text, then pass a gated feed-forward part."""
        token, text = Per.ENCODER_TOKEN, Per.DECODER_TOKEN
        kind = Kind.LINEAR if self.linear else Kind.CONVOLUTION
        yield norm(f"{name}.attention.norm", width, Norm.LAYER)
        yield Weights(f"{name}.attention.projections", kind, width, width, bias=True, count=2, per=token)
        yield norm(f"{name}.layers.norms", width, Norm.LAYER, count=3 * depth)
        yield linear(f"{name}.layers.self", width, width, token, bias=False, count=3 * depth)
        yield linear(f"{name}.layers.query", width, width, token, bias=False, count=depth)
        yield linear(f"{name}.layers.text", self.text, width, text, bias=False, count=2 * depth)
        yield linear(f"{name}.layers.outputs", width, width, token, count=2 * depth)
        yield linear(f"{name}.layers.up", width, 8 * width, token, count=depth)
        yield linear(f"{name}.layers.down", 4 * width, width, token, count=depth)

    @staticmethod
    def _added(fields: Fields) -> int | None:
        """Elements of what else is told of an image, beside the text; None where nothing is."""
        kind = fields.raw("addition_embed_type")
        if kind is None:
            return None
        if kind != "text_time":
            raise OddFieldError("addition_embed_type", f"{kind!r:.60} is not covered by the closed form")
        return fields.integer("projection_class_embeddings_input_dim")


def _convolution(name: str, before: int, width: int, kernel: int) -> Weights:
    return Weights(name, Kind.CONVOLUTION, width, before * kernel**2, bias=True)


def _few(name: str, number: int) -> int:
    if number > MOST_LAYERS // MOST_LEVELS:
        raise OddFieldError(name, f"is {number}, at most {MOST_LAYERS // MOST_LEVELS} are known")
    return number


def _per_level(fields: Fields, name: str, default: int, levels: int) -> tuple[int, ...]:
    """One number for every level, or one for each."""
    if not isinstance(fields.raw(name), list | tuple):
        return (fields.integer(name, default=default),) * levels
    found = fields.integers(name)
    if len(found) != levels:
        raise OddFieldError(name, f"has {len(found)} entries, not one for each of {levels} levels")
    return found


def _attends(fields: Fields, name: str, kinds: dict[str, bool], levels: int) -> tuple[bool, ...]:
    """Which levels have attention."""
    types = fields.raw(name)
    if not isinstance(types, list | tuple) or len(types) != levels:
        raise OddFieldError(name, f"is {types!r:.60}, not a list of one block for each of {levels} levels")
    for kind in types:
        if not isinstance(kind, str) or kind not in kinds:
            raise OddFieldError(name, f"{kind!r:.60} is not covered ({', '.join(kinds)} are)")
    return tuple(kinds[kind] for kind in types)
