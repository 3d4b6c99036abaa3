"""Warm-up, then the measured window."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from threading import Timer
from time import perf_counter
from typing import Protocol

from wattmark.api.benchmarkjob import ProgressPhase
from wattmark.api.order import ResolvedMeasure
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.power import Meter, NoEnergy
from wattmark_runner.progress import Reporter, expected_seconds


class Measured(Protocol):
    """What measuring asks of a device; a `wattmark_runner.device.Device` has it."""

    def synchronize(self) -> None:
        """Return when all queued work is done."""

    def reset_peaks(self) -> None:
        """Start the memory peaks anew."""

    def observe(self) -> None:
        """Read the memory in use."""

    def observe_clocks(self) -> None:
        """Read the clocks."""


@dataclass(frozen=True, slots=True)
class Window:
    """The measured iterations in their order, the window's length in seconds by the monotonic clock, its joules."""

    timings: tuple[Timing, ...]
    seconds: float
    joules: float | NoEnergy


def measure(
    iteration: Iteration,
    plan: ResolvedMeasure,
    device: Measured,
    meter: Meter,
    reporter: Reporter,
    check: Callable[[], None],
    clock: Callable[[], float] = perf_counter,
) -> Window:
    """Run the warm-up, then iterations until the window is long enough and holds enough of them.

    The window begins and ends with the device idle and holds whole iterations only. Memory peaks begin before the
    warm-up: a first iteration may need the most. The clocks are read once, halfway, while the device works. `check` is
    called between iterations and may raise to end the run.
    """
    device.reset_peaks()
    spent: list[float] = []
    for done in range(1, plan.warmup_iterations + 1):
        check()
        spent.append(iteration.run().latency)
        # the first iteration loads kernels and says little of the others
        mean = fmean(spent[1:] or spent)
        reporter.iterated(ProgressPhase.WARMING_UP, expected_seconds(plan, mean, plan.warmup_iterations - done, 0.0, 0))
    device.observe()
    timings: list[Timing] = []
    halfway = Timer(plan.window_seconds / 2, device.observe_clocks)
    halfway.daemon = True
    halfway.start()
    meter.begin()
    start = clock()
    seconds = 0.0
    while seconds < plan.window_seconds or len(timings) < plan.min_iterations:
        check()
        timings.append(iteration.run())
        seconds = clock() - start
        mean = seconds / len(timings)
        reporter.iterated(ProgressPhase.MEASURING, expected_seconds(plan, mean, 0, seconds, len(timings)))
    meter.end()
    halfway.cancel()
    device.observe()
    return Window(tuple(timings), seconds, meter.joules(seconds))
