"""Where and with what the figures were taken."""

import torch

from wattmark.api.figures import Environment
from wattmark_runner.cpus import cpu_model
from wattmark_runner.device import Cpu, Cuda
from wattmark_runner.models import Loaded
from wattmark_runner.text import clean


def environment(device: Cpu | Cuda, loaded: Loaded | None) -> Environment:
    """What is known of machine and software; with the model, also what was made of it."""
    import transformers

    model = cpu_model()
    match = loaded.match if loaded else None
    known = Environment(
        device=device.torch_device.type,
        cpu_model=clean(model, 128) if model else None,
        cpu_threads=torch.get_num_threads(),
        torch_version=torch.__version__[:32],
        transformers_version=transformers.__version__[:32],
        model_class=type(loaded.model).__name__[:64] if loaded else None,
        attention=loaded.attention if loaded else None,
        model_revision=loaded.revision if loaded else None,
        head_tensors_initialized=match.head_tensors_initialized if match else None,
        checkpoint_tensors_unused=match.tensors_unused if match else None,
    )
    return known if isinstance(device, Cpu) else known.model_copy(update=_gpu(device))


def _gpu(device: Cuda) -> dict[str, str | int | float | None]:
    nvml = device.nvml
    return {
        "gpu_product": clean(device.name, 128),
        "cuda_version": torch.version.cuda,
        "compute_capability": device.capability,
        "driver_version": nvml.driver_version() if nvml else None,
        "power_limit_watts": nvml.power_limit_watts() if nvml else None,
        "sm_clock_megahertz": device.sm_clock_megahertz,
    }
