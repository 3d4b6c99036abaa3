"""What a device takes for itself: libraries' workspaces, the CUDA context, the driver."""

from dataclasses import dataclass

from wattmark.estimate.interval import MIB, NOTHING, Interval, spread

MB = 10**6
HOPPER = (9, 0)
AMPERE = (8, 0)


@dataclass(frozen=True, slots=True)
class Gpu:
    """The GPU that is asked about: its CUDA compute capability, None where it is not known, and its `product`, empty
    where it is not known, by which earlier runs are found again."""

    capability: tuple[int, int] | None = None
    product: str = ""


CUBLAS_BYTES = 8_519_680  # :4096:2:16:8, cuBLAS's own default below compute capability 9.0
HOPPER_BYTES = 32 * MIB


def scratch_bytes(gpu: Gpu) -> int:
    """What cuBLAS takes at the first matrix product of a thread, in bytes (CublasHandlePool.cpp)."""
    return HOPPER_BYTES if gpu.capability is not None and gpu.capability >= HOPPER else CUBLAS_BYTES


def blas(gpu: Gpu, *, training: bool) -> Interval:
    """Scratch memory of cuBLAS and cuBLASLt, allocated through PyTorch's allocator.

    PyTorch keeps one cuBLAS workspace per handle and stream; the backward pass runs in a thread with a handle of its
    own. cuBLASLt takes up to as much again where it is used.
    """
    threads = 2 if training else 1
    likely = threads * scratch_bytes(gpu)
    return spread(likely, 1, 2) if gpu.capability else Interval(likely, likely, 2 * threads * HOPPER_BYTES)


def dnn() -> Interval:
    """Scratch memory of cuDNN: what its chosen algorithm wants, some hundred MiB at most."""
    return Interval(0, 64 * MIB, 400 * MIB)


def workspace(gpu: Gpu, *, training: bool, convolutional: bool, multiplies: bool = True) -> Interval:
    """Scratch memory of all libraries; `multiplies` tells that there are products of matrices, beside convolutions."""
    return (blas(gpu, training=training) if multiplies else NOTHING) + (dnn() if convolutional else NOTHING)


def context(gpu: Gpu) -> Interval:
    """The process's CUDA context with the kernels it loaded: outside PyTorch's allocator, in the process's figure.

    Measured: A100 with torch 2.4 to 2.6, 414 MiB after load and 508 to 510 MiB after the first kernels; H100 518 to
    676 MiB; RTX 3090 256 MiB bare, RTX 6000 Ada 426 MiB.
    """
    if gpu.capability is None:
        return Interval(256 * MIB, 510 * MIB, 700 * MIB)
    if gpu.capability >= HOPPER:
        return Interval(518 * MIB, 676 * MIB, 800 * MIB)
    if gpu.capability == AMPERE:
        return Interval(414 * MIB, 509 * MIB, 560 * MIB)
    return Interval(256 * MIB, 426 * MIB, 600 * MIB)


def nccl(gpu: Gpu, devices: int) -> Interval:
    """What NCCL takes on each GPU for collectives among `devices` of one node: buffers per channel and peer, kernels.

    Outside PyTorch's allocator, in the process's figure; one communicator. Measured: A100 with NVLink 544 MB with two,
    688 MB with more (github.com/NVIDIA/nccl issue 964); H200 342 MB with 2, 392 MB with 8 (aiconfigurator). Links and
    algorithms change it: its maintainers give no formula (issues 864 and 986).
    """
    if devices < 2:
        return NOTHING
    few = devices == 2
    if gpu.capability == AMPERE:
        return Interval(300 * MB, (544 if few else 688) * MB, 1000 * MB)
    if gpu.capability == HOPPER:
        return Interval(250 * MB, (342 if few else 392) * MB, 1000 * MB)
    return Interval(200 * MB, (443 if few else 540) * MB, 1000 * MB)


def driver(gpu: Gpu) -> Interval:
    """What the driver keeps of the device's memory before any process comes. Measured: A100 884 MiB, H100 223 MiB."""
    if gpu.capability == AMPERE:
        return Interval(400 * MIB, 884 * MIB, 950 * MIB)
    if gpu.capability == HOPPER:
        return Interval(200 * MIB, 223 * MIB, 700 * MIB)
    return Interval(150 * MIB, 450 * MIB, 950 * MIB)
