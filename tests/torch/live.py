"""What is alive in memory while PyTorch works: every storage that an operator is given or makes, until it is freed."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Live(TorchDispatchMode):
    """Counts bytes of living storages; `peak` is the most there were at once. `there` is what lives beforehand.

    `resized`: storages are emptied and filled again behind the dispatcher's back, as FSDP does with what it gathers.
    """

    def __init__(self, there: Iterable[Any] = (), *, resized: bool = False) -> None:
        super().__init__()
        self.peak = 0
        self._now = 0
        self._sizes: dict[int, int] = {}
        self._storages: dict[int, Any] | None = {} if resized else None
        self._see(there)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._resize()
        self._see(tree_leaves((args, kwargs)))
        result = function(*args, **(kwargs or {}))
        self._see(tree_leaves(result))
        return result

    def _see(self, values: Iterable[Any]) -> None:
        for value in values:
            if not isinstance(value, torch.Tensor):
                continue
            # A distributed tensor says it is as large as the whole, and holds a part.
            storage = getattr(value, "_local_tensor", value).untyped_storage()
            key = storage._cdata
            if key not in self._sizes:
                self._sizes[key] = storage.nbytes()
                self._now += storage.nbytes()
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._freed, key)
                if self._storages is not None:
                    self._storages[key] = weakref.ref(storage)

    def _resize(self) -> None:
        for key, reference in list((self._storages or {}).items()):
            storage = reference()
            if storage is not None:
                self._now += storage.nbytes() - self._sizes[key]
                self._sizes[key] = storage.nbytes()
        self.peak = max(self.peak, self._now)

    def _freed(self, key: int) -> None:
        self._now -= self._sizes.pop(key)
        if self._storages is not None:
            del self._storages[key]
