"""What two runs can have in common: all that is asked, the model, its kind, and the device."""

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from sys import intern

from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.estimate import Gpu
from wattmark.models import Architecture

CPU = "cpu"
_SHARED = "-SHARED"  # what feature discovery adds to the product of a GPU in time slices


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about, on any device; each is of the one before. Digests are of what memory depends on.

    `kind` is the model's family with workload, attention, precision, quantization and how GPUs share it; `model`
    the architecture and weights within it; `question` all that is asked of it, 0 for one that nobody has asked as it
    is.
    """

    kind: str
    model: int
    question: int

    @property
    def elsewhere(self) -> "Subject":
        """The same model with another batch or length."""
        return replace(self, question=0)


def subject(architecture: Architecture, resolved: Resolved, weights: Weights, gpus: int) -> Subject:
    """What a run of this model with this workload is about; `gpus` as many as it takes on a node."""
    on = "GPU" if gpus else "CPU"
    quantized = resolved.quantization.type if resolved.quantization is not None else None
    shape = (resolved.workload_type, resolved.analysis, resolved.attention)
    asked = (*shape, resolved.precision, quantized, resolved.parallelism)
    parts = (architecture.family, *asked)
    kind = intern(" ".join((*(part.value for part in parts if part is not None), on)))
    model = _digest(_facts(architecture), weights.value.encode(), kind.encode())
    return Subject(kind, model, _digest(model.to_bytes(8, "big"), resolved.model_dump_json().encode(), bytes([gpus])))


def device(gpu: Gpu | None) -> str | None:
    """The device as runs name it: its product, or the CPU; None for a GPU whose product is not known."""
    return CPU if gpu is None else product(gpu.product) if gpu.product else None


def product(name: str) -> str:
    """A GPU's name, whether CUDA or a node's label gives it, as one word."""
    return intern(name.removesuffix(_SHARED).replace(" ", "-").lower())


@lru_cache(1024)
def _facts(architecture: Architecture) -> bytes:
    return repr(architecture).encode()


def _digest(*parts: bytes) -> int:
    return int.from_bytes(blake2b(b"\0".join(parts), digest_size=8).digest(), "big") or 1
