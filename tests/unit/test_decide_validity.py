"""Whether figures can be trusted: conditions MeasurementValid and EnergyValid, and the words that say why not."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import REPORT, RESULTS, WITH_JOB, says, spec, step, succeeded

from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.figures import ClockEvent, Energy, Steadiness
from wattmark.decide.validity import measurement_valid

STEADY = Steadiness(drift_ratio=0.01, variation_ratio=0.02, warmup_steady=True, clock_events=[], other_processes=0)
CAP, HEAT, HARD_HEAT = ClockEvent.SW_POWER_CAP, ClockEvent.SW_THERMAL, ClockEvent.HW_THERMAL


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        pytest.param({}, Reason.STEADY, ["drift 1.0%", "interquartile range 2.0%"], id="at rest, alone, cool"),
        pytest.param({"drift_ratio": 0.05, "variation_ratio": 0.1}, Reason.STEADY, [], id="the bounds themselves hold"),
        pytest.param({"drift_ratio": 0.051}, Reason.NOT_STEADY, ["drift 5.1%", "at most 5%"], id="a drifting window"),
        pytest.param({"variation_ratio": 0.11}, Reason.NOT_STEADY, ["range 11.0%"], id="a window that scatters"),
        pytest.param({"warmup_steady": False}, Reason.WARM_UP_NOT_STEADY, ["after 10 iterations"], id="an endless one"),
        pytest.param({"warmup_steady": None}, Reason.STEADY, ["too few iterations"], id="a short warm-up"),
        pytest.param({"clock_events": [CAP]}, Reason.STEADY, ["held down by its power limit"], id="a power limit"),
        pytest.param(
            {"clock_events": [CAP, HARD_HEAT]}, Reason.CLOCKS_LOWERED, ["for heat (hardware);"],
            id="heat is not excused by a power limit",
        ),
        pytest.param({"clock_events": [HEAT]}, Reason.CLOCKS_LOWERED, ["heat (driver)"], id="heat, by the driver"),
        pytest.param(
            {"clock_events": [ClockEvent.HW_SLOWDOWN, ClockEvent.HW_POWER_BRAKE]}, Reason.CLOCKS_LOWERED,
            ["its power supply's brake, a hardware slowdown"], id="a power brake",
        ),
        pytest.param({"clock_events": None, "other_processes": None}, Reason.STEADY, [], id="not told"),
        pytest.param({"other_processes": 1}, Reason.GPU_SHARED, ["another process computed"], id="a stranger"),
        pytest.param(
            {"other_processes": 3, "clock_events": [HEAT], "warmup_steady": False, "drift_ratio": 1.0},
            Reason.GPU_SHARED, ["3 other processes"], id="strangers explain the rest",
        ),
        pytest.param(
            {"warmup_steady": False, "drift_ratio": 1.0}, Reason.WARM_UP_NOT_STEADY, [], id="the warm-up comes first",
        ),
    ],
)  # fmt: skip
def test_a_measurement_is_valid_at_rest(changes: dict[str, Any], reason: Reason, words: list[str]) -> None:
    said = measurement_valid(STEADY.model_copy(update=changes), RESULTS)
    assert said.reason is reason
    assert said.status is (ConditionStatus.TRUE if reason is Reason.STEADY else ConditionStatus.FALSE)
    assert all(part in said.message for part in words), said.message


def test_every_event_has_words() -> None:
    for event in ClockEvent:
        said = measurement_valid(STEADY.model_copy(update={"clock_events": [event]}), RESULTS)
        assert "clocks" in said.message and (said.status is ConditionStatus.TRUE) == (event is CAP)


@pytest.mark.parametrize(
    ("resource", "joules", "others", "status", "reason"),
    [
        pytest.param("nvidia.com/gpu", 100.0, 0, "True", Reason.ENERGY_MEASURED, id="a whole GPU's is the run's own"),
        pytest.param("nvidia.com/gpu", 100.0, None, "True", Reason.ENERGY_MEASURED, id="as far as one can tell"),
        pytest.param("nvidia.com/gpu", 100.0, 1, "False", Reason.ENERGY_SHARED, id="unless a stranger computed on it"),
        pytest.param("nvidia.com/gpu.shared", 100.0, None, "False", Reason.ENERGY_SHARED, id="a shared GPU's is not"),
        pytest.param("nvidia.com/gpu.shared", None, None, "False", Reason.ENERGY_UNAVAILABLE, id="none at all"),
    ],
)  # fmt: skip
def test_energy_is_valid_where_it_is_the_runs_own(
    resource: str, joules: float | None, others: int | None, status: str, reason: Reason
) -> None:
    assert REPORT.results is not None
    results = REPORT.results.model_copy(update={"energy": Energy(gpu_joules=joules)})
    rest = STEADY.model_copy(update={"other_processes": others})
    told = json.dumps(REPORT.model_copy(update={"results": results, "steadiness": rest}).wire())
    asked = spec(resources={"gpusPerNode": 1, "gpu": {"resourceName": resource}})
    plan = step(replace(WITH_JOB, spec=asked, pods=(succeeded(told),)), 310)
    assert says(plan, ConditionType.ENERGY_VALID) == (ConditionStatus(status), reason)
