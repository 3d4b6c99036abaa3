"""Whose energy it was: condition EnergyValid."""

import json
from dataclasses import replace

import pytest
from tests.unit.seen import REPORT, WITH_JOB, says, spec, step, succeeded

from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.figures import Energy


@pytest.mark.parametrize(
    ("resource", "joules", "status", "reason"),
    [
        pytest.param("nvidia.com/gpu", 100.0, "True", Reason.ENERGY_MEASURED, id="a whole GPU's is the run's own"),
        pytest.param("nvidia.com/gpu.shared", 100.0, "False", Reason.ENERGY_SHARED, id="a shared GPU's is everybody's"),
        pytest.param("nvidia.com/gpu.shared", None, "False", Reason.ENERGY_UNAVAILABLE, id="none at all"),
    ],
)
def test_energy_is_valid_where_it_is_the_runs_own(
    resource: str, joules: float | None, status: str, reason: Reason
) -> None:
    assert REPORT.results is not None
    results = REPORT.results.model_copy(update={"energy": Energy(gpu_joules=joules)})
    told = json.dumps(REPORT.model_copy(update={"results": results}).wire())
    asked = spec(resources={"gpusPerNode": 1, "gpu": {"resourceName": resource}})
    plan = step(replace(WITH_JOB, spec=asked, pods=(succeeded(told),)), 310)
    assert says(plan, ConditionType.ENERGY_VALID) == (ConditionStatus(status), reason)
