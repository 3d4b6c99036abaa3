"""What is done with a model, once per iteration."""

from wattmark.api.workload import WorkloadType
from wattmark_runner.device import Device
from wattmark_runner.iteration import Iteration
from wattmark_runner.models import Loaded
from wattmark_runner.workloads.analysis import analysis
from wattmark_runner.workloads.forward import forward
from wattmark_runner.workloads.generate import generation
from wattmark_runner.workloads.training import training_step

__all__ = ["workload"]


def workload(loaded: Loaded, device: Device) -> Iteration:
    """The resolved workload as something to call: a training step, an analysis, a generation, or a forward pass."""
    if loaded.resolved.workload_type is WorkloadType.TRAINING:
        return training_step(loaded, device)
    if loaded.resolved.workload_type is WorkloadType.ANALYSIS:
        return analysis(loaded, device)
    return generation(loaded, device) if loaded.resolved.input.output_tokens else forward(loaded, device)
