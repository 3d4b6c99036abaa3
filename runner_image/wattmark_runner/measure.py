"""Warm-up, then the measured window."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from time import perf_counter
from typing import Protocol

from wattmark.api.benchmarkjob import ProgressPhase
from wattmark.api.order import ResolvedMeasure
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.power import Drawn, Meter, NoEnergy
from wattmark_runner.progress import Reporter, expected_seconds
from wattmark_runner.warmup import WarmUp

CLOCKS_SECONDS = 1.0  # a reading takes the driver well below a millisecond


class Measured(Protocol):
    """What measuring asks of a device; a `wattmark_runner.device.Device` has it."""

    def synchronize(self) -> None:
        """Return when all queued work is done."""

    def reset_peaks(self) -> None:
        """Start the memory peaks anew."""

    def observe(self) -> None:
        """Read the memory in use."""

    def observe_clocks(self) -> None:
        """Read the clocks, and what slows them; from any thread."""


@dataclass(frozen=True, slots=True)
class Window:
    """The measured iterations in their order, the window's length in seconds by the monotonic clock, its energy.

    `warmup_steady` says whether latency had no trend when the warm-up ended; None if it was too short to tell.
    """

    timings: tuple[Timing, ...]
    seconds: float
    energy: Drawn | NoEnergy
    warmup_iterations: int
    warmup_steady: bool | None


def measure(
    iteration: Iteration,
    plan: ResolvedMeasure,
    device: Measured,
    meter: Meter,
    reporter: Reporter,
    check: Callable[[], None],
    clock: Callable[[], float] = perf_counter,
) -> Window:
    """Run the warm-up until latency is steady, then iterations until the window is long and holds enough of them.

    The window begins and ends with the device idle and holds whole iterations only. Memory peaks begin before the
    warm-up: a first iteration may need the most. The clocks are read at both edges of the window and once a second in
    it, while the device works. `check` is called between iterations and may raise to end the run.
    """
    device.reset_peaks()
    warmup = _warmed_up(iteration, plan, reporter, check, clock)
    device.observe()
    timings: list[Timing] = []
    device.observe_clocks()
    meter.begin()
    with _repeated(device.observe_clocks, min(CLOCKS_SECONDS, plan.window_seconds / 2)):
        start = clock()
        seconds = 0.0
        while seconds < plan.window_seconds or len(timings) < plan.min_iterations:
            check()
            timings.append(iteration.run())
            seconds = clock() - start
            mean = seconds / len(timings)
            reporter.iterated(ProgressPhase.MEASURING, expected_seconds(plan, mean, 0.0, seconds, len(timings)))
    device.observe_clocks()
    meter.end()
    device.observe()
    return Window(tuple(timings), seconds, meter.drawn(seconds), warmup.iterations, warmup.steady)


def _warmed_up(
    iteration: Iteration,
    plan: ResolvedMeasure,
    reporter: Reporter,
    check: Callable[[], None],
    clock: Callable[[], float],
) -> WarmUp:
    warmup = WarmUp(plan)
    start = clock()
    ended = False
    while not ended:
        check()
        latency = iteration.run().latency
        seconds = clock() - start
        ended = warmup.ends(latency, seconds)
        left = 0.0 if ended else warmup.expected_seconds(seconds)
        reporter.iterated(ProgressPhase.WARMING_UP, expected_seconds(plan, warmup.mean_seconds, left, 0.0, 0))
    return warmup


@contextmanager
def _repeated(do: Callable[[], None], interval_seconds: float) -> Iterator[None]:
    """Do something at that interval from a thread of its own, until the block ends."""
    ended = Event()

    def work() -> None:
        while not ended.wait(interval_seconds):
            do()

    thread = Thread(target=work, name="clocks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1)  # a driver that hangs must not hold the result back
