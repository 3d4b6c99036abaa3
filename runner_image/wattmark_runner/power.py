"""Energy of the measured window, from the GPU's own counter."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Protocol

from wattmark.api.figures import UnavailableReason

LEAST_WINDOW_SECONDS = 5.0  # the counter moves every 20 to 100 ms; below this its steps at both edges weigh too much
TICK_TIMEOUT_SECONDS = 1.0
_POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class NoEnergy:
    """Why there is no figure."""

    reason: UnavailableReason
    message: str


class Meter(Protocol):
    """Energy between two instants."""

    def begin(self) -> None:
        """Right before the window, when the device is idle; returns at an instant at which the counter moved."""

    def end(self) -> None:
        """Right after the window, when the device is idle."""

    def joules(self, window_seconds: float) -> float | NoEnergy:
        """Joules between begin and end, of a window that long."""


class NoMeter:
    """A device without a counter."""

    def __init__(self, reason: UnavailableReason, message: str) -> None:
        self._answer = NoEnergy(reason, message)

    def begin(self) -> None:
        """Nothing to read."""

    def end(self) -> None:
        """Nothing to read."""

    def joules(self, window_seconds: float) -> float | NoEnergy:
        """Why there is no figure."""
        return self._answer


class CounterMeter:
    """Difference of NVML's energy counter, read at both edges right after it moved.

    The counter stands still between updates, so a reading is exact only at an update. The wait at the end adds at most
    one update period of an idle GPU to the joules; ending without it would lose as much of a busy one. No thread
    samples anything meanwhile.
    """

    def __init__(
        self,
        read_millijoules: Callable[[], int | None],
        clock: Callable[[], float] = monotonic,
        rest: Callable[[float], None] = sleep,
    ) -> None:
        self._read = read_millijoules
        self._clock = clock
        self._rest = rest
        self._begin: int | None = None
        self._end: int | None = None

    def begin(self) -> None:
        """Wait for the counter to move (1 s at most) and keep its value."""
        self._begin = self._at_tick()

    def end(self) -> None:
        """Wait for the counter to move (1 s at most) and keep its value."""
        self._end = self._at_tick()

    def joules(self, window_seconds: float) -> float | NoEnergy:
        """Joules of the window; above zero, or the reason why not."""
        if self._begin is None or self._end is None:
            return NoEnergy(
                UnavailableReason.NO_ENERGY_COUNTER, "the GPU's energy counter cannot be read or does not move"
            )
        if self._end <= self._begin:
            return NoEnergy(
                UnavailableReason.NO_ENERGY_COUNTER, "the GPU's energy counter was set back during the window"
            )
        if window_seconds < LEAST_WINDOW_SECONDS:
            return NoEnergy(
                UnavailableReason.WINDOW_TOO_SHORT,
                f"the counter is too coarse for {window_seconds:.1f} s; measure {LEAST_WINDOW_SECONDS:.0f} s or more",
            )
        return (self._end - self._begin) / 1000

    def _at_tick(self) -> int | None:
        first = self._read()
        if first is None:
            return None
        give_up = self._clock() + TICK_TIMEOUT_SECONDS
        while self._clock() < give_up:
            now = self._read()
            if now != first:
                return now
            self._rest(_POLL_SECONDS)
        return None
