"""A run without its GPU: the real model class and the runner's own workload, on tensors without memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch._subclasses.fake_tensor import FakeTensorMode

from wattmark.api.answers import Need, Phase
from wattmark.api.model import Weights
from wattmark.api.order import RunOrder
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Gpu
from wattmark.estimate.device import scratch_bytes
from wattmark.estimate.replay import Fullest, replay
from wattmark.estimate.traced import traced
from wattmark.models import Family
from wattmark_runner.device import Cpu
from wattmark_runner.models import Loaded, built, read
from wattmark_runner.precision import NUMERICS
from wattmark_runner.trace_events import Recorder
from wattmark_runner.trace_kernels import DEVICE, Kernels, swapped
from wattmark_runner.workloads import workload

ITERATIONS = 2  # optimizer states come with the first step; the second holds them from its start


class Pretended(Cpu):
    """A GPU that is not there: what lies on it has a shape and no memory."""

    def __init__(self) -> None:
        self.torch_device = DEVICE


def trace(order: RunOrder, gpu: Gpu, token: str | None = None) -> Need:
    """The need of a run on this GPU, traced. RunError ModelNotLoadable or InvalidOrder if there is nothing to trace."""
    fullest, loaded = recorded(order, gpu, token)
    return traced(
        fullest,
        order.weights,
        gpu,
        training=loaded.resolved.differentiates,
        convolutional=loaded.architecture.family is Family.CONVOLUTIONAL,
    )


def recorded(order: RunOrder, gpu: Gpu, token: str | None) -> tuple[tuple[Fullest, ...], Loaded]:
    """The fullest moments of loading and of two iterations, and the model that pretends to be loaded.

    Weights are initialised, not read: they take the same memory. fp16 autocast is traced as bf16's, whose tensors are
    as large: accelerate refuses it without a GPU, and scaling gradients is done in place.
    """
    source, known, resolved = read(order.model_copy(update={"weights": Weights.RANDOM}), token)
    chosen = NUMERICS[resolved.precision]
    if chosen.mixed != "no":
        chosen = replace(chosen, mixed="bf16")
    device, recorder = Pretended(), Recorder(scratch_bytes(gpu))
    kernels = Kernels(gpu.capability, recorder.autocast_copied)
    order = order.model_copy(update={"weights": Weights.RANDOM})
    with FakeTensorMode(), kernels.chosen(), _values_unread(), recorder:
        loaded = built(order, source, known, resolved, chosen, device)
        with recorder.watching(loaded.model, known.vocab):
            recorder.empty_cache()
            work = workload(loaded, device)
            for _ in range(ITERATIONS):
                recorder.begin(_first_phase(loaded))
                work.run()
    return replay(recorder.events, recorder.named()), loaded


@contextmanager
def _values_unread() -> Iterator[None]:
    """Keep transformers from looking at values, which fake tensors do not have.

    Initialisation draws until it likes what it drew; and positions are searched for several sequences packed into one,
    of which the runner's samples have none.
    """
    from transformers import PreTrainedModel, masking_utils

    with (
        swapped(PreTrainedModel, "initialize_weights", lambda model: None),
        swapped(masking_utils, "find_packed_sequence_indices", lambda position_ids: None),
    ):
        yield


def _first_phase(loaded: Loaded) -> Phase:
    generates = loaded.architecture.family in (Family.DECODER, Family.ENCODER_DECODER)
    if generates and loaded.resolved.workload_type is WorkloadType.INFERENCE:
        return Phase.PREFILL
    return Phase.FORWARD
