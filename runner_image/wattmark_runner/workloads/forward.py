"""Forward passes: encoders, vision models, the prefill of a decoder, an encoder-decoder without generation."""

from inspect import signature
from time import perf_counter
from typing import Any

import torch

from wattmark.models import Family, Modality
from wattmark_runner.data import images, sound, token_ids
from wattmark_runner.device import Device
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.models import Loaded


def forward(loaded: Loaded, device: Device) -> Iteration:
    """One forward pass over a batch that lies on the device already.

    A decoder's pass is its prefill: it fills the KV cache and computes logits of the last position only, as generation
    does. An encoder-decoder's decoder is given as many tokens as its encoder, as when a known target is scored.
    """
    model, batch = loaded.model, _batch(loaded, device.torch_device)

    def run() -> Timing:
        device.synchronize()
        start = perf_counter()
        with torch.inference_mode():
            model(**batch)
        device.synchronize()
        return Timing(perf_counter() - start)

    samples, tokens = loaded.resolved.batch_size_per_device, loaded.resolved.input.input_tokens
    return Iteration(run, samples, input_tokens=None if tokens is None else samples * tokens)


def last_position_only(model: Any) -> dict[str, int]:
    """The argument that keeps a decoder from computing logits that generation does not read."""
    return {"logits_to_keep": 1} if "logits_to_keep" in signature(model.forward).parameters else {}


def _batch(loaded: Loaded, device: torch.device) -> dict[str, Any]:
    if loaded.architecture.modality is Modality.IMAGE:
        return {"pixel_values": images(loaded, device)}
    if loaded.architecture.modality is Modality.AUDIO:
        return {"input_values": sound(loaded, device)}
    assert loaded.resolved.input.input_tokens is not None  # resolved for every model that reads text
    batch: dict[str, Any] = {"input_ids": token_ids(loaded, loaded.resolved.input.input_tokens, device)}
    if loaded.architecture.family is Family.DECODER:
        batch |= {"use_cache": True, **last_position_only(loaded.model)}
    elif loaded.architecture.family is Family.ENCODER_DECODER:
        batch |= {"decoder_input_ids": batch["input_ids"], "use_cache": True}
    return batch
