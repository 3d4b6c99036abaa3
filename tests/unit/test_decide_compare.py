"""Predicted against measured, and what makes two results comparable."""

from typing import Any

import pytest
from tests.unit.seen import ENVIRONMENT, GIB, NEED, SPEC, estimate, spec

from wattmark.api.benchmarkjob import Comparison
from wattmark.api.figures import Memory
from wattmark.decide.compare import comparability_key, comparison


def test_only_what_was_both_predicted_and_measured_is_compared() -> None:
    found = comparison(NEED, Memory(allocated_peak_bytes=10 * GIB, host_peak_bytes=GIB))
    assert [c.metric for c in found] == ["memory.allocatedPeakBytes"]
    assert comparison(None, Memory(allocated_peak_bytes=GIB)) == []


ERRORS = [
    pytest.param(14 * GIB, 0.0, True, id="as predicted"),
    pytest.param(7 * GIB, 1.0, False, id="half of what was predicted: above zero, too high"),
    pytest.param(28 * GIB, -0.5, False, id="twice of what was predicted"),
    pytest.param(1, 14.0 * GIB - 1, False, id="a byte: no figure is too small to be compared"),
    pytest.param(2**53, -1.0, False, id="the most there can be"),
]


@pytest.mark.parametrize(("measured", "error", "within"), ERRORS)
def test_error(measured: int, error: float, within: bool) -> None:
    (found,) = comparison(NEED, Memory(allocated_peak_bytes=measured))
    assert (found.error_ratio, found.within_interval) == (error, within)
    Comparison.model_validate(found.wire())


def test_even_the_largest_error_is_within_the_schema() -> None:
    huge = estimate(1).model_copy(update={"likely": 2**53, "high": 2**53})
    need = NEED.model_copy(update={"allocated_bytes": huge})
    Comparison.model_validate(comparison(need, Memory(allocated_peak_bytes=1))[0].wire())


SAME = [
    pytest.param({}, {"node": "another"}, id="another node"),
    pytest.param({}, {"image_id": "runner@sha256:def"}, id="another build of the same software"),
    pytest.param({}, {"sm_clock_megahertz": 1980}, id="another clock at the end"),
    pytest.param({"deadlines": {"runningSeconds": 60}}, {}, id="another deadline"),
    pytest.param({"suspend": True}, {}, id="suspended meanwhile"),
    pytest.param({"measure": {"profile": "Standard", "windowSeconds": 60}}, {}, id="a default that was written out"),
]
OTHER = [
    pytest.param({"model": {"id": "gpt2"}}, {}, id="another model"),
    pytest.param({"workload": {"type": "Training", "training": {}}}, {}, id="another workload"),
    pytest.param({"measure": {"profile": "Smoke"}}, {}, id="another way of measuring"),
    pytest.param({"resources": {"gpusPerNode": 0}}, {}, id="a GPU less"),
    pytest.param({}, {"gpu_product": "NVIDIA L4"}, id="another GPU"),
    pytest.param({}, {"driver_version": "570.1"}, id="another driver"),
    pytest.param({}, {"torch_version": "2.10.0"}, id="another PyTorch"),
]


def key(changes: dict[str, Any], environment: dict[str, Any]) -> str:
    asked = spec(**changes) if changes else SPEC
    return comparability_key(asked, None, ENVIRONMENT.model_copy(update=environment))


@pytest.mark.parametrize(("changes", "environment"), SAME)
def test_comparable(changes: dict[str, Any], environment: dict[str, Any]) -> None:
    assert key(changes, environment) == key({}, {})


@pytest.mark.parametrize(("changes", "environment"), OTHER)
def test_not_comparable(changes: dict[str, Any], environment: dict[str, Any]) -> None:
    assert key(changes, environment) != key({}, {})
    assert len(key(changes, environment)) == 16
