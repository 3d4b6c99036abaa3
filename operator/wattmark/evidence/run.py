"""One finished BenchmarkJob, read for what it says of other needs, and packed: there may be thousands."""

import re
from dataclasses import dataclass
from enum import IntEnum
from math import isnan, nan
from struct import Struct
from sys import intern

from wattmark.api.answers import BytesEstimate, Need, NodeTypeAnswer
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.figures import Environment, Memory
from wattmark.estimate import Gpu, Unknown, need
from wattmark.estimate.calibration import residual
from wattmark.estimate.interval import Interval
from wattmark.evidence.subject import CPU, Subject, product, subject
from wattmark.fleet.offers import NVIDIA_SHARED
from wattmark.held import same
from wattmark.models import Architecture
from wattmark.observe import epoch, quantity

# The release of PyTorch and of transformers in this release's runner image, without the patch level, which changes no
# allocation. A test holds them to the image's lock file.
RUNNER_SOFTWARE = ("2.15", "5.23")
_RELEASE = re.compile(r"[0-9]+\.[0-9]+")


class Figure(IntEnum):
    """The memory figures, each containing those before it; the host's stands for itself."""

    ALLOCATED = 0
    RESERVED = 1
    PROCESS = 2
    DEVICE = 3
    HOST = 4

    def of(self, found: Need) -> BytesEstimate | None:
        """This figure of a need."""
        estimate: BytesEstimate | None = getattr(found, f"{self.name.lower()}_bytes")
        return estimate

    def measured(self, memory: Memory) -> int | None:
        """This figure as a run measured it, in bytes."""
        size: int | None = getattr(memory, f"{self.name.lower()}_peak_bytes")
        return size


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a run says in numbers, by figure.

    `measured` are bytes, None where they were not read; of a run that ran out of memory they are what it had, and was
    too little. `residuals` are in deviations of the closed form, None where that says nothing.
    """

    ended: int  # seconds since 1970
    measured: tuple[int | None, ...]
    residuals: tuple[float | None, ...]


_PACKED = Struct("<Q6q5f")


@dataclass(frozen=True, slots=True)
class Run:
    """A finished run as evidence. `enough` is False where its memory ran out.

    `model` is its subject without the question, which runs of one model share; that is packed with the numbers.
    """

    namespace: str
    name: str
    model: Subject
    device: str
    software: tuple[str, str]
    enough: bool
    packed: bytes

    @property
    def subject(self) -> Subject:
        """What it was about."""
        return Subject(self.model.kind, self.model.model, _PACKED.unpack(self.packed)[0])

    @property
    def sizes(self) -> Sizes:
        """Its numbers."""
        _, ended, *rest = _PACKED.unpack(self.packed)
        measured, residuals = rest[: len(Figure)], rest[len(Figure) :]
        return Sizes(
            ended,
            tuple(None if size < 0 else size for size in measured),
            tuple(None if isnan(value) else value for value in residuals),
        )

    @property
    def comparable(self) -> bool:
        """Whether this release's runner would run the same code."""
        return self.software == RUNNER_SOFTWARE


def packed(question: int, sizes: Sizes) -> bytes:
    """Numbers as a run holds them."""
    measured = (-1 if size is None else size for size in sizes.measured)
    return _PACKED.pack(
        question, sizes.ended, *measured, *(nan if value is None else value for value in sizes.residuals)
    )


def read(
    namespace: str, name: str, spec: BenchmarkJobSpec, status: BenchmarkJobStatus, architecture: Architecture
) -> Run | None:
    """What a BenchmarkJob's run says; None where it says nothing of memory.

    Whether its pace was steady (condition MeasurementValid) is no matter: a peak is one at any pace.
    """
    environment, resolved, gpus = status.environment, status.resolved, spec.resources.gpus_per_node
    if resolved is None:
        return None
    if not gpus:
        where = CPU  # which a run whose process was killed cannot say
    elif environment is not None and environment.gpu_product:
        where = product(environment.gpu_product)
    else:
        return None
    ended = _ended(status)
    had = status.results.memory if status.results is not None and ended is Reason.MEASURED else None
    if had is not None:
        measured = tuple(figure.measured(had) for figure in Figure)
        beside = status.steadiness.other_processes if status.steadiness is not None else None
        if beside or _shared(spec, status.predictions, where):
            measured = (*measured[: Figure.DEVICE], None, measured[Figure.HOST])
    else:
        measured = _too_little(spec, status.predictions, ended, where)
    if all(size is None for size in measured):
        return None
    reckoned = need(architecture, resolved, spec.model.weights, Gpu(_capability(environment)) if gpus else None)
    sizes = Sizes(
        int(epoch(status.completion_time) or 0),
        measured,
        tuple(
            _residual(figure, reckoned, size if had else None) for figure, size in zip(Figure, measured, strict=True)
        ),
    )
    about = subject(architecture, resolved, spec.model.weights, gpus)
    numbers = packed(about.question, sizes)
    return Run(namespace, name, same(about.elsewhere), where, same(_software(environment)), had is not None, numbers)


def _ended(status: BenchmarkJobStatus) -> Reason | None:
    """Why the run is over; None where it is not."""
    ends = (ConditionType.COMPLETE, ConditionType.FAILED)
    return next((c.reason for c in status.conditions if c.type in ends and c.status is ConditionStatus.TRUE), None)


def _too_little(
    spec: BenchmarkJobSpec, predictions: list[NodeTypeAnswer], ended: Reason | None, where: str
) -> tuple[int | None, ...]:
    """What a run had that ran out of memory: its GPU's, by the least of its product, or its limit of host memory."""
    device = host = None
    if ended is Reason.DEVICE_OUT_OF_MEMORY and not _shared(spec, predictions, where):
        offered = [p.offered_bytes for p in predictions if p.offered_bytes and _is_of(p, where)]
        device = min(offered, default=None)
    if ended is Reason.HOST_OUT_OF_MEMORY:
        limit = quantity(spec.resources.memory)
        host = None if limit is None else int(limit)
    return (None, None, None, device, host)


def _shared(spec: BenchmarkJobSpec, predictions: list[NodeTypeAnswer], where: str) -> bool:
    """Whether others may have used the same GPU: of its memory the run then says nothing."""
    gpu = spec.resources.gpu
    named = any("-shared" in p.node_type for p in predictions if _is_of(p, where))
    return named or (gpu is not None and gpu.resource_name == NVIDIA_SHARED)


def _is_of(answer: NodeTypeAnswer, where: str) -> bool:
    """Whether a node type's GPUs are of this product, which its name begins with."""
    return answer.node_type.lower().startswith(f"{where}-")


def _residual(figure: Figure, reckoned: Need | Unknown, measured: int | None) -> float | None:
    estimate = None if isinstance(reckoned, Unknown) else figure.of(reckoned)
    if estimate is None or measured is None:
        return None
    return residual(measured, Interval(estimate.low, estimate.likely, estimate.high))


def _capability(environment: Environment | None) -> tuple[int, int] | None:
    told = environment.compute_capability if environment is not None else None
    major, _, minor = (told or "").partition(".")
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _software(environment: Environment | None) -> tuple[str, str]:
    """Release of PyTorch and of transformers; empty where a process was killed before it could say."""
    if environment is None:
        return "", ""
    return _release(environment.torch_version), _release(environment.transformers_version)


def _release(version: str) -> str:
    found = _RELEASE.match(version)
    return intern(found[0] if found else version)
