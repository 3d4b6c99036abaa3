"""Conditions: when they change, how they are dated, and what kstatus reads in them."""

import pytest
from tests.unit.seen import CREATED, at

from wattmark.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from wattmark.decide.saying import Saying, Sayings, dated, in_progress, no, said, settled, timestamp, unknown, yes

RUNNING, READY = ConditionType.RUNNING, ConditionType.READY
OLD = dated({RUNNING: no(Reason.JOB_CREATED, "waits")}, [], CREATED, 1)

TRANSITIONS = [
    pytest.param(no(Reason.JOB_CREATED, "waits"), 0, id="the same again keeps its time"),
    pytest.param(no(Reason.UNSCHEDULABLE, "no node"), 0, id="another reason keeps its time"),
    pytest.param(yes(Reason.RUNNING, "runs"), 60, id="another status moves it"),
    pytest.param(unknown(Reason.NODES_UNKNOWN, "who knows"), 60, id="so does not knowing"),
]


@pytest.mark.parametrize(("saying", "seconds"), TRANSITIONS)
def test_a_transition_time_moves_only_with_the_status(saying: Saying, seconds: float) -> None:
    (condition,) = dated({RUNNING: saying}, OLD, CREATED + 60, 2)
    assert condition.last_transition_time == at(seconds)
    assert condition.observed_generation == 2
    assert (condition.status, condition.reason, condition.message) == (saying.status, saying.reason, saying.message)


def test_what_is_no_longer_said_is_gone_and_the_rest_stands_in_one_order() -> None:
    sayings: Sayings = {READY: yes(Reason.MEASURED, ""), ConditionType.ACCEPTED: yes(Reason.ACCEPTED, "")}
    assert [c.type for c in dated(sayings, OLD, CREATED, 1)] == [ConditionType.ACCEPTED, READY]


def test_a_message_is_held_to_its_bound() -> None:
    (condition,) = dated({RUNNING: no(Reason.UNSCHEDULABLE, "x" * 5000)}, [], CREATED, 1)
    assert len(condition.message) == 1024
    Condition.model_validate(condition.wire())


def test_said_reads_back_what_was_dated() -> None:
    sayings: Sayings = {RUNNING: no(Reason.JOB_CREATED, "waits"), READY: yes(Reason.MEASURED, "done")}
    assert said(dated(sayings, [], CREATED, 1)) == sayings


def test_progress_and_rest_exclude_each_other() -> None:
    sayings: Sayings = {}
    in_progress(sayings, Reason.RUNNING, "runs")
    assert sayings == {READY: no(Reason.RUNNING, "runs"), ConditionType.RECONCILING: yes(Reason.RUNNING, "runs")}
    settled(sayings, no(Reason.NO_REPORT, "nothing"))
    assert sayings == {READY: no(Reason.NO_REPORT, "nothing"), ConditionType.STALLED: yes(Reason.NO_REPORT, "nothing")}
    in_progress(sayings, Reason.RUNNING, "again")
    assert ConditionType.STALLED not in sayings
    settled(sayings, yes(Reason.MEASURED, "done"))
    assert sayings == {READY: yes(Reason.MEASURED, "done")}


def test_times_are_as_kubernetes_writes_them() -> None:
    assert timestamp(0) == "1970-01-01T00:00:00Z"
    assert timestamp(1_800_000_000.999) == "2027-01-15T08:00:00Z"
    assert ConditionStatus.TRUE.value == "True"
