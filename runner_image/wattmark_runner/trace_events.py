"""The life of every storage on the pretended device: when it comes, when it goes, and what it is for."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate.simulation.replay import Allocated, CacheEmptied, Event, Released
from wattmark_runner.trace_kernels import DEVICE, device_of

_ATEN = torch.ops.aten
_ASKED_DEVICE = torch.ops.prim.device.default  # two of three calls of a training step, and nothing is allocated
_PRODUCTS = (_ATEN.mm, _ATEN.bmm, _ATEN.addmm, _ATEN.baddbmm)
_QUERY_STEP = 128  # rows: attention's backward kernels work in tiles
_FEW_INDICES = 3072  # up to here an embedding's gradient is summed without temporaries (Embedding.cu)


def _attention_temporaries(arguments: tuple[Any, ...]) -> int:
    """Bytes that the backward pass of fused attention in 16 bits takes for itself (mha_bwd in flash_api.cpp).

    The query's gradient in fp32, the rows' sums, and keys' and values' gradients for each head of a group.
    """
    _, query, key = arguments[:3]
    batch, heads, rows, width = query.shape
    rows = -(-rows // _QUERY_STEP) * _QUERY_STEP
    size: int = batch * heads * rows * 4
    if query.dtype is not torch.float32:
        size += batch * heads * rows * (-(-width // 32) * 32) * 4
    if key.shape[1] != heads:
        size += 2 * batch * heads * key.shape[2] * width * query.element_size()
    return size


def _embedding_temporaries(arguments: tuple[Any, ...]) -> int:
    """Bytes of the sums of each index's rows in fp32, one row at least for each that occurs; and of sorted indices."""
    gradient, indices, rows = arguments[:3]
    tokens: int = indices.numel()
    if tokens <= _FEW_INDICES:
        return 0
    return min(tokens, int(rows) + tokens // 10) * int(gradient.shape[-1]) * 4 + 4 * tokens * 8


# What kernels allocate inside, where the dispatcher does not see it: freed when they return
_TEMPORARIES: dict[Any, Callable[[tuple[Any, ...]], int]] = {
    _ATEN._scaled_dot_product_flash_attention_backward: _attention_temporaries,
    _ATEN._scaled_dot_product_efficient_attention_backward: _attention_temporaries,
    _ATEN.embedding_dense_backward: _embedding_temporaries,
}

# What an analysis asks the model to give back beside its result
_KEPT = {
    "hidden_states": ComponentName.HIDDEN_STATES,
    "encoder_hidden_states": ComponentName.HIDDEN_STATES,
    "decoder_hidden_states": ComponentName.HIDDEN_STATES,
    "attentions": ComponentName.ATTENTION_WEIGHTS,
    "encoder_attentions": ComponentName.ATTENTION_WEIGHTS,
    "decoder_attentions": ComponentName.ATTENTION_WEIGHTS,
    "cross_attentions": ComponentName.ATTENTION_WEIGHTS,
}


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records while it is entered. `phase` is that of what is not a backward pass or an optimizer step.

    `scratch_bytes` is what cuBLAS takes at the first matrix product of a thread: the forward's, the backward's.
    """

    def __init__(self, scratch_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.phase = Phase.LOAD
        self.events: list[Event] = []
        self.names: dict[int, ComponentName] = {}
        self._alive: dict[int, tuple[int, Any]] = {}  # by the storage's address: its key, and what tells of its end
        self._next = 0
        self.scratch: set[int] = set()  # the keys of cuBLAS's workspaces
        self._scratch_bytes = scratch_bytes
        self._with_scratch: set[bool] = set()
        self._stepping = False
        self._calls = 0
        self._vocabulary: int | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is _ASKED_DEVICE:
            return device_of(args[0])
        packet, kwargs = func.overloadpacket, kwargs or {}
        if _composite(func):  # in inference mode they come whole, and what they allocate inside would not be seen
            with self:
                return func.decompose(*args, **kwargs)
        if packet is _ATEN._local_scalar_dense and self._stepping and _there(device_of(args[0])):
            return 1.0  # an optimizer scales by norms that it reads: Adafactor
        if packet in _PRODUCTS:
            self._take_scratch()
        if packet is _ATEN._to_copy and _there(kwargs.get("device")) and not _there(device_of(args[0])):
            # Fake tensors that know their value would be copied for real, to a device that is not there
            result = _ATEN.empty_strided(
                args[0].shape, args[0].stride(), dtype=kwargs.get("dtype") or args[0].dtype, device=DEVICE
            )
            if args[0].dtype is torch.bool and not isinstance(args[0], FakeTensor):
                result.selects = int(args[0].count_nonzero())
        elif packet is _ATEN.index and (rows := _selected(args)) is not None:
            result = rows
        else:
            result = func(*args, **kwargs)
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and _there(device_of(leaf)):
                self._seen(leaf)
        temporary = _TEMPORARIES.get(packet)
        if temporary is not None and (size := temporary(args)):
            key = self._allocated(size)
            self.names[key] = ComponentName.WORKSPACE
            self.events.append(Released(key))
        return result

    def name(self, tensors: Any, component: ComponentName) -> None:
        """Say what storages are for; the last name stays."""
        for leaf in tree_leaves(tensors):
            if isinstance(leaf, torch.Tensor) and _there(device_of(leaf)):
                self.names[self._seen(leaf)] = component

    def autocast_copied(self, copy: torch.Tensor) -> None:
        """A weight's copy that autocast keeps."""
        self.name(copy, ComponentName.AUTOCAST_COPIES)

    def begin(self, phase: Phase) -> None:
        """An iteration begins with this phase; a prefill is followed by decoding from the model's second call on."""
        self.phase = phase
        self._calls = 0

    def repeated(self, begun: int) -> bool:
        """Record once more what has happened since so many events, but for workspaces, which stay.

        False, and nothing, where other storages stay or older ones went: what comes then finds another device.
        """
        happened = [
            event
            for event in self.events[begun:]
            if isinstance(event, Allocated | Released) and event.key not in self.scratch
        ]
        made = [event.key for event in happened if isinstance(event, Allocated)]
        if sorted(made) != sorted(event.key for event in happened if isinstance(event, Released)):
            return False
        again = {key: self._next + number for number, key in enumerate(made, 1)}
        self._next += len(made)
        self.names |= {again[key]: self.names[key] for key in made if key in self.names}
        self.events += [replace(event, key=again[event.key]) for event in happened]
        return True

    def empty_cache(self) -> None:
        """As the runner does between loading and running."""
        self.events.append(CacheEmptied())

    @contextmanager
    def watching(self, model: torch.nn.Module, vocabulary: int | None) -> Iterator[None]:
        """Name what the model and its optimizer hold; tensors as wide as the vocabulary are logits."""
        self.name([*model.parameters(), *model.buffers()], ComponentName.WEIGHTS)
        self._vocabulary = vocabulary
        with ExitStack() as stack:
            for handle in (
                model.register_forward_pre_hook(self._called),
                model.register_forward_hook(self._answered),
                register_optimizer_step_pre_hook(self._step_begins),
                register_optimizer_step_post_hook(self._step_ends),
            ):
                stack.callback(handle.remove)
            yield

    def named(self) -> dict[int, ComponentName]:
        """What every storage of the events was for; activations where nobody said otherwise."""
        keys = (event.key for event in self.events if isinstance(event, Allocated))
        return {key: self.names.get(key, ComponentName.ACTIVATIONS) for key in keys}

    def _called(self, model: Any, given: Any) -> None:
        self._calls += 1
        if self._calls > 1 and self.phase is Phase.PREFILL:
            self.phase = Phase.DECODE

    def _answered(self, model: Any, given: Any, output: Any) -> None:
        for name, component in _KEPT.items():
            self.name(getattr(output, name, None), component)
        cache = getattr(output, "past_key_values", None)
        if cache is None:
            return
        for part in (getattr(cache, "self_attention_cache", cache), getattr(cache, "cross_attention_cache", None)):
            for layer in getattr(part, "layers", ()):
                self.name([layer.keys, layer.values], ComponentName.KV_CACHE)

    def _step_begins(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._stepping = True
        for group in optimizer.param_groups:
            self.name([parameter.grad for parameter in group["params"]], ComponentName.GRADIENTS)
            sparing = isinstance(optimizer, torch.optim.Adafactor)  # goes by parameter unless it is told otherwise
            if group.get("foreach", False) is None and not group.get("fused") and not sparing:
                group["foreach"] = True  # PyTorch's own choice where parameters lie on a GPU

    def _step_ends(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        self._stepping = False
        self.name(list(optimizer.state.values()), ComponentName.OPTIMIZER)

    def _now(self) -> Phase:
        if torch._C._current_graph_task_id() != -1:
            return Phase.BACKWARD
        return Phase.OPTIMIZER_STEP if self._stepping else self.phase

    def _take_scratch(self) -> None:
        backward = self._now() is Phase.BACKWARD
        if self.phase is Phase.LOAD or backward in self._with_scratch:
            return
        self._with_scratch.add(backward)
        key = self._allocated(self._scratch_bytes)
        self.scratch.add(key)
        self.names[key] = ComponentName.WORKSPACE

    def _allocated(self, size: int) -> int:
        self._next += 1
        self.events.append(Allocated(self._next, size, self._now()))
        return self._next

    def _seen(self, tensor: torch.Tensor) -> int:
        storage = tensor.untyped_storage()
        address: int = storage._cdata
        if address in self._alive:
            return self._alive[address][0]
        size = storage.nbytes()
        key = self._allocated(size) if size else 0
        if self._stepping:
            self.names[key] = ComponentName.WORKSPACE
        elif self._vocabulary is not None and tensor.dim() > 1 and tensor.shape[-1] == self._vocabulary:
            self.names[key] = ComponentName.LOGITS
        self._alive[address] = key, weakref.ref(storage, lambda _: self._gone(address))
        return key

    def _gone(self, address: int) -> None:
        key, _ = self._alive.pop(address)
        if key:
            self.events.append(Released(key))


def _selected(arguments: tuple[Any, ...]) -> torch.Tensor | None:
    """What a mask that was made on the CPU selects, as wav2vec 2.0 does of its sound; None of any other index."""
    values, indices = arguments
    number = getattr(indices[0], "selects", None)
    if len(indices) > 1 or number is None:
        return None
    rows: torch.Tensor = values.new_empty((number, *values.shape[indices[0].dim() :]))
    return rows


@cache
def _composite(func: Any) -> bool:
    if func.namespace != "aten":
        return False
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"))


def _there(device: torch.device | None) -> bool:
    return device is not None and device.type == DEVICE.type
