"""A run without its GPU: the real model class and the runner's own workload, on tensors without memory."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import torch
import torch.utils.checkpoint
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.model import Weights
from wattmark.api.order import RunOrder
from wattmark.api.trace import Trace
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Gpu
from wattmark.estimate.device import scratch_bytes
from wattmark.estimate.simulation.replay import Allocated, Event, least, replay
from wattmark.estimate.traced import KINDS, memory
from wattmark.models import Family
from wattmark_runner.device import Cpu
from wattmark_runner.models import Loaded, built, read
from wattmark_runner.precision import NUMERICS
from wattmark_runner.trace_events import Recorder
from wattmark_runner.trace_kernels import DEVICE, Kernels, same_kernels, swapped
from wattmark_runner.workloads import workload

MOST_VALUES = 4096  # elements of a tensor on the CPU that is not fake


class Pretended(Cpu):
    """A GPU that is not there: what lies on it has a shape and no memory."""

    def __init__(self) -> None:
        self.torch_device = DEVICE


class Faked(FakeTensorMode):  # type: ignore[no-untyped-call]
    """What lies on the pretended device, and what is large, is fake. A few numbers on the CPU have their values: a
    class's code reads them as it is built (the share of layers that it drops) or runs (how full a cache is)."""

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[object] = (), kwargs: Mapping[str, object] | None = None
    ) -> Any:
        """Compute what is on the CPU and small, and only pretend to compute all else."""
        kwargs = kwargs or {}
        if any(isinstance(one, FakeTensor) for one in args):  # nearly always, and told without all leaves
            return super().__torch_dispatch__(func, types, args, kwargs)
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        device = kwargs.get("device")
        elsewhere = isinstance(device, torch.device) and device.type != "cpu"
        if elsewhere or any(isinstance(one, FakeTensor) for one in given):
            return super().__torch_dispatch__(func, types, args, kwargs)
        if given:
            return func(*args, **kwargs)
        made = super().__torch_dispatch__(func, types, args, kwargs)
        small = isinstance(made, torch.Tensor) and made.device.type == "cpu" and made.numel() <= MOST_VALUES
        return func(*args, **kwargs) if small else made


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
    """Loading and two iterations: optimizer states come with the first step, and the second one finds them there.

    Where the first one leaves nothing, the second does the same, and is not run.
    Weights are initialised, not read: they take the same memory. accelerate knows autocast to fp16 on a GPU alone: it
    is told bf16, which switches autocast on, and the kernels what to cast to. Scaling gradients is done in place.
    """
    order = order.model_copy(update={"weights": Weights.RANDOM})
    source, known, resolved = read(order, token)
    chosen = NUMERICS[resolved.precision]
    lowered = torch.float16 if chosen.mixed == "fp16" else torch.bfloat16
    if chosen.mixed != "no":
        chosen = replace(chosen, mixed="bf16")
    device, recorder = Pretended(), Recorder(scratch_bytes(Gpu(kind)))
    kernels = Kernels(kind, recorder.autocast_copied, lowered)
    with Faked(), kernels.chosen(), _of_fake_tensors(), recorder:
        loaded = built(order, source, known, resolved, chosen, device)
        count = loaded.parameter_count  # before adapters are put in
        with recorder.watching(loaded.model, known.vocab):
            recorder.empty_cache()
            recorder.begin(_first_phase(loaded))  # inputs are the first thing of it
            work, begun = workload(loaded, device), len(recorder.events)
            work.run()
            if not recorder.repeated(begun):
                recorder.begin(_first_phase(loaded))
                work.run()
    events, names = tuple(recorder.events), recorder.named()
    return _Recording(kind, events, frozenset(recorder.scratch), names, loaded, count, kernels.decided)


@contextmanager
def _of_fake_tensors() -> Iterator[None]:
    """Keep the libraries from what fake tensors cannot do: to have values, and to be changed in place.

    Initialisation draws until it likes what it drew; positions are searched for several sequences packed into one, of
    which the runner's samples have none; some classes look whether fp16 has overflowed, which it has not; and some ask
    a static cache how full it is.
    """
    from transformers import PreTrainedModel, masking_utils
    from transformers.cache_utils import StaticLayer

    with (
        swapped(torch, "isfinite", _always(torch.isfinite, True)),
        swapped(torch, "isinf", _always(torch.isinf, False)),
        swapped(StaticLayer, "lazy_initialization", _counting(StaticLayer.lazy_initialization)),
        swapped(PreTrainedModel, "initialize_weights", lambda model: None),
        swapped(masking_utils, "find_packed_sequence_indices", lambda position_ids: None),
        swapped(torch.nn.Module, "_apply", _applied),
        swapped(import_module("torch.optim.optimizer"), "_get_fused_kernels_supported_devices", lambda: [DEVICE.type]),
        # Whose random state is kept, and whose autocast is switched on again, when a layer is computed anew.
        swapped(torch.utils.checkpoint, "_infer_device_type", lambda *tensors: "cpu"),
    ):
        yield


def _always(looks: Callable[[torch.Tensor], torch.Tensor], answer: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """A look at every element, with the memory that it takes, and one answer for all of them."""

    def looked(values: torch.Tensor) -> torch.Tensor:
        looks(values)
        return torch.tensor(answer)

    return looked


def _counting(initialize: Callable[..., None]) -> Callable[..., None]:
    """A static cache's initialisation that leaves the count of its tokens, a single number, on the CPU."""

    def initialized(layer: Any, keys: torch.Tensor, values: torch.Tensor) -> None:
        count = layer.cumulative_length
        initialize(layer, keys, values)
        layer.cumulative_length = count

    return initialized


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
