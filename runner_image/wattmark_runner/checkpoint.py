"""Pretrained weights into a model of transformers, and how well the two went together.

transformers is given tensors, never a folder: from a folder it would read whatever else lies there, such as adapters
that name another model, generation settings, or weights that config.json points to.
"""

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wattmark_runner.failures import is_out_of_memory
from wattmark_runner.safetensors_files import TensorFile, UnusableError, few
from wattmark_runner.text import clean

_POOLER = "pooler"  # of a base model, but trained with a head and left out by whoever trained without
_SHOWN = 1024


@dataclass(frozen=True, slots=True)
class Match:
    """Where checkpoint and model differ without harm: tensors of the head that were not there, tensors without use."""

    head_tensors_initialized: int
    tensors_unused: int


def load_checkpoint(
    model_class: Any, config: Any, files: Iterable[TensorFile], device: torch.device, options: dict[str, Any]
) -> tuple[Any, Match]:
    """The class's model with the files' tensors on the device. UnusableError if one of its layers gets none."""
    with ExitStack() as stack:
        tensors = _tensors(stack, files)
        try:
            model, told = model_class.from_pretrained(
                None,
                config=config,
                state_dict=tensors,
                device_map={"": device},
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # told below, by name; transformers would only say that there are some
                trust_remote_code=False,
                **options,
            )
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            # Tensors that should be joined into one, as those of experts, and cannot be
            raise UnusableError(f"its tensors do not go into the model: {error}") from error
    return model, _match(model, told)


def _tensors(stack: ExitStack, files: Iterable[TensorFile]) -> dict[str, Any]:
    """Every tensor by its name, none of them read yet; the model takes one after another."""
    from safetensors import SafetensorError, safe_open

    found: dict[str, Any] = {}
    for file in files:
        try:
            opened = stack.enter_context(safe_open(Path(file.path), framework="pt", device="cpu"))
        except SafetensorError as error:
            raise UnusableError(f"{file.path.name} is no safetensors file: {error}") from error
        found |= {name: opened.get_slice(name) for name in file.tensors}
    return found


def _match(model: Any, told: dict[str, Any]) -> Match:
    """What transformers tells of a load. UnusableError if a layer's tensor is missing or one has another shape."""
    mismatched = sorted(told["mismatched_keys"])
    if mismatched:
        name, stored, wanted = mismatched[0]
        more = f", and {len(mismatched) - 1} more" if len(mismatched) > 1 else ""
        raise UnusableError(
            f"its tensors have other shapes than config.json says: {name} is {list(stored)}, not {list(wanted)}{more}"
        )
    if told["error_msgs"]:
        raise UnusableError(f"its tensors do not go into the model: {'; '.join(map(str, told['error_msgs']))}")
    missing, unused = set(told["missing_keys"]), set(told["unexpected_keys"])
    heads = {name for name in missing if _of_the_head(model, name)}
    layers = missing - heads
    if layers:
        raise UnusableError(f"{len(layers)} tensors of its layers are missing: {few(layers)}")
    _tell(heads, "tensors of the head are not in the checkpoint and hold random values")
    _tell(unused, "tensors of the checkpoint are of no use to this class of the model")
    return Match(len(heads), len(unused))


def _of_the_head(model: Any, name: str) -> bool:
    """Whether a tensor belongs to what a task puts on the base model, not to the base model's own layers."""
    base = model.base_model_prefix
    if isinstance(getattr(model, base, None), torch.nn.Module):
        if not name.startswith(f"{base}."):
            return True
        name = name.removeprefix(f"{base}.")
    return name.partition(".")[0] == _POOLER


def _tell(names: set[str], what: str) -> None:
    if names:
        print(clean(f"{len(names)} {what}: {', '.join(sorted(names))}", _SHOWN), file=sys.stderr)
