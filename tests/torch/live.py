"""What is alive in memory while PyTorch works: every storage that an operator is given or makes, until it is freed."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts bytes of living storages; `peak` is the most there were at once. `there` is what lives beforehand."""

    def __init__(self, there: Iterable[Any] = ()) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._sizes: dict[int, int] = {}
        self._see(there)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._see(tree_leaves((args, kwargs)))
        result = function(*args, **(kwargs or {}))
        self._see(tree_leaves(result))
        return result

    def _see(self, values: Iterable[Any]) -> None:
        for value in values:
            if not isinstance(value, torch.Tensor):
                continue
            storage = value.untyped_storage()
            key = storage._cdata
            if key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                self._now += storage.nbytes()
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._freed, key)

    def _freed(self, key: int) -> None:
        self._now -= self._sizes.pop(key)
