"""A GPU's choice of operators, for tensors that only pretend to be on one.

The pretended device is "lazy": PyTorch's own dispatcher takes it for an accelerator (fused dropout, no CPU kernels) and
runs its backward pass without a driver, which it does not for a pretended "cuda" (there is no device 0 to ask). What
PyTorch decides by the word "cuda" is decided here instead, on a dispatch key that nothing else uses: which kernel
computes attention, and what autocast casts. Whether autocast is on is read from the CPU's autocast, so that whoever
switches that on (accelerate, gradient checkpointing as it computes anew) switches this one on.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

DEVICE = torch.device("lazy")
_KEY = "AutocastPrivateUse1"
_AMPERE = (8, 0)
_FLASH_HEAD_DIM = 256  # the widest head that flash attention takes
_WORD_BYTES = 16
_MASK_STEP = 8  # elements: efficient attention pads a mask's rows to multiples
_ATEN = torch.ops.aten

# ATen/autocast_mode.h of torch 2.15, as far as transformers' models go: AT_FORALL_LOWER_PRECISION_FP, _FP32, and
# _FP32_SET_OPT_DTYPE
_LOWER = (
    "_convolution", "addbmm", "addmm", "addmv", "baddbmm", "bmm", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d.input", "convolution", "einsum", "linear", "matmul", "mm", "mv", "prelu",
)  # fmt: skip
_RAISED = (
    "binary_cross_entropy_with_logits", "cosine_similarity", "exp", "expm1", "group_norm", "kl_div", "l1_loss",
    "layer_norm", "log", "log1p", "log2", "logsumexp", "mse_loss", "native_layer_norm", "nll_loss", "nll_loss2d",
    "pow.Scalar", "pow.Tensor_Scalar", "pow.Tensor_Tensor", "reciprocal", "rms_norm", "rsqrt", "smooth_l1_loss",
    "softplus", "upsample_bilinear2d", "upsample_nearest2d",
)  # fmt: skip
_RAISED_UNLESS_TOLD = ("cumprod", "cumsum", "log_softmax.int", "prod", "prod.dim_int", "softmax.int", "sum",
                       "sum.dim_IntList")  # fmt: skip
# Kernels of a GPU that PyTorch writes out in steps for a device that has none of its own
_WHOLE = ("mish_backward", "silu_backward")


class Kernels:
    """The choices of a GPU of this compute capability; `decided` tells whether it has decided about a kernel.

    `copied` is told of each copy of a weight that autocast keeps until the forward pass ends; `lowered` is the format
    in which autocast lets operators compute, whatever the CPU's is.
    """

    def __init__(
        self,
        capability: tuple[int, int],
        copied: Callable[[torch.Tensor], None],
        lowered: torch.dtype = torch.bfloat16,
    ) -> None:
        self.decided = False
        self._lowered = lowered
        self._fused = capability >= _AMPERE
        self._copied = copied
        self._copies: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @contextmanager
    def chosen(self) -> Iterator[None]:
        """Let operators on the pretended device be chosen as on the GPU."""
        library: Any = torch.library.Library("aten", "IMPL", _KEY)  # type: ignore[no-untyped-call]
        every: Any = torch.library.Library("_", "IMPL", _KEY)  # type: ignore[no-untyped-call]
        every.fallback(torch.library.fallthrough_kernel)
        for names, kernel in ((_LOWER, self._lower), (_RAISED, self._raised), (_RAISED_UNLESS_TOLD, self._told)):
            for name in names:
                library.impl(name, kernel(_operator(name)))
        library.impl("scaled_dot_product_attention", self._attention)
        for name in _WHOLE:
            library.impl(name, lambda gradient, _: torch.empty_like(gradient))
        clear, enabled, autocast = torch.clear_autocast_cache, torch.is_autocast_enabled, torch.autocast

        def forget() -> None:
            self._copies.clear()
            clear()

        def is_enabled(device_type: str | None = None) -> bool:
            return enabled(_named(device_type)) if device_type else enabled()

        class Autocast(autocast):  # type: ignore[misc, valid-type]
            def __init__(self, device_type: str, *arguments: Any, **options: Any) -> None:
                super().__init__(_named(device_type), *arguments, **options)

        with ExitStack() as stack:
            stack.callback(every._destroy)
            stack.callback(library._destroy)
            stack.enter_context(swapped(torch, "clear_autocast_cache", forget))
            stack.enter_context(swapped(torch, "is_autocast_enabled", is_enabled))
            stack.enter_context(swapped(torch, "autocast", Autocast))
            # Autocast's keys are left out of dispatch until autocast is switched on; ours is always on
            key = torch._C._dispatch_key_parse(_KEY)
            torch._C._dispatch_tls_set_dispatch_key_excluded(key, False)
            stack.callback(torch._C._dispatch_tls_set_dispatch_key_excluded, key, True)
            stack.enter_context(torch._C._IncludeDispatchKeyGuard(key))
            yield

    def _lower(self, operator: Any) -> Callable[..., Any]:
        return _redispatched(operator, lambda value: self._cast(value, self._lowered))

    def _raised(self, operator: Any) -> Callable[..., Any]:
        return _redispatched(operator, lambda value: self._cast(value, torch.float32))

    def _told(self, operator: Any) -> Callable[..., Any]:
        """Operators that can be told the dtype of their result: the cast is theirs."""
        fused = {_ATEN.softmax.int: _ATEN._softmax, _ATEN.log_softmax.int: _ATEN._log_softmax}.get(operator)

        def kernel(*arguments: Any, dtype: torch.dtype | None = None, **options: Any) -> Any:
            value = arguments[0]
            if len(arguments) > 2 and fused is not None:  # the dtype of a softmax may come by position
                *arguments, dtype = arguments  # type: ignore[assignment]
            if dtype is None and torch.is_autocast_enabled("cpu") and _eligible(value):
                dtype = torch.float32
            with _below():
                if fused is not None and value.dtype is torch.float16 and dtype is torch.float32:
                    return fused(value, arguments[1], True)  # a GPU reads fp16 and writes fp32 without a copy between
                return (
                    operator(*arguments, **options) if dtype is None else operator(*arguments, dtype=dtype, **options)
                )

        return kernel

    def _cast(self, value: Any, dtype: torch.dtype) -> Any:
        """A tensor as autocast hands it on; a weight's narrower copy is made once for a forward pass."""
        if isinstance(value, list | tuple):
            return type(value)(self._cast(one, dtype) for one in value)
        if not _eligible(value) or value.dtype is dtype:
            return value
        kept = (
            dtype is not torch.float32
            and value.dtype is torch.float32
            and value.requires_grad
            and value.is_leaf
            and not value._is_view()
            and torch.is_autocast_cache_enabled()
        )
        if not kept:
            return value.to(dtype)
        if id(value) not in self._copies:
            copy = value.to(dtype)
            self._copied(copy)
            self._copies[id(value)] = value, copy
        return self._copies[id(value)][1]

    def _attention(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        """Flash, efficient or unfused attention, by the rules of sdp_utils.cpp; cuDNN's saves what flash saves."""
        if torch.is_autocast_enabled("cpu"):
            query, key, value, attn_mask = (self._cast(one, self._lowered) for one in (query, key, value, attn_mask))
        half = query.dtype in (torch.float16, torch.bfloat16)
        width, same = query.shape[-1], value.shape[-1] == query.shape[-1]
        # Tensor cores read 16 bytes at a time; before Ampere fp32 does without them
        whole = all(one.shape[-1] % (_WORD_BYTES // one.element_size()) == 0 for one in (query, value))
        self.decided = self.decided or half or not whole
        with _below():
            if half and self._fused and attn_mask is None and same and width <= _FLASH_HEAD_DIM:
                scale = width**-0.5 if scale is None else scale
                padding = (0, -width % 8)
                padded = [torch.nn.functional.pad(one, padding) if padding[1] else one for one in (query, key, value)]
                result = _ATEN._scaled_dot_product_flash_attention(*padded, dropout_p, is_causal, scale=scale)[0]
                return result[..., :width]
            unaligned = not whole and (half or self._fused)
            if unaligned or (query.dtype is torch.bfloat16 and not self._fused):
                return _ATEN.scaled_dot_product_attention(
                    query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
                )
            if enable_gqa:
                groups = query.shape[-3] // key.shape[-3]
                key, value = key.repeat_interleave(groups, -3), value.repeat_interleave(groups, -3)
            mask = None if attn_mask is None else _prepared(attn_mask, query, key)
            saves = torch.is_grad_enabled() and any(one.requires_grad for one in (query, key, value))
            return _ATEN._scaled_dot_product_efficient_attention(
                query, key, value, mask, saves, dropout_p, is_causal, scale=scale
            )[0]


def _prepared(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """A mask as efficient attention takes it: additive, rows padded, seen by every head."""
    if mask.dtype is torch.bool:
        mask = torch.where(mask, 0.0, -torch.inf).to(query.dtype)
    keys = mask.shape[-1]
    if any(stride % _MASK_STEP for stride in mask.stride()[:-1]):
        mask = torch.nn.functional.pad(mask, (0, _MASK_STEP - keys % _MASK_STEP))[..., :keys]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])


def same_kernels(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether GPUs of these compute capabilities choose alike."""
    return (one >= _AMPERE) == (other >= _AMPERE)


def device_of(tensor: torch.Tensor) -> torch.device:
    """Where a tensor is, or pretends to be: a fake one that is asked for its device asks every dispatch mode."""
    return tensor.fake_device if isinstance(tensor, FakeTensor) else tensor.device


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Let an attribute have another value for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _redispatched(operator: Any, cast: Callable[[Any], Any]) -> Callable[..., Any]:
    def kernel(*arguments: Any, **options: Any) -> Any:
        if torch.is_autocast_enabled("cpu"):
            arguments = tuple(cast(one) for one in arguments)
            options = {name: cast(one) for name, one in options.items()}
        with _below():
            return operator(*arguments, **options)

    return kernel


def _below() -> Any:
    """From here on an operator is the framework's own."""
    return torch._C._ExcludeDispatchKeyGuard(torch._C.DispatchKeySet(torch._C._dispatch_key_parse(_KEY)))


def _operator(name: str) -> Any:
    packet, _, overload = name.partition(".")
    return getattr(getattr(_ATEN, packet), overload or "default")


def _eligible(value: Any) -> bool:
    return (
        isinstance(value, torch.Tensor)
        and device_of(value).type == DEVICE.type
        and value.is_floating_point()
        and value.dtype is not torch.float64
    )


def _named(device_type: str) -> str:
    return "cpu" if device_type == DEVICE.type else device_type
