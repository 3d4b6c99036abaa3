"""NVML's answers and refusals."""

import os
from types import SimpleNamespace

import pytest

from wattmark.api.figures import ClockEvent, UnavailableReason
from wattmark_runner import nvml
from wattmark_runner.nvml import Gpu, NoNvml, gpu

pynvml = pytest.importorskip("pynvml")


class Refusing:
    """A library whose driver knows the functions but supports none of them, as of a MIG instance's energy."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = 1

    def __getattr__(self, name: str) -> object:
        def refuse(*_: object) -> None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

        return refuse


class Answering:
    """A library of a GPU with 80 GiB, of which the driver keeps one and 30 are in use."""

    NVMLError = pynvml.NVMLError
    NVML_CLOCK_SM = 1

    def __init__(self, *pids: int) -> None:
        self.processes = [SimpleNamespace(pid=pid, usedGpuMemory=7) for pid in pids]

    def nvmlDeviceGetMemoryInfo(self, _: object) -> object:
        return SimpleNamespace(total=80, free=49, used=30)

    def nvmlDeviceGetComputeRunningProcesses(self, _: object) -> object:
        return self.processes

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, _: object) -> int:
        return 0x1 | 0x2 | 0x4 | 0x40 | 0x100  # at rest, as set, at the power limit, too hot, and for a display

    def nvmlDeviceGetEnforcedPowerLimit(self, _: object) -> int:
        return 400_000


def test_what_is_refused_is_unknown() -> None:
    device = Gpu(Refusing(), None)
    assert (device.used_bytes(), device.process_bytes(), device.millijoules()) == (None, None, None)
    assert (device.power_limit_watts(), device.sm_clock_megahertz(), device.driver_version()) == (None, None, None)
    assert device.other_processes() is None


def test_a_function_that_the_library_lacks_is_unknown() -> None:
    assert Gpu(Answering(), None).millijoules() is None


def test_what_the_driver_keeps_counts_as_used() -> None:
    assert Gpu(Answering(), None).used_bytes() == 31


@pytest.mark.parametrize(
    ("pids", "found"),
    [
        pytest.param((4242, os.getpid()), 7, id="our own process among others"),
        pytest.param((4242,), None, id="only processes of another namespace's numbering"),
        pytest.param((), None, id="none, as inside many containers"),
    ],
)
def test_the_memory_of_this_process(pids: tuple[int, ...], found: int | None) -> None:
    assert Gpu(Answering(*pids), None).process_bytes() == found


@pytest.mark.parametrize(
    ("pids", "others"),
    [
        pytest.param((os.getpid(),), 0, id="alone"),
        pytest.param((4242,), 0, id="alone, under another number"),
        pytest.param((os.getpid(), 1, 2), 2, id="two others"),
        pytest.param((), None, id="not told, as inside many containers"),
    ],
)
def test_others_on_the_device(pids: tuple[int, ...], others: int | None) -> None:
    assert Gpu(Answering(*pids), None).other_processes() == others


class Newer(Answering):
    """A driver that knows the newer name of the reasons for lower clocks."""

    def nvmlDeviceGetCurrentClocksEventReasons(self, _: object) -> int:
        return 0


def test_what_lowers_the_clocks() -> None:
    assert Gpu(Answering(), None).clock_events() == {ClockEvent.SW_POWER_CAP, ClockEvent.HW_THERMAL}
    assert Gpu(Newer(), None).clock_events() == frozenset()
    assert Gpu(Refusing(), None).clock_events() is None


def test_the_bits_are_those_of_the_library() -> None:
    names = {
        "SwPowerCap": ClockEvent.SW_POWER_CAP, "HwSlowdown": ClockEvent.HW_SLOWDOWN,
        "SwThermalSlowdown": ClockEvent.SW_THERMAL, "HwThermalSlowdown": ClockEvent.HW_THERMAL,
        "HwPowerBrakeSlowdown": ClockEvent.HW_POWER_BRAKE,
    }  # fmt: skip
    known = {getattr(pynvml, f"nvmlClocksEventReason{name}"): event for name, event in names.items()}
    assert known == nvml.CLOCK_EVENTS and set(known.values()) == set(ClockEvent)


def test_units() -> None:
    assert Gpu(Answering(), None).power_limit_watts() == 400


def test_a_machine_without_a_driver_has_no_nvml() -> None:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        found = gpu("0000")
        assert isinstance(found, NoNvml) and found.reason is UnavailableReason.NO_NVML
    else:
        pytest.skip("this machine has a driver")
