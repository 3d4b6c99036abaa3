"""Training steps on one synthetic batch, through accelerate."""

from collections.abc import Iterable
from time import perf_counter
from typing import Any

import torch

from wattmark.api.order import Resolved
from wattmark.api.report import RunFailure
from wattmark.api.training import GradientCheckpointing, Optimizer
from wattmark.models import Family, Modality
from wattmark_runner.data import class_labels, images, sound, token_ids
from wattmark_runner.device import Device
from wattmark_runner.failures import ESTIMATED_ALONE, RunError
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.models import Loaded
from wattmark_runner.workloads.adapters import adapt

_LEARNING_RATE = 1e-5  # small: the weights must not run off to infinity, where arithmetic has other speeds


def training_step(loaded: Loaded, device: Device) -> Iteration:
    """Forward and backward passes, optimizer step, clearing of the gradients; the batch lies on the device already.

    Precision and device are accelerate's business: autocast and gradient scaling for the mixed precisions. Dropout is
    as the configuration says. Input tokens count what the model reads, not the labels.
    """
    resolved = loaded.resolved
    passes = resolved.gradient_accumulation_steps
    assert passes is not None  # resolved for every training
    if resolved.gradient_checkpointing is GradientCheckpointing.FULL:
        if not loaded.model.supports_gradient_checkpointing:  # of types that are not listed nobody knew before
            raise RunError(
                RunFailure.INVALID_ORDER,
                "training.gradientCheckpointing Full: transformers cannot checkpoint a model of type "
                f"{loaded.architecture.model_type}; remove it",
            )
        loaded.model.activation_checkpointing_enable({"use_reentrant": False})
    if resolved.lora:
        adapt(loaded.model, resolved.lora)
    accelerator = _accelerator(loaded.numerics.mixed, device, passes)
    model, optimizer = accelerator.prepare(loaded.model, optimizer_of(resolved, loaded.model.parameters()))
    batch = _batch(loaded, device.torch_device)

    def run() -> Timing:
        device.synchronize()
        start = perf_counter()
        for _ in range(passes):
            with accelerator.accumulate(model):  # step and clearing do nothing before the last pass
                loss = model(**batch).loss
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
        device.synchronize()
        return Timing(perf_counter() - start)

    samples, tokens = passes * resolved.batch_size_per_device, resolved.input.input_tokens
    return Iteration(run, samples, input_tokens=None if tokens is None else samples * tokens)


def _accelerator(mixed: str, device: Device, passes: int) -> Any:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # accelerate keeps one state per process and refuses a second precision; one process may run several orders
    AcceleratorState._reset_state(reset_partial_state=True)
    on_gpu = device.torch_device.type == "cuda"
    # What lies on its device is left there; a traced run's is none that accelerate knows
    return Accelerator(
        mixed_precision=mixed, cpu=not on_gpu, device_placement=on_gpu, gradient_accumulation_steps=passes
    )


def optimizer_of(resolved: Resolved, parameters: Iterable[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """The resolved optimizer over the parameters. RunError InvalidOrder for those that are only estimated."""
    match resolved.optimizer:
        case Optimizer.ADAMW_FUSED:
            return torch.optim.AdamW(parameters, lr=_LEARNING_RATE, fused=True)
        case Optimizer.ADAFACTOR:
            return torch.optim.Adafactor(parameters, lr=_LEARNING_RATE)
        case Optimizer.SGD:
            return torch.optim.SGD(parameters, lr=_LEARNING_RATE)
        case Optimizer.SGD_MOMENTUM:
            return torch.optim.SGD(parameters, lr=_LEARNING_RATE, momentum=0.9)
        case Optimizer.ADAMW | None:
            return torch.optim.AdamW(parameters, lr=_LEARNING_RATE)
        case Optimizer.ADAMW_8BIT | Optimizer.LION:
            name = resolved.optimizer.value
            raise RunError(RunFailure.INVALID_ORDER, f"training.optimizer {name} {ESTIMATED_ALONE}")


def _batch(loaded: Loaded, device: torch.device) -> dict[str, Any]:
    if loaded.architecture.modality is Modality.IMAGE:
        return {"pixel_values": images(loaded, device), "labels": class_labels(loaded, device)}
    if loaded.architecture.modality is Modality.AUDIO:
        return _speech(loaded, device)
    tokens = loaded.resolved.input.input_tokens
    assert tokens is not None  # resolved for every model that reads text
    ids = token_ids(loaded, tokens, device)
    if loaded.architecture.family is Family.ENCODER:
        return {"input_ids": ids, "labels": class_labels(loaded, device)}
    # A decoder predicts its own input; an encoder-decoder is trained on a target as long as its input. The target is
    # given to its decoder as it is: shifting it takes a start token, which not every configuration names.
    batch = {"input_ids": ids, "labels": ids, "use_cache": False}
    return batch if loaded.architecture.family is Family.DECODER else batch | {"decoder_input_ids": ids}


def _speech(loaded: Loaded, device: torch.device) -> dict[str, Any]:
    tokens = loaded.resolved.input.output_tokens
    if tokens is None:
        return {"input_values": sound(loaded, device), "labels": class_labels(loaded, device)}
    ids = token_ids(loaded, tokens, device)
    return {"input_features": sound(loaded, device), "labels": ids, "decoder_input_ids": ids, "use_cache": False}
