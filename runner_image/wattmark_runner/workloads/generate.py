"""Generation: prefill, then one token after another on the KV cache, greedily, exactly as many as asked."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

from wattmark.api.report import RunFailure
from wattmark.api.workload import Cache
from wattmark.models import Family, Modality
from wattmark_runner.data import sound, start_token, token_ids
from wattmark_runner.device import Device
from wattmark_runner.failures import RunError
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.models import Loaded
from wattmark_runner.workloads.forward import last_position_only

Step = Callable[[torch.Tensor, Any], Any]


def generation(loaded: Loaded, device: Device) -> Iteration:
    """One generation of a whole batch.

    Timed: from the start to the first token of every sample (time to first token: prefill, logits of the last
    position, argmax), and from there to the last token. The device is synchronised at the start, after the first token
    and at the end, not after each token: the gaps between tokens are known by their mean, and only one gap waits for a
    clock. No sample ends early, whatever token it draws. The mean gap is None for a single token.
    """
    sizes, rows = loaded.resolved.input, loaded.resolved.batch_size_per_device
    assert sizes.output_tokens  # the caller asked for a generation
    tokens = sizes.output_tokens
    prompt = _prompt(loaded, device.torch_device)
    begin = _encoder_decoder if loaded.architecture.family is Family.ENCODER_DECODER else _decoder
    model, length = loaded.model, _static_length(loaded)

    def run() -> Timing:
        device.synchronize()
        start = perf_counter()
        with torch.inference_mode():
            output, step = begin(model, prompt, length)
            if not hasattr(output, "past_key_values"):
                raise RunError(
                    RunFailure.INVALID_ORDER,
                    f"input.text.outputTokens: a model of type {loaded.architecture.model_type} keeps no keys and "
                    "values to generate on; set it to 0",
                )
            token = _greedy(output)
            device.synchronize()
            first = perf_counter()
            for _ in range(tokens - 1):
                output = step(token, output.past_key_values)
                token = _greedy(output)
        device.synchronize()
        end = perf_counter()
        return Timing(end - start, first - start, (end - first) / (tokens - 1) if tokens > 1 else None)

    given = None if sizes.input_tokens is None else rows * sizes.input_tokens
    return Iteration(run, rows, input_tokens=given, output_tokens=rows * tokens)


def _prompt(loaded: Loaded, device: torch.device) -> torch.Tensor:
    """What the model reads or hears before it writes."""
    if loaded.architecture.modality is Modality.AUDIO:
        return sound(loaded, device)
    tokens = loaded.resolved.input.input_tokens
    assert tokens is not None  # resolved for every model that reads text
    return token_ids(loaded, tokens, device)


def _greedy(output: Any) -> torch.Tensor:
    """The likeliest next token of each sample, [batch, 1]."""
    token: torch.Tensor = output.logits[:, -1].argmax(-1, keepdim=True)
    return token


def _static_length(loaded: Loaded) -> int | None:
    """Tokens that a static cache is made for; None where the cache grows."""
    if loaded.resolved.cache is not Cache.STATIC:
        return None
    sizes = loaded.resolved.input
    read = 0 if loaded.architecture.family is Family.ENCODER_DECODER else sizes.input_tokens or 0
    return read + (sizes.output_tokens or 0)


def _decoder(model: Any, prompt: torch.Tensor, length: int | None = None) -> tuple[Any, Step]:
    from transformers import StaticCache

    last = last_position_only(model)
    cache = StaticCache(config=model.config, max_cache_len=length) if length else None

    def step(token: torch.Tensor, cache: Any) -> Any:
        return model(input_ids=token, past_key_values=cache, use_cache=True, **last)

    return step(prompt, cache), step


def _encoder_decoder(model: Any, prompt: torch.Tensor, length: int | None = None) -> tuple[Any, Step]:
    from transformers import EncoderDecoderCache, StaticCache

    encoded = model.get_encoder()(prompt)

    def step(token: torch.Tensor, cache: Any) -> Any:
        return model(encoder_outputs=encoded, decoder_input_ids=token, past_key_values=cache, use_cache=True)

    start = torch.full((prompt.shape[0], 1), start_token(model), device=prompt.device)
    cache = None
    if length:
        written = StaticCache(config=model.config, max_cache_len=length)
        read = StaticCache(config=model.config, max_cache_len=encoded.last_hidden_state.shape[1])
        cache = EncoderDecoderCache(written, read)
    return step(start, cache), step
