"""Conditions are merged by type, and every reason is a word that tools may match on."""

import re

from wattmark.api.conditions import Condition, ConditionStatus, ConditionType, Reason, merged
from wattmark.api.report import RunFailure


def condition(kind: ConditionType, status: ConditionStatus, time: str, message: str = "") -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=Reason.RUNNING,
        message=message,
        last_transition_time=time,
        observed_generation=1,
    )


YES, NO = ConditionStatus.TRUE, ConditionStatus.FALSE
OLD, NEW = "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z"


def test_a_time_is_kept_with_its_status_and_moved_with_it() -> None:
    old = [condition(ConditionType.READY, NO, OLD), condition(ConditionType.RUNNING, YES, OLD)]
    new = [condition(ConditionType.READY, NO, NEW, "again"), condition(ConditionType.RUNNING, NO, NEW)]
    assert [(c.type, c.last_transition_time, c.message) for c in merged(old, new)] == [
        (ConditionType.RUNNING, NEW, ""),
        (ConditionType.READY, OLD, "again"),
    ]


def test_the_order_does_not_depend_on_who_spoke_first() -> None:
    conditions = [condition(kind, YES, NEW) for kind in ConditionType]
    assert merged([], reversed(conditions)) == merged([], conditions) == conditions


def test_what_is_not_said_again_is_gone() -> None:
    assert merged([condition(ConditionType.READY, NO, OLD)], []) == []


def test_reasons_and_types_are_words_as_kubernetes_wants_them() -> None:
    for word in [*Reason, *ConditionType]:
        assert re.fullmatch(r"[A-Z][A-Za-z]+", word.value)
    assert len({r.value for r in Reason}) == len(Reason)


def test_each_failure_that_the_runner_can_tell_is_a_reason() -> None:
    assert {f.value for f in RunFailure} <= {r.value for r in Reason}


def test_status_has_room_for_every_type_at_once() -> None:
    assert len(ConditionType) <= 16
