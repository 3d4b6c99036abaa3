"""What the model runs on. The same code drives CPU and GPU through `Device`."""

import gc
import resource
import sys
from dataclasses import dataclass, field
from statistics import median_low
from typing import Protocol

import torch

from wattmark.api.figures import ClockEvent, DeviceFigures, Unavailable, UnavailableReason
from wattmark.api.report import RunFailure
from wattmark_runner.cpus import usable_cpus
from wattmark_runner.disturbance import Seen
from wattmark_runner.failures import RunError, is_out_of_device_memory
from wattmark_runner.nvml import Gpu, NoNvml, gpu
from wattmark_runner.power import CounterMeter, Meter, NoMeter

_PEAKS = ("allocatedPeakBytes", "reservedPeakBytes", "processPeakBytes", "devicePeakBytes")


@dataclass(frozen=True, slots=True)
class DeviceMemory:
    """Peaks of each device since the last reset, and what could not be read of them."""

    devices: list[DeviceFigures] = field(default_factory=list)
    unavailable: list[Unavailable] = field(default_factory=list)


class Device(Protocol):
    """What measuring needs of a device."""

    torch_device: torch.device

    def synchronize(self) -> None:
        """Return when all work queued on the device is done."""

    def reset_peaks(self) -> None:
        """Start the peaks anew."""

    def observe(self) -> None:
        """Read the memory in use on the device; to be called while the run's memory is held."""

    def observe_clocks(self) -> None:
        """Read the device's clocks and what lowers them; to be called, from any thread, while the device works."""

    def seen(self) -> Seen:
        """What disturbed the device, as far as it was observed."""

    def memory(self) -> DeviceMemory:
        """The peaks."""

    def allocator_peaks(self) -> tuple[int | None, int | None]:
        """Bytes allocated and reserved at most since the last reset; None without a device."""

    def meter(self) -> Meter:
        """A meter for the device's energy."""


class Cpu:
    """The CPU: nothing is queued, and there is no device memory."""

    def __init__(self) -> None:
        self.torch_device = torch.device("cpu")
        torch.set_num_threads(usable_cpus())

    def synchronize(self) -> None:
        """Nothing to do: an operator returns when it is done."""

    def reset_peaks(self) -> None:
        """Nothing to do: the peak of the host's memory is the process's own, from its start."""

    def observe(self) -> None:
        """Nothing to read."""

    def observe_clocks(self) -> None:
        """Nothing to read."""

    def seen(self) -> Seen:
        """Nothing that could be told."""
        return Seen()

    def memory(self) -> DeviceMemory:
        """Nothing, and the reason."""
        message = "the run was on the CPU; see memory.hostPeakBytes"
        return DeviceMemory(
            unavailable=[
                Unavailable(field=f"memory.{name}", reason=UnavailableReason.NO_GPU, message=message) for name in _PEAKS
            ]
        )

    def allocator_peaks(self) -> tuple[int | None, int | None]:
        """None: the CPU's memory is not PyTorch's own."""
        return None, None

    def meter(self) -> Meter:
        """None: there is no GPU."""
        return NoMeter(UnavailableReason.NO_GPU, "the run was on the CPU; energy is read from a GPU's counter")


class Cuda:
    """One NVIDIA GPU or MIG instance.

    The peaks of process and device are not sampled: PyTorch's allocator keeps what it has reserved, so a reading after
    the iterations sees their peak still held. Where the allocator did give memory back in between, the part of the
    reading that is not the allocator's (context, libraries, others) is added to the allocator's own peak.
    """

    def __init__(self) -> None:
        self.torch_device = torch.device("cuda", 0)
        properties = torch.cuda.get_device_properties(self.torch_device)
        self.name: str = properties.name
        self.capability = f"{properties.major}.{properties.minor}"
        uuid = str(properties.uuid).removeprefix("GPU-").removeprefix("MIG-")
        # Never the GPU that a MIG instance is part of: its memory and energy are not the instance's
        self.uuid = f"{'MIG' if 'MIG' in self.name else 'GPU'}-{uuid}"
        found = gpu(self.uuid)
        self.nvml = found if isinstance(found, Gpu) else None
        self.no_nvml = found if isinstance(found, NoNvml) else None
        self._clocks: list[int] = []
        self._events: frozenset[ClockEvent] | None = None
        self._others: int | None = None
        self._process: int | None = None
        self._device: int | None = None

    def synchronize(self) -> None:
        """Return when all kernels queued on the GPU are done."""
        torch.cuda.synchronize(self.torch_device)

    def reset_peaks(self) -> None:
        """Start the allocator's peaks and ours anew, without what loading left in the allocator's cache."""
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.torch_device)
        self._process = self._device = None

    def observe(self) -> None:
        """Read the memory of process and device while the allocator holds its peak, and who else is on the device."""
        held = torch.cuda.memory_reserved(self.torch_device)
        given_back = torch.cuda.max_memory_reserved(self.torch_device) - held
        free, total = torch.cuda.mem_get_info(self.torch_device)
        used = self.nvml.used_bytes() if self.nvml else None
        own = self.nvml.process_bytes() if self.nvml else None
        # NVML counts what the driver keeps for itself; CUDA's own total leaves it out
        self._device = max(self._device or 0, (total - free if used is None else used) + given_back)
        if own is not None:
            self._process = max(self._process or 0, own + given_back)
        others = self.nvml.other_processes() if self.nvml else None
        if others is not None:
            self._others = max(self._others or 0, others)

    def observe_clocks(self) -> None:
        """Read the SM clock and what lowers it. A GPU at rest has another clock than under load."""
        if self.nvml is None:
            return
        clock, events = self.nvml.sm_clock_megahertz(), self.nvml.clock_events()
        if clock is not None:
            self._clocks.append(clock)
        if events is not None:
            self._events = events | (self._events or frozenset())

    @property
    def sm_clock_megahertz(self) -> int | None:
        """The median of the clocks read; None if none could be."""
        return median_low(self._clocks) if self._clocks else None

    def seen(self) -> Seen:
        """What lowered the clocks, and others on the device, in all readings together."""
        return Seen(self._events, self._others)

    def allocator_peaks(self) -> tuple[int | None, int | None]:
        """Bytes that the caching allocator had given out, and held, at most since the last reset."""
        return torch.cuda.max_memory_allocated(self.torch_device), torch.cuda.max_memory_reserved(self.torch_device)

    def memory(self) -> DeviceMemory:
        """The peaks since the last reset, as far as they were observed."""
        allocated, reserved = self.allocator_peaks()
        figures = DeviceFigures(
            index=0,
            uuid=self.uuid,
            allocated_peak_bytes=allocated,
            reserved_peak_bytes=reserved,
            process_peak_bytes=self._process,
            device_peak_bytes=self._device,
        )
        if self._process is not None:
            return DeviceMemory([figures])
        if self.no_nvml:
            reason, message = self.no_nvml.reason, self.no_nvml.message
        else:
            reason = UnavailableReason.NOT_VISIBLE
            message = "NVML shows no process with this container's process id; see memory.devicePeakBytes"
        return DeviceMemory(
            [figures], [Unavailable(field="memory.processPeakBytes", reason=reason, message=message[:160])]
        )

    def meter(self) -> Meter:
        """NVML's energy counter of this GPU."""
        if self.nvml is None:
            assert self.no_nvml is not None  # one of the two is set
            return NoMeter(self.no_nvml.reason, self.no_nvml.message)
        if self.uuid.startswith("MIG-") or self.nvml.millijoules() is None:
            return NoMeter(
                UnavailableReason.NO_ENERGY_COUNTER,
                "the device has no energy counter: a MIG instance, a virtual GPU, or older than Volta",
            )
        return CounterMeter(self.nvml.millijoules)


def open_device(gpus: int) -> Cpu | Cuda:
    """The device of a run with that many GPUs. RunError DeviceUnavailable if PyTorch cannot compute on them."""
    if gpus == 0:
        return Cpu()
    if gpus > 1:
        raise RunError(RunFailure.INVALID_ORDER, f"the run asks for {gpus} GPUs, and this runner drives one")
    if not torch.cuda.is_available():
        raise RunError(
            RunFailure.DEVICE_UNAVAILABLE,
            "the run asks for a GPU and PyTorch sees none: check that the node's driver is new enough for CUDA "
            f"{torch.version.cuda}, that placement.runtimeClassName names the NVIDIA runtime where it is needed, "
            "and that the device plugin put the GPU into this container; resources.gpusPerNode 0 runs on the CPU",
        )
    try:
        device = Cuda()
        # The context and the first kernel, which a GPU that is seen may still refuse: broken, held by another process
        # for itself, or of a generation that this build of PyTorch has no kernels for
        torch.zeros(1, device=device.torch_device)
        device.synchronize()
    except Exception as error:
        if is_out_of_device_memory(error):
            raise
        why = next(iter(str(error).splitlines()), type(error).__name__)
        raise RunError(
            RunFailure.DEVICE_UNAVAILABLE,
            f"PyTorch sees a GPU and cannot compute on it: {why}. Check that GPU on its node (nvidia-smi), or ask for "
            f"another in resources.gpu.products; this runner is built for CUDA {torch.version.cuda}",
        ) from error
    return device


def host_peak_bytes() -> int:
    """Peak resident set size of this process in bytes, from its start."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts KiB, macOS bytes
