"""What one sample consists of, and how many there are at a time."""

from typing import Annotated

from pydantic import Field

from wattmark.api.schema import Model


class TextInput(Model):
    """A synthetic text: token counts per sample."""

    input_tokens: Annotated[int, Field(ge=1, le=1048576)] | None = Field(
        None, description="Tokens per sample going in. Default: 512, or the model's maximum length if that is less."
    )
    output_tokens: Annotated[int, Field(ge=0, le=1048576)] | None = Field(
        None,
        description="Tokens generated per sample, exactly (no early end). 0: only the forward pass over the input "
        "(prefill). Default: 128 for models that generate (less if the maximum length demands it), 0 for others and "
        "in training. Of a model that hears audio and generates, in training: tokens of the target; it has no prefill.",
    )


class ImageInput(Model):
    """A synthetic image per sample."""

    height_pixels: Annotated[int, Field(ge=1, le=8192)] | None = Field(
        None, description="Image height in pixels. Default: the size in the model's configuration, else 224."
    )
    width_pixels: Annotated[int, Field(ge=1, le=8192)] | None = Field(
        None, description="Image width in pixels. Default: the size in the model's configuration, else 224."
    )


class AudioInput(Model):
    """A synthetic sound per sample, at 16,000 samples a second."""

    seconds: Annotated[int, Field(ge=1, le=3600)] | None = Field(
        None,
        description="Length of the sound. Default: the one length that the model takes (Whisper: 30, to which shorter "
        "sounds are padded), else 10.",
    )


class Input(Model):
    """What one sample consists of. No union: a model may take text and image."""

    text: TextInput | None = Field(None, description="Token counts, for models that read text.")
    image: ImageInput | None = Field(None, description="Pixel counts, for models that see images.")
    audio: AudioInput | None = Field(None, description="Length of the sound, for models that hear audio.")


BATCH = Annotated[int, Field(ge=1, le=65536)]
