"""Synthetic samples: their values do not matter to speed, memory and energy, their shapes do."""

from typing import Any

import torch

from wattmark_runner.models import Loaded

_SEED = 0


def token_ids(loaded: Loaded, tokens: int, device: torch.device, seed: int = _SEED) -> torch.Tensor:
    """Random token ids, [batch, tokens], int64, without padding: every token is useful work. A seed is a set."""
    vocab = loaded.architecture.vocab
    assert vocab is not None  # every architecture that reads text has one
    ids = torch.randint(vocab, (loaded.resolved.batch_size_per_device, tokens), generator=_generator(seed))
    padding = getattr(loaded.model.config, "pad_token_id", None)
    if padding is not None:  # models that see it skip positions
        ids = torch.where(ids == padding, (padding + 1) % vocab, ids)
    return ids.to(device)


def images(loaded: Loaded, device: torch.device, seed: int = _SEED) -> torch.Tensor:
    """Random normalised images, [batch, channels, height, width], in the dtype of the weights."""
    size, image = loaded.resolved.input, loaded.architecture.image
    assert image is not None and size.height_pixels and size.width_pixels  # resolved for every model that sees images
    shape = (loaded.resolved.batch_size_per_device, image.channels, size.height_pixels, size.width_pixels)
    return torch.randn(shape, generator=_generator(seed)).to(device, loaded.numerics.weights)


def sound(loaded: Loaded, device: torch.device, seed: int = _SEED) -> torch.Tensor:
    """Random sound in the dtype of the weights: log-mel frames, [batch, bins, frames], or samples, [batch, samples]."""
    audio, seconds = loaded.architecture.audio, loaded.resolved.input.audio_seconds
    assert audio is not None and seconds  # resolved for every model that hears audio
    batch = loaded.resolved.batch_size_per_device
    bins, frames = audio.mel_bins, audio.frames
    shape = (batch, bins, frames) if bins and frames else (batch, audio.places(seconds))
    return torch.randn(shape, generator=_generator(seed)).to(device, loaded.numerics.weights)


def class_labels(loaded: Loaded, device: torch.device) -> torch.Tensor:
    """One random class per sample, [batch], int64."""
    classes = int(loaded.model.config.num_labels)
    return torch.randint(classes, (loaded.resolved.batch_size_per_device,), generator=_generator()).to(device)


def start_token(model: Any) -> int:
    """The token that an encoder-decoder's output begins with."""
    for config in (getattr(model, "generation_config", None), model.config):
        for name in ("decoder_start_token_id", "pad_token_id"):
            token = getattr(config, name, None)
            if isinstance(token, int):
                return token
    return 0


def _generator(seed: int = _SEED) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
