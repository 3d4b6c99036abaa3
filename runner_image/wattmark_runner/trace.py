"""A run without its GPU: the real model class and the runner's own workload, on tensors without memory."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
import torch.utils.checkpoint
from torch._subclasses.fake_tensor import FakeTensorMode

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.model import Weights
from wattmark.api.order import RunOrder
from wattmark.api.trace import Trace
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Gpu
from wattmark.estimate.device import scratch_bytes
from wattmark.estimate.replay import Allocated, Event, least, replay
from wattmark.estimate.traced import KINDS, memory
from wattmark.models import Family
from wattmark_runner.device import Cpu
from wattmark_runner.models import Loaded, built, read
from wattmark_runner.precision import NUMERICS
from wattmark_runner.trace_events import Recorder
from wattmark_runner.trace_kernels import DEVICE, Kernels, same_kernels, swapped
from wattmark_runner.workloads import workload

ITERATIONS = 2  # optimizer states come with the first step; the second holds them from its start


class Pretended(Cpu):
    """A GPU that is not there: what lies on it has a shape and no memory."""

    def __init__(self) -> None:
        self.torch_device = DEVICE


def trace(order: RunOrder, kinds: Iterable[tuple[int, int]] = KINDS, token: str | None = None) -> Trace:
    """The ordered workload on each kind of GPU, traced. RunError ModelNotLoadable or InvalidOrder if it cannot be.

    Kinds that choose the same kernels are recorded once, and replayed each with its own workspaces.
    """
    recording, found = None, []
    for kind in kinds:
        if recording is None or not recording.holds_for(kind):
            recording = None  # its events take memory
            recording = _record(order, kind, token)
        events = tuple(recording.on(scratch_bytes(Gpu(kind))))
        found.append(memory(kind, replay(events, recording.names), least(events)))
    if recording is None:
        raise ValueError("no kind of GPU to trace for")
    loaded = recording.loaded
    return Trace(
        resolved=loaded.resolved,
        parameter_count=recording.parameter_count,
        convolutional=loaded.architecture.family is Family.CONVOLUTIONAL,
        memory=found,
    )


@dataclass(frozen=True, slots=True)
class _Recording:
    """A run's allocations as on a GPU of this kind; `chose` tells whether that decided about a kernel."""

    kind: tuple[int, int]
    events: tuple[Event, ...]
    scratch: frozenset[int]
    names: dict[int, ComponentName]
    loaded: Loaded
    parameter_count: int
    chose: bool

    def holds_for(self, kind: tuple[int, int]) -> bool:
        """Whether a GPU of another kind would choose the same kernels."""
        return not self.chose or same_kernels(self.kind, kind)

    def on(self, scratch: int) -> Iterator[Event]:
        """The events with cuBLAS workspaces of this size."""
        for event in self.events:
            if isinstance(event, Allocated) and event.key in self.scratch:
                yield replace(event, size=scratch)
            else:
                yield event


def _record(order: RunOrder, kind: tuple[int, int], token: str | None) -> _Recording:
    """Loading and two iterations.

    Weights are initialised, not read: they take the same memory. fp16 autocast is traced as bf16's, whose tensors are
    as large: accelerate refuses it without a GPU, and scaling gradients is done in place.
    """
    order = order.model_copy(update={"weights": Weights.RANDOM})
    source, known, resolved = read(order, token)
    chosen = NUMERICS[resolved.precision]
    if chosen.mixed != "no":
        chosen = replace(chosen, mixed="bf16")
    device, recorder = Pretended(), Recorder(scratch_bytes(Gpu(kind)))
    kernels = Kernels(kind, recorder.autocast_copied)
    with FakeTensorMode(), kernels.chosen(), _of_fake_tensors(), recorder:
        loaded = built(order, source, known, resolved, chosen, device)
        count = loaded.parameter_count  # before adapters are put in
        with recorder.watching(loaded.model, known.vocab):
            recorder.empty_cache()
            work = workload(loaded, device)
            for _ in range(ITERATIONS):
                recorder.begin(_first_phase(loaded))
                work.run()
    events, names = tuple(recorder.events), recorder.named()
    return _Recording(kind, events, frozenset(recorder.scratch), names, loaded, count, kernels.decided)


@contextmanager
def _of_fake_tensors() -> Iterator[None]:
    """Keep the libraries from what fake tensors cannot do: to have values, and to be changed in place.

    Initialisation draws until it likes what it drew; and positions are searched for several sequences packed into one,
    of which the runner's samples have none.
    """
    from transformers import PreTrainedModel, masking_utils

    with (
        swapped(PreTrainedModel, "initialize_weights", lambda model: None),
        swapped(masking_utils, "find_packed_sequence_indices", lambda position_ids: None),
        swapped(torch.nn.Module, "_apply", _applied),
        # Whose random state is kept, and whose autocast is switched on again, when a layer is computed anew.
        swapped(torch.utils.checkpoint, "_infer_device_type", lambda *tensors: "cpu"),
    ):
        yield


def _applied(module: torch.nn.Module, move: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> object:
    """Module._apply with new parameters for those that move, as adapters do: a fake one cannot be changed in place."""
    if recurse:
        for child in module.children():
            _applied(child, move)
    with torch.no_grad():
        for name, parameter in module.named_parameters(recurse=False):
            moved = move(parameter)
            if moved is not parameter:
                setattr(module, name, torch.nn.Parameter(moved, parameter.requires_grad))
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, move(buffer))
    return module


def _first_phase(loaded: Loaded) -> Phase:
    generates = loaded.architecture.family in (Family.DECODER, Family.ENCODER_DECODER)
    if generates and loaded.resolved.workload_type is WorkloadType.INFERENCE:
        return Phase.PREFILL
    return Phase.FORWARD
