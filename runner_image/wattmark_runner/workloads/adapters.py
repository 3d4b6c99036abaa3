"""Low-rank adapters in a model's layers, by peft."""

import re
from typing import Any

import torch

from wattmark.api.training import LoraSpec, LoraTargets

_IN_A_LAYER = re.compile(r"\.\d+\.")
_IN_ATTENTION = re.compile(r"\.\d+\..*(attn|attention)", re.IGNORECASE)


def adapt(model: Any, lora: LoraSpec) -> None:
    """Freeze the model and put adapters beside the linear layers within its layers, in the weights' format."""
    from peft import LoraConfig, inject_adapter_in_model
    from transformers.pytorch_utils import Conv1D

    where = _IN_ATTENTION if lora.targets is LoraTargets.ATTENTION else _IN_A_LAYER
    linear = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear | Conv1D)]
    targets = [name for name in linear if where.search(name)]
    dtype = next(model.parameters()).dtype
    inject_adapter_in_model(LoraConfig(r=lora.rank, lora_alpha=2 * lora.rank, target_modules=targets), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name
        if parameter.requires_grad:
            parameter.data = parameter.data.to(dtype)
