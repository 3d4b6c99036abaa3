"""NVML, for what CUDA does not tell: memory in use by everybody, energy, power limit, clocks, driver."""

import os
from dataclasses import dataclass
from typing import Any

from wattmark.api.figures import ClockEvent, UnavailableReason

# Bits of the reasons for lower clocks, as nvml.h has them; the others are idleness, displays, and settings
CLOCK_EVENTS = {
    0x4: ClockEvent.SW_POWER_CAP,
    0x8: ClockEvent.HW_SLOWDOWN,
    0x20: ClockEvent.SW_THERMAL,
    0x40: ClockEvent.HW_THERMAL,
    0x80: ClockEvent.HW_POWER_BRAKE,
}


@dataclass(frozen=True, slots=True)
class NoNvml:
    """NVML cannot be asked at all, or not about this device."""

    reason: UnavailableReason
    message: str


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU or MIG instance. What it cannot tell is None, whatever the cause: driver, MIG, virtual GPU, rights."""

    library: Any
    handle: Any

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self.library, function)(self.handle, *arguments)
        except (self.library.NVMLError, AttributeError):
            return None

    def used_bytes(self) -> int | None:
        """Bytes not free for anybody: in use by all processes, and reserved by the driver."""
        memory = self._ask("nvmlDeviceGetMemoryInfo")
        return None if memory is None else int(memory.total - memory.free)

    def process_bytes(self) -> int | None:
        """Bytes that belong to this process; None where NVML shows other process ids than this container does."""
        for process in self._ask("nvmlDeviceGetComputeRunningProcesses") or ():
            if process.pid == os.getpid() and process.usedGpuMemory is not None:
                return int(process.usedGpuMemory)
        return None

    def millijoules(self) -> int | None:
        """Energy since the driver was loaded; the whole GPU's, and not to be had of a MIG instance."""
        energy = self._ask("nvmlDeviceGetTotalEnergyConsumption")
        return None if energy is None else int(energy)

    def power_limit_watts(self) -> float | None:
        """The power limit in force."""
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        return None if limit is None else limit / 1000

    def sm_clock_megahertz(self) -> int | None:
        """The clock of the multiprocessors, now."""
        clock = self._ask("nvmlDeviceGetClockInfo", self.library.NVML_CLOCK_SM)
        return None if clock is None else int(clock)

    def clock_events(self) -> frozenset[ClockEvent] | None:
        """What lowers the clocks now; None of a MIG instance."""
        bits = self._ask("nvmlDeviceGetCurrentClocksEventReasons")
        if bits is None:  # drivers before 535 know the older name only
            bits = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons")
        return None if bits is None else frozenset(event for bit, event in CLOCK_EVENTS.items() if bits & bit)

    def other_processes(self) -> int | None:
        """Processes that compute on the device, but for one: this one, which holds a context on it.

        Whose they are is not asked for, as a container numbers processes differently than the driver does. None where
        the driver shows none at all, not even this one.
        """
        processes = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return len(processes) - 1 if processes else None

    def driver_version(self) -> str | None:
        """The driver's version."""
        try:
            return str(self.library.nvmlSystemGetDriverVersion())
        except self.library.NVMLError:
            return None


def gpu(uuid: str) -> Gpu | NoNvml:
    """The device with this UUID, GPU-... or MIG-...: CUDA's and NVML's indices may differ."""
    try:
        import pynvml
    except ImportError:
        return NoNvml(UnavailableReason.NO_NVML, "the package nvidia-ml-py is not installed")
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return NoNvml(
            UnavailableReason.NO_NVML, f"NVML does not start: {error}; the container needs driver capability utility"
        )
    try:
        return Gpu(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError:
        return NoNvml(UnavailableReason.NO_NVML, "NVML does not know the device that CUDA runs on")
