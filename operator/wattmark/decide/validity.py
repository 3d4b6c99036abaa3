"""Whether the figures of a run can be trusted: conditions MeasurementValid and EnergyValid."""

from collections.abc import Callable

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import Reason
from wattmark.api.figures import ClockEvent, Results, Steadiness
from wattmark.api.report import Report
from wattmark.decide.saying import Saying, no, yes
from wattmark.fleet.offers import NVIDIA_SHARED

# Beyond these the median of the window is not a property of the model but of what else happened.
MAX_DRIFT_RATIO = 0.05
MAX_VARIATION_RATIO = 0.10

_CLOCK_EVENTS = {
    ClockEvent.HW_THERMAL: "heat (hardware)",
    ClockEvent.HW_POWER_BRAKE: "its power supply's brake",
    ClockEvent.HW_SLOWDOWN: "a hardware slowdown",
    ClockEvent.SW_THERMAL: "heat (driver)",
    ClockEvent.SW_POWER_CAP: "its power limit",
}
# A power limit is part of what is measured, and in environment.powerLimitWatts; heat and brakes are the day's.
_INVALIDATING = frozenset(ClockEvent) - {ClockEvent.SW_POWER_CAP}


def measurement_valid(steadiness: Steadiness, results: Results) -> Saying:
    """Whether machine and model were at rest; the first check that objects explains why not."""
    objections = (check(steadiness, results) for check in _CHECKS)
    return next((said for said in objections if said is not None), _steady(steadiness))


def energy_valid(spec: BenchmarkJobSpec, report: Report) -> Saying:
    """Whether the joules are the run's own."""
    if report.results is None or report.results.energy.gpu_joules is None:
        named = (u.message for u in report.unavailable if u.field.startswith("energy"))
        return no(Reason.ENERGY_UNAVAILABLE, next(named, "no energy was reported"))
    if spec.resources.gpu and spec.resources.gpu.resource_name == NVIDIA_SHARED:
        return no(
            Reason.ENERGY_SHARED,
            "the GPU's energy counter counts every container that shares the GPU; for the run's own energy, ask for a "
            "whole one (resources.gpu.resourceName nvidia.com/gpu)",
        )
    others = report.steadiness.other_processes if report.steadiness else None
    if others:
        return no(Reason.ENERGY_SHARED, f"the GPU's energy counter counted {_processes(others)} as well")
    return yes(Reason.ENERGY_MEASURED, "from the GPUs' energy counters over the measured window")


def _alone(steadiness: Steadiness, _: Results) -> Saying | None:
    if not steadiness.other_processes:
        return None
    return no(
        Reason.GPU_SHARED,
        f"{_processes(steadiness.other_processes)} computed on the run's GPU; measure on a GPU of the run's own",
    )


def _clocks_free(steadiness: Steadiness, _: Results) -> Saying | None:
    seen = [event for event in _CLOCK_EVENTS if event in (steadiness.clock_events or ()) and event in _INVALIDATING]
    if not seen:
        return None
    causes = ", ".join(_CLOCK_EVENTS[event] for event in seen)
    return no(
        Reason.CLOCKS_LOWERED,
        f"the GPU lowered its clocks for {causes}; look at the node's cooling and power supply, or use another node",
    )


def _warmed_up(steadiness: Steadiness, results: Results) -> Saying | None:
    if steadiness.warmup_steady is not False:
        return None
    return no(
        Reason.WARM_UP_NOT_STEADY,
        f"latency still rose or fell when the warm-up reached its limit, after {results.warmup_iterations} iterations; "
        "use an idle node, or raise measure.windowSeconds: a warm-up may take half of it, 120 s at most",
    )


def _window_steady(steadiness: Steadiness, _: Results) -> Saying | None:
    if steadiness.drift_ratio <= MAX_DRIFT_RATIO and steadiness.variation_ratio <= MAX_VARIATION_RATIO:
        return None
    return no(
        Reason.NOT_STEADY,
        f"the measured window was not steady: {_spread(steadiness)} (at most {MAX_DRIFT_RATIO:.0%} and "
        f"{MAX_VARIATION_RATIO:.0%}); use an idle node or a longer window",
    )


_CHECKS: tuple[Callable[[Steadiness, Results], Saying | None], ...] = (_alone, _clocks_free, _warmed_up, _window_steady)


def _steady(steadiness: Steadiness) -> Saying:
    unjudged = (
        "; the warm-up held too few iterations to tell whether it was" if steadiness.warmup_steady is None else ""
    )
    capped = (
        f"; the GPU's clocks were held down by {_CLOCK_EVENTS[ClockEvent.SW_POWER_CAP]}"
        if ClockEvent.SW_POWER_CAP in (steadiness.clock_events or ())
        else ""
    )
    return yes(Reason.STEADY, f"the measured window was steady: {_spread(steadiness)}{unjudged}{capped}")


def _spread(steadiness: Steadiness) -> str:
    drift, variation = steadiness.drift_ratio, steadiness.variation_ratio
    return f"drift {drift:.1%}, interquartile range {variation:.1%} of the median latency"


def _processes(count: int) -> str:
    return "another process" if count == 1 else f"{count} other processes"
