"""The measuring loop on a clock that only the test moves."""

from dataclasses import dataclass, field, replace
from itertools import count
from time import sleep

import pytest

from wattmark.api.figures import ClockEvent, DeviceFigures, UnavailableReason
from wattmark.api.order import ResolvedMeasure
from wattmark_runner.disturbance import Seen
from wattmark_runner.figures import Ran, rest, results
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.measure import Window, measure
from wattmark_runner.power import CounterMeter, Drawn, NoEnergy, NoMeter
from wattmark_runner.progress import Reporter, expected_seconds


@dataclass
class Machine:
    """A device, a workload and a clock: each iteration takes the next of `durations`, the last for ever."""

    durations: list[float]
    now: float = 0.0
    iterations: int = 0
    log: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def iterate(self) -> Timing:
        duration = self.durations[min(self.iterations, len(self.durations) - 1)]
        self.iterations += 1
        self.now += duration
        self.log.append("iteration")
        return Timing(duration)

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def reset_peaks(self) -> None:
        self.log.append("reset")

    def observe(self) -> None:
        self.log.append("observe")

    def observe_clocks(self) -> None:
        """No log: when it comes is the real clock's to say."""


def run(machine: Machine, warmup: int, seconds: int, least: int) -> Window:
    plan = ResolvedMeasure(warmup_iterations=warmup, window_seconds=seconds, min_iterations=least)
    work = Iteration(machine.iterate, samples=2)
    meter = NoMeter(UnavailableReason.NO_GPU, "")
    return measure(work, plan, machine, meter, Reporter(None, 1), lambda: None, machine.clock)


@pytest.mark.parametrize(
    ("durations", "warmup", "seconds", "least", "iterations", "length"),
    [
        pytest.param([9.0, 1.0], 1, 5, 2, 5, 5.0, id="the window lasts as long as asked"),
        pytest.param([0.5], 3, 1, 10, 10, 5.0, id="and longer until it holds enough iterations"),
        pytest.param([0.4], 1, 1, 2, 3, 1.2, id="whole iterations only: the last one may reach over the end"),
        pytest.param([100.0, 100.0, 2.0], 2, 4, 2, 2, 4.0, id="the warm-up is not in it"),
    ],
)
def test_the_window(
    durations: list[float], warmup: int, seconds: int, least: int, iterations: int, length: float
) -> None:
    machine = Machine(durations)
    window = run(machine, warmup, seconds, least)
    assert len(window.timings) == iterations
    assert window.seconds == pytest.approx(length)
    assert machine.iterations == warmup + iterations


def test_peaks_begin_before_the_warm_up_and_are_read_while_held() -> None:
    machine = Machine([1.0])
    run(machine, warmup=1, seconds=1, least=2)
    assert machine.log == ["reset", "iteration", "observe", "iteration", "iteration", "observe"]


def test_a_check_that_raises_ends_the_run_between_iterations() -> None:
    machine = Machine([1.0])
    plan = ResolvedMeasure(warmup_iterations=1, window_seconds=10, min_iterations=2)

    def check() -> None:
        if machine.now >= 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        measure(
            Iteration(machine.iterate, samples=1), plan, machine, NoMeter(UnavailableReason.NO_GPU, ""),
            Reporter(None, 1), check, machine.clock,
        )  # fmt: skip
    assert machine.iterations == 3


WINDOW = Window(
    tuple(Timing(0.5, 0.1, 0.05) for _ in range(20)), 10.0, Drawn(1000.0, 10.1), warmup_iterations=3, warmup_steady=True
)


def ran(**work: int) -> Ran:
    iteration = Iteration(lambda: Timing(0.5), samples=4, **work)
    device = DeviceFigures(index=0, allocated_peak_bytes=5, reserved_peak_bytes=6)
    return Ran(iteration, 1000, 1.5, 4096, [device])


def test_rates_and_energy_are_work_over_the_window() -> None:
    figures, missing = results(ran(input_tokens=40, output_tokens=16), WINDOW)
    throughput, energy = figures.throughput, figures.energy
    assert (throughput.samples_per_second, throughput.input_tokens_per_second) == (8, 80)
    assert throughput.output_tokens_per_second == 32
    assert (energy.gpu_joules, energy.mean_watts) == (
        1000,
        pytest.approx(99.01, rel=1e-4),
    )  # over the counter's own time
    assert (energy.joules_per_sample, energy.joules_per_output_token) == (12.5, 3.125)
    assert figures.devices[0].gpu_joules == 1000
    assert (figures.memory.allocated_peak_bytes, figures.memory.process_peak_bytes) == (5, None)
    assert {(m.field, m.reason.value) for m in missing} == {
        (f"{name}.p99", "TooFewSamples")
        for name in ("latencySeconds", "timeToFirstTokenSeconds", "timePerOutputTokenSeconds")
    }


def test_energy_that_was_not_read_is_absent_and_named() -> None:
    window = replace(WINDOW, energy=NoEnergy(UnavailableReason.NO_ENERGY_COUNTER, "why"))
    figures, missing = results(ran(input_tokens=40), window)
    assert figures.energy.wire() == {}
    energy = {m.field for m in missing if m.reason is UnavailableReason.NO_ENERGY_COUNTER}
    assert energy == {"energy.gpuJoules", "energy.meanWatts", "energy.joulesPerSample"}
    assert figures.throughput.output_tokens_per_second is None


@dataclass
class Counter:
    """An energy counter that moves by `step` millijoules every `period` seconds of a clock that sleeping moves."""

    period: float
    step: int
    now: float = 0.013

    def read(self) -> int | None:
        return int(self.now / self.period) * self.step

    def clock(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("period", "window", "drawn"),
    [
        pytest.param(0.1, 10.0, Drawn(1000.0, 10.0), id="from update to update: a power of 100 W for 10 s"),
        pytest.param(0.1, 10.04, Drawn(1010.0, 10.1), id="the edge after the window is the next update"),
        pytest.param(0.02, 5.0, Drawn(500.0, 5.0), id="five seconds at least, however fine the counter"),
        pytest.param(0.02, 4.9, "moves every 20 ms: it takes a window of 5 s", id="fewer are too few"),
        pytest.param(0.5, 25.9, Drawn(2600.0, 26.0), id="fifty updates of a coarse counter"),
        pytest.param(0.5, 24.0, "moves every 500 ms: it takes a window of 25 s, and this one had 24.0", id="or none"),
        pytest.param(5.0, 300.0, UnavailableReason.NO_ENERGY_COUNTER, id="a counter that does not move is none"),
    ],
)
def test_the_energy_counter(period: float, window: float, drawn: Drawn | UnavailableReason | str) -> None:
    counter = Counter(period, step=int(100_000 * period))
    meter = CounterMeter(counter.read, counter.clock, counter.rest)
    meter.begin()
    counter.now += window
    meter.end()
    found = meter.drawn(window)
    if isinstance(drawn, Drawn):
        assert isinstance(found, Drawn), found
        assert found.joules == pytest.approx(drawn.joules, abs=counter.step / 1000)
        assert found.seconds == pytest.approx(drawn.seconds, abs=period)
        assert found.joules / found.seconds == pytest.approx(100, rel=0.001)  # the edges are updates, whatever they are
    elif isinstance(drawn, UnavailableReason):
        assert isinstance(found, NoEnergy) and found.reason is drawn
    else:
        assert isinstance(found, NoEnergy) and found.reason is UnavailableReason.WINDOW_TOO_SHORT
        assert drawn in found.message and len(found.message) <= 160


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        pytest.param([None], UnavailableReason.NO_ENERGY_COUNTER, id="a counter that cannot be read"),
        pytest.param([900, 901, 5, 6, 7], UnavailableReason.NO_ENERGY_COUNTER, id="a counter that was set back"),
        pytest.param([900, 901, 950, 951, 3], UnavailableReason.NO_ENERGY_COUNTER, id="or right after the window"),
    ],
)
def test_no_joules_are_made_up(readings: list[int | None], reason: UnavailableReason) -> None:
    values, passing = iter(readings), count(step=0.01)
    meter = CounterMeter(lambda: next(values, readings[-1]), lambda: next(passing), lambda _: None)
    meter.begin()
    meter.end()
    found = meter.drawn(60)
    assert isinstance(found, NoEnergy) and found.reason is reason


@pytest.mark.parametrize(
    ("mean", "warmup", "window", "done", "seconds"),
    [
        pytest.param(0.1, 0.0, 4.0, 40, 6.0, id="the rest of the window"),
        pytest.param(2.0, 0.0, 4.0, 2, 16.0, id="or the iterations still missing, if that takes longer"),
        pytest.param(0.5, 2.0, 0.0, 0, 12.0, id="before it, the warm-up"),
        pytest.param(0.5, 0.0, 11.0, 20, 0.0, id="nothing when both are reached"),
    ],
)
def test_the_time_still_needed(mean: float, warmup: float, window: float, done: int, seconds: float) -> None:
    plan = ResolvedMeasure(warmup_iterations=4, window_seconds=10, min_iterations=10)
    assert expected_seconds(plan, mean, warmup, window, done) == pytest.approx(seconds)


def test_what_disturbed_the_run_is_told_with_its_steadiness() -> None:
    told = rest(WINDOW, Seen(frozenset({ClockEvent.SW_THERMAL, ClockEvent.HW_THERMAL}), 2))
    assert (told.drift_ratio, told.variation_ratio, told.warmup_steady) == (0, 0, True)
    assert (told.clock_events, told.other_processes) == ([ClockEvent.HW_THERMAL, ClockEvent.SW_THERMAL], 2)
    nothing = rest(replace(WINDOW, warmup_steady=None), Seen()).wire()
    assert nothing == {"driftRatio": 0, "variationRatio": 0}
    assert rest(WINDOW, Seen(frozenset(), 0)).wire()["clockEvents"] == []


def test_the_clocks_are_read_at_both_edges_and_in_between() -> None:
    at: list[int] = []
    machine = Machine([0.01])

    def iterate() -> Timing:
        sleep(0.01)
        return machine.iterate()

    machine.observe_clocks = lambda: at.append(machine.iterations)  # type: ignore[method-assign]
    plan = ResolvedMeasure(warmup_iterations=1, window_seconds=1, min_iterations=2)
    meter = NoMeter(UnavailableReason.NO_GPU, "")
    window = measure(
        Iteration(iterate, samples=1), plan, machine, meter, Reporter(None, 1), lambda: None, machine.clock
    )
    warmup, total = window.warmup_iterations, window.warmup_iterations + len(window.timings)
    assert at[0] == warmup and at[-1] == total and len(at) > 2
    assert all(warmup < between < total for between in at[1:-1])
