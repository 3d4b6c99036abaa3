"""Several ranks without the others: PyTorch's own fake process group, whose collectives give back what they get."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import torch.distributed as dist  # noqa: E402
from torch.distributed.device_mesh import init_device_mesh  # noqa: E402
from torch.testing._internal.distributed.fake_pg import FakeStore  # noqa: E402


@contextmanager
def ranks(size: int) -> Iterator[Any]:
    """Rank 0 of `size`, as a mesh of one dimension."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=size)
    try:
        yield init_device_mesh("cpu", (size,), mesh_dim_names=("tp",))
    finally:
        dist.destroy_process_group()


def local(tensor: Any) -> Any:
    """What this rank holds of a tensor."""
    return getattr(tensor, "_local_tensor", tensor)


def stored(tensors: Iterable[Any]) -> int:
    """Bytes of the storages behind tensors, each once."""
    storages = [local(tensor).untyped_storage() for tensor in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def states(optimizer: Any) -> list[Any]:
    """The tensors that an optimizer keeps, but for the number of its steps."""
    return [value for state in optimizer.state.values() for name, value in state.items() if name != "step"]


def reduced(state: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
    """A communication hook for DistributedDataParallel: the fake group's work has no result to give back."""
    done: Any = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done
