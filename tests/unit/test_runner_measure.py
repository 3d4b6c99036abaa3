"""The measuring loop on a clock that only the test moves."""

from dataclasses import dataclass, field

import pytest

from wattmark.api.figures import DeviceFigures, UnavailableReason
from wattmark.api.order import ResolvedMeasure
from wattmark_runner.figures import Ran, results
from wattmark_runner.iteration import Iteration, Timing
from wattmark_runner.measure import Window, measure
from wattmark_runner.power import CounterMeter, NoEnergy, NoMeter
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


WINDOW = Window(tuple(Timing(0.5, 0.1, 0.05) for _ in range(20)), 10.0, joules=1000.0)


def ran(**work: int) -> Ran:
    iteration = Iteration(lambda: Timing(0.5), samples=4, **work)
    device = DeviceFigures(index=0, allocated_peak_bytes=5, reserved_peak_bytes=6)
    return Ran(iteration, 3, 1000, 1.5, 4096, [device])


def test_rates_and_energy_are_work_over_the_window() -> None:
    figures, missing = results(ran(input_tokens=40, output_tokens=16), WINDOW)
    throughput, energy = figures.throughput, figures.energy
    assert (throughput.samples_per_second, throughput.input_tokens_per_second) == (8, 80)
    assert throughput.output_tokens_per_second == 32
    assert (energy.gpu_joules, energy.mean_watts) == (1000, 100)
    assert (energy.joules_per_sample, energy.joules_per_output_token) == (12.5, 3.125)
    assert figures.devices[0].gpu_joules == 1000
    assert (figures.memory.allocated_peak_bytes, figures.memory.process_peak_bytes) == (5, None)
    assert {(m.field, m.reason.value) for m in missing} == {
        (f"{name}.p99", "TooFewSamples")
        for name in ("latencySeconds", "timeToFirstTokenSeconds", "timePerOutputTokenSeconds")
    }


def test_energy_that_was_not_read_is_absent_and_named() -> None:
    window = Window(WINDOW.timings, 10.0, NoEnergy(UnavailableReason.NO_ENERGY_COUNTER, "why"))
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
    ("period", "window", "joules"),
    [
        pytest.param(0.1, 10.0, 1000.0, id="from update to update: a power of 100 W for 10 s"),
        pytest.param(0.1, 10.04, 1010.0, id="the edge after the window is the next update"),
        pytest.param(5.0, 10.0, UnavailableReason.NO_ENERGY_COUNTER, id="a counter that does not move is none"),
        pytest.param(0.1, 4.0, UnavailableReason.WINDOW_TOO_SHORT, id="a short window has no figure"),
    ],
)
def test_the_energy_counter(period: float, window: float, joules: float | UnavailableReason) -> None:
    counter = Counter(period, step=int(100_000 * period))
    meter = CounterMeter(counter.read, counter.clock, counter.rest)
    meter.begin()
    counter.now += window
    meter.end()
    found = meter.joules(window)
    if isinstance(joules, UnavailableReason):
        assert isinstance(found, NoEnergy) and found.reason is joules
    else:
        assert found == pytest.approx(joules, abs=counter.step / 1000)


@pytest.mark.parametrize(
    ("readings", "reason"),
    [
        pytest.param([None], UnavailableReason.NO_ENERGY_COUNTER, id="a counter that cannot be read"),
        pytest.param([900, 901, 5, 6], UnavailableReason.NO_ENERGY_COUNTER, id="a counter that was set back"),
    ],
)
def test_no_joules_are_made_up(readings: list[int | None], reason: UnavailableReason) -> None:
    values = iter(readings)
    meter = CounterMeter(lambda: next(values, readings[-1]))
    meter.begin()
    meter.end()
    found = meter.joules(60)
    assert isinstance(found, NoEnergy) and found.reason is reason


@pytest.mark.parametrize(
    ("mean", "warmups_left", "window", "done", "seconds"),
    [
        pytest.param(0.1, 0, 4.0, 40, 6.0, id="the rest of the window"),
        pytest.param(2.0, 0, 4.0, 2, 16.0, id="or the iterations still missing, if that takes longer"),
        pytest.param(0.5, 4, 0.0, 0, 12.0, id="before it, the warm-up"),
        pytest.param(0.5, 0, 11.0, 20, 0.0, id="nothing when both are reached"),
    ],
)
def test_the_time_still_needed(mean: float, warmups_left: int, window: float, done: int, seconds: float) -> None:
    plan = ResolvedMeasure(warmup_iterations=4, window_seconds=10, min_iterations=10)
    assert expected_seconds(plan, mean, warmups_left, window, done) == pytest.approx(seconds)
