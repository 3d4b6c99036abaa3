"""pydantic takes and refuses what the API server does; tests/e2e/test_api.py asks the API server the same."""

import pytest
from pydantic import ValidationError
from tests.unit.api_cases import BENCHMARK, CHECK, RULES, SCHEMA, TAKEN, UNKNOWN_FIELDS, Case

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.training import TrainingSpec
from wattmark.api.workload import InferenceSpec, WorkloadSpec

SPECS: dict[str, type[BenchmarkJobSpec] | type[ModelCheckSpec]] = {BENCHMARK: BenchmarkJobSpec, CHECK: ModelCheckSpec}


def sentence(case: Case) -> str:
    return case.sentence


def refusal(case: Case) -> list[str]:
    """What pydantic says against a case, one message for each field."""
    with pytest.raises(ValidationError) as refused:
        SPECS[case.kind].read(case.spec)
    return [e["msg"].removeprefix("Value error, ") for e in refused.value.errors()]


@pytest.mark.parametrize("case", TAKEN, ids=sentence)
def test_taken(case: Case) -> None:
    spec = SPECS[case.kind].read(case.spec)
    assert SPECS[case.kind].read(spec.wire()) == spec


@pytest.mark.parametrize("case", RULES, ids=sentence)
def test_refused_by_a_rule_of_ours_in_the_same_words(case: Case) -> None:
    (message,) = refusal(case)
    assert case.refusal.endswith(message)


@pytest.mark.parametrize("case", SCHEMA + UNKNOWN_FIELDS, ids=sentence)
def test_refused_by_the_schema(case: Case) -> None:
    assert refusal(case)


def test_no_two_cases_have_one_name() -> None:
    names = [case.sentence for case in TAKEN + RULES + SCHEMA + UNKNOWN_FIELDS]
    assert len(set(names)) == len(names)


def test_the_shape_is_the_member_that_the_type_selects() -> None:
    assert WorkloadSpec.read({"type": "Inference", "inference": {}}).shape == InferenceSpec()
    assert WorkloadSpec.read({"type": "Training", "training": {}}).shape == TrainingSpec()
