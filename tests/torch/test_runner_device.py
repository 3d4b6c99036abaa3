"""The peaks of a device, on an allocator whose numbers the test sets."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from wattmark.api.figures import ClockEvent, UnavailableReason
from wattmark.api.report import RunFailure
from wattmark.api.runtime import Precision
from wattmark_runner.device import Cuda, open_device
from wattmark_runner.disturbance import Seen
from wattmark_runner.failures import RunError
from wattmark_runner.precision import numerics


class Allocator:
    """Bytes as PyTorch's CUDA allocator would tell them; a device of 1,000 bytes."""

    def __init__(self) -> None:
        self.reserved = 0
        self.reserved_peak = 0
        self.free = 1000

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        properties = SimpleNamespace(name="A GPU", major=8, minor=0, uuid="0000-1111")
        for name, answer in {
            "get_device_properties": lambda _: properties,
            "memory_reserved": lambda _: self.reserved,
            "max_memory_reserved": lambda _: self.reserved_peak,
            "max_memory_allocated": lambda _: self.reserved_peak - 1,
            "mem_get_info": lambda _: (self.free, 1000),
            "reset_peak_memory_stats": lambda _: None,
        }.items():
            monkeypatch.setattr(torch.cuda, name, answer)


@pytest.mark.parametrize(
    ("readings", "peak"),
    [
        # each reading: reserved now, reserved at most, free
        pytest.param([(300, 300, 650)], 350, id="what is in use while the peak is held"),
        pytest.param([(300, 300, 650), (300, 300, 600)], 400, id="the largest of several readings"),
        pytest.param([(200, 300, 750)], 350, id="what the allocator gave back in between is added"),
    ],
)
def test_the_device_peak(monkeypatch: pytest.MonkeyPatch, readings: list[tuple[int, int, int]], peak: int) -> None:
    allocator = Allocator()
    allocator.install(monkeypatch)
    device = Cuda()
    device.reset_peaks()
    for allocator.reserved, allocator.reserved_peak, allocator.free in readings:
        device.observe()
    memory = device.memory()
    assert memory.devices[0].device_peak_bytes == peak
    assert memory.devices[0].reserved_peak_bytes == 300 and memory.devices[0].allocated_peak_bytes == 299
    assert memory.devices[0].uuid == "GPU-0000-1111"
    assert [(m.field, m.reason) for m in memory.unavailable] == [("memory.processPeakBytes", UnavailableReason.NO_NVML)]


class Readings:
    """An NVML that gives one reading after another."""

    def __init__(self, *readings: tuple[int | None, frozenset[ClockEvent] | None, int | None]) -> None:
        self.readings = list(readings)

    def sm_clock_megahertz(self) -> int | None:
        return self.readings[0][0]

    def clock_events(self) -> frozenset[ClockEvent] | None:
        return self.readings[0][1]

    def other_processes(self) -> int | None:
        return self.readings[0][2]

    def used_bytes(self) -> None:
        return None

    def process_bytes(self) -> None:
        return None


HEAT, CAP = frozenset({ClockEvent.HW_THERMAL}), frozenset({ClockEvent.SW_POWER_CAP})


@pytest.mark.parametrize(
    ("readings", "clock", "seen"),
    [
        pytest.param([(None, None, None)] * 2, None, Seen(None, None), id="a driver that tells nothing"),
        pytest.param([(1500, frozenset(), 0)] * 2, 1500, Seen(frozenset(), 0), id="alone and cool"),
        pytest.param(
            [(1980, frozenset(), 0), (1500, HEAT, 2), (1700, CAP, 1)], 1700, Seen(HEAT | CAP, 2), id="one is enough"
        ),
        pytest.param([(None, None, None), (1500, CAP, 1)], 1500, Seen(CAP, 1), id="what one reading could not tell"),
    ],
)  # fmt: skip
def test_what_disturbs_is_kept_from_all_readings(
    monkeypatch: pytest.MonkeyPatch, readings: list[Any], clock: int | None, seen: Seen
) -> None:
    Allocator().install(monkeypatch)
    device = Cuda()
    library = Readings(*readings)
    device.nvml = library  # type: ignore[assignment]
    while library.readings:
        device.observe()
        device.observe_clocks()
        del library.readings[0]
    assert (device.sm_clock_megahertz, device.seen()) == (clock, seen)


def test_more_gpus_than_this_runner_drives_are_refused() -> None:
    with pytest.raises(RunError) as refused:
        open_device(2)
    assert refused.value.reason is RunFailure.INVALID_ORDER


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_seen_and_does_not_work_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RunError) as refused:
        open_device(1)
    assert refused.value.reason is RunFailure.DEVICE_UNAVAILABLE
    assert "cannot compute on it" in str(refused.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_tf32_where_there_is_none_is_refused_and_not_fp32_in_its_name() -> None:
    with pytest.raises(RunError) as refused:
        numerics(Precision.TF32)
    assert refused.value.reason is RunFailure.INVALID_ORDER
