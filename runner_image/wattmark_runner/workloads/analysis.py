"""Analyses: passes that read out hidden states, attention weights or gradients."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import torch

from wattmark.api.analysis import AnalysisKind
from wattmark.models import Family, Modality
from wattmark_runner.data import images, sound, start_token, token_ids
from wattmark_runner.device import Device
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.models import Loaded
from wattmark_runner.workloads.forward import last_position_only

Step = Callable[[], tuple[torch.Tensor, ...]]

PROBE_STEPS = 100
_PROBE_RATE = 0.1
_CONCEPT, _OTHER = 0, 1  # seeds of the two sets of samples


class _Reached(Exception):  # noqa: N818 - no error: how a pass is left in the middle
    """The layer that is probed has run; those behind it need not."""


def analysis(loaded: Loaded, device: Device) -> Iteration:
    """One analysis of a batch, of two batches where sets are told apart; what it gives is dropped when it is timed."""
    step = step_of(loaded, device.torch_device)

    def run() -> Timing:
        device.synchronize()
        start = perf_counter()
        step()
        device.synchronize()
        return Timing(perf_counter() - start)

    batches = 2 if loaded.resolved.analysis is AnalysisKind.CONCEPT_ANALYSIS else 1
    samples, tokens = batches * loaded.resolved.batch_size_per_device, loaded.resolved.input.input_tokens
    return Iteration(run, samples, input_tokens=None if tokens is None else samples * tokens)


def step_of(loaded: Loaded, device: torch.device) -> Step:
    """What one iteration computes, on samples that lie on the device already."""
    kind = loaded.resolved.analysis
    assert kind is not None  # resolved for every analysis
    match kind:
        case AnalysisKind.ACTIVATION_EXTRACTION:
            return _kept(loaded, device, "hidden_states")
        case AnalysisKind.ATTENTION_VISUALIZATION:
            return _kept(loaded, device, "attentions")
        case AnalysisKind.LAYER_ANALYSIS:
            return _layers_read(loaded, device)
        case AnalysisKind.GRADIENT_ANALYSIS:
            return _differentiated(loaded, device)
        case AnalysisKind.CONCEPT_ANALYSIS:
            return _probed(loaded, device)


def _kept(loaded: Loaded, device: torch.device, what: str) -> Step:
    """All of one kind that the model gives, in the order of its layers: an encoder's, a decoder's, their cross ones."""
    inputs = _inputs(loaded, device)
    names = (what, f"encoder_{what}", f"decoder_{what}", *(["cross_attentions"] if what == "attentions" else []))

    def step() -> tuple[torch.Tensor, ...]:
        with torch.inference_mode():
            output = loaded.model(**inputs, **{f"output_{what}": True})
        return tuple(one for name in names for one in getattr(output, name, None) or ())

    return step


def _layers_read(loaded: Loaded, device: torch.device) -> Step:
    """Of every layer the mean norm of what it gives, and its mean cosine with what it was given: [layers, 2]."""
    inputs, found = _inputs(loaded, device), list[torch.Tensor]()

    def read(layer: Any, args: Any, kwargs: Any, output: Any) -> None:
        before = (args[0] if args else kwargs["hidden_states"]).float()
        after = _given(output).float()
        norms = after.norm(dim=-1)
        cosines = (before * after).sum(-1) / (before.norm(dim=-1) * norms)
        found.append(torch.stack((norms.mean(), cosines.mean())))

    for layer in _layers(loaded):
        layer.register_forward_hook(read, with_kwargs=True)

    def step() -> tuple[torch.Tensor, ...]:
        found.clear()
        with torch.inference_mode():
            loaded.model(**inputs)
            return (torch.stack(found),)

    return step


def _differentiated(loaded: Loaded, device: torch.device) -> Step:
    """The gradient of the samples' highest logits to what went in; weights are frozen and have none."""
    model, inputs = loaded.model.requires_grad_(False), _inputs(loaded, device, logits=True)
    name = next(iter(inputs))
    source = inputs.pop(name)
    embed = model.get_input_embeddings() if name == "input_ids" else None

    def step() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            given = source.detach() if embed is None else embed(source)
        given.requires_grad_()
        logits = model(**{"inputs_embeds" if embed else name: given}, **inputs).logits
        last = logits[:, -1] if logits.dim() == 3 else logits
        gradients: tuple[torch.Tensor, ...] = torch.autograd.grad(last.max(-1).values.sum(), given)
        return gradients

    return step


def _probed(loaded: Loaded, device: torch.device) -> Step:
    """The unit vector along which what a layer gives differs most between two sets of samples: [hidden]."""
    sets = _inputs(loaded, device, _CONCEPT), _inputs(loaded, device, _OTHER)
    samples, means = loaded.resolved.batch_size_per_device, list[torch.Tensor]()
    targets = torch.cat((torch.ones(samples), torch.zeros(samples))).to(device)

    def keep(layer: Any, args: Any, output: Any) -> None:
        means.append(_given(output).mean(1, dtype=torch.float32))
        raise _Reached

    assert loaded.resolved.layer is not None  # resolved for every probe
    _layers(loaded)[loaded.resolved.layer - 1].register_forward_hook(keep)

    def step() -> tuple[torch.Tensor, ...]:
        means.clear()
        for inputs in sets:
            try:
                with torch.no_grad():
                    loaded.model(**inputs)
            except _Reached:
                pass
        return (_direction(torch.cat(means), targets),)

    return step


def _direction(features: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """A linear probe's weights, trained by gradient descent on standardised features, as a unit vector."""
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    weights = torch.zeros((features.shape[1], 1), device=features.device, requires_grad=True)
    bias = torch.zeros((), device=features.device, requires_grad=True)
    for _ in range(PROBE_STEPS):
        loss = torch.nn.functional.binary_cross_entropy_with_logits((features @ weights).squeeze(1) + bias, targets)
        for parameter, gradient in zip((weights, bias), torch.autograd.grad(loss, (weights, bias)), strict=True):
            parameter.data -= _PROBE_RATE * gradient
    direction: torch.Tensor = (weights / weights.norm()).detach().squeeze(1)
    return direction


def _layers(loaded: Loaded) -> list[torch.nn.Module]:
    """The transformer layers in the order in which they run: those that transformers can run again, but for the
    convolutions in front of them, which it can as well."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    stacks = (loaded.architecture.encoder, loaded.architecture.decoder)
    count = sum(stack.layers for stack in stacks if stack)
    return [module for module in loaded.model.modules() if isinstance(module, GradientCheckpointingLayer)][-count:]


def _given(output: Any) -> torch.Tensor:
    """The hidden states of what a layer returns."""
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states


def _inputs(loaded: Loaded, device: torch.device, seed: int = 0, *, logits: bool = False) -> dict[str, Any]:
    """What the model is given, first what a gradient is taken to; no cache, which nobody would read.

    An encoder-decoder's decoder is given as many tokens as its encoder (of one that hears: those of the target); where
    its `logits` are what counts, the token that its output begins with, to which those of the first one belong.
    """
    size, family = loaded.resolved.input, loaded.architecture.family
    if loaded.architecture.modality is Modality.IMAGE:
        return {"pixel_values": images(loaded, device, seed)}
    if loaded.architecture.modality is Modality.AUDIO:
        name = "input_values" if family is Family.ENCODER else "input_features"
        given: dict[str, Any] = {name: sound(loaded, device, seed)}
        target = size.output_tokens
    else:
        assert size.input_tokens is not None  # resolved for every model that reads text
        given = {"input_ids": token_ids(loaded, size.input_tokens, device, seed)}
        target = size.input_tokens
    if family is Family.DECODER:
        return given | {"use_cache": False} | (last_position_only(loaded.model) if logits else {})
    if family is Family.ENCODER_DECODER:
        assert target is not None  # resolved for every model that writes
        start = (loaded.resolved.batch_size_per_device, 1)
        ids = token_ids(loaded, target, device, seed)
        begin = torch.full(start, start_token(loaded.model), device=device) if logits else ids
        return given | {"decoder_input_ids": begin, "use_cache": False}
    return given
