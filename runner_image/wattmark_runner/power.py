"""Energy of the measured window, from the GPU's own counter."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, sleep
from typing import Protocol

from wattmark.api.figures import UnavailableReason

LEAST_WINDOW_SECONDS = 5.0  # below it the clocks and temperatures of a GPU are still on their way
LEAST_UPDATES = 50  # of the counter in a window: what is read after its end is at most one update's, 2 % of the whole
TICK_TIMEOUT_SECONDS = 1.0
_POLL_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class NoEnergy:
    """Why there is no figure."""

    reason: UnavailableReason
    message: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """Joules, and the seconds in which they were drawn: from one update of the counter to another."""

    joules: float
    seconds: float


class Meter(Protocol):
    """Energy between two instants."""

    def begin(self) -> None:
        """Right before the window, when the device is idle; returns at an instant at which the counter moved."""

    def end(self) -> None:
        """Right after the window, when the device is idle."""

    def drawn(self, window_seconds: float) -> Drawn | NoEnergy:
        """Energy between begin and end, of a window that long."""


class NoMeter:
    """A device without a counter."""

    def __init__(self, reason: UnavailableReason, message: str) -> None:
        self._answer = NoEnergy(reason, message)

    def begin(self) -> None:
        """Nothing to read."""

    def end(self) -> None:
        """Nothing to read."""

    def drawn(self, window_seconds: float) -> Drawn | NoEnergy:
        """Why there is no figure."""
        return self._answer


@dataclass(frozen=True, slots=True)
class _Tick:
    """An update of the counter: its new value, and the clock in seconds."""

    millijoules: int
    at: float


class CounterMeter:
    """Difference of NVML's energy counter, read at both edges right after it moved.

    The counter stands still between updates, so a reading is exact only at an update. The wait at the end adds at most
    one update period of an idle GPU to the joules; ending without it would lose as much of a busy one. How long that
    period is, is measured after the window, when waiting for one more update disturbs nothing. No thread samples
    anything meanwhile.
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
        self._begin: _Tick | None = None
        self._end: _Tick | None = None
        self._next: _Tick | None = None

    def begin(self) -> None:
        """Wait for the counter to move (1 s at most) and keep its value."""
        self._begin = self._tick()

    def end(self) -> None:
        """Wait for the counter to move (1 s at most) and keep its value, and for one more move."""
        self._end = self._tick()
        self._next = self._tick() if self._end else None

    def drawn(self, window_seconds: float) -> Drawn | NoEnergy:
        """Energy of the window; above zero, or the reason why not."""
        if self._begin is None or self._end is None or self._next is None:
            return NoEnergy(
                UnavailableReason.NO_ENERGY_COUNTER, "the GPU's energy counter cannot be read or does not move"
            )
        if not self._begin.millijoules < self._end.millijoules < self._next.millijoules:
            return NoEnergy(
                UnavailableReason.NO_ENERGY_COUNTER, "the GPU's energy counter was set back during the window"
            )
        period = self._next.at - self._end.at
        least = max(LEAST_WINDOW_SECONDS, LEAST_UPDATES * period)
        if window_seconds < least:
            return NoEnergy(
                UnavailableReason.WINDOW_TOO_SHORT,
                f"the energy counter moves every {1000 * period:.0f} ms: it takes a window of {least:.0f} s, and this "
                f"one had {window_seconds:.1f} s; raise measure.windowSeconds",
            )
        return Drawn((self._end.millijoules - self._begin.millijoules) / 1000, self._end.at - self._begin.at)

    def _tick(self) -> _Tick | None:
        """The counter's next update; None if it does not come within a second or the counter cannot be read."""
        first = self._read()
        give_up = self._clock() + TICK_TIMEOUT_SECONDS
        while first is not None and self._clock() < give_up:
            now = self._read()
            if now is not None and now != first:
                return _Tick(now, self._clock())
            self._rest(_POLL_SECONDS)
        return None
