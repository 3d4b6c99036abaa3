"""What condition Calibrated says."""

import pytest

from wattmark.api.conditions import ConditionStatus, Reason
from wattmark.decide.evidence import calibrated
from wattmark.evidence import NOTHING_LEARNT, Lesson

TEAM, OTHER = ("team", "first"), ("other", "secret")
SAID = [
    pytest.param(NOTHING_LEARNT, Reason.NO_EVIDENCE, "one that does makes this answer more exact", id="nothing"),
    pytest.param(
        Lesson(same=1, names=(TEAM,)), Reason.MEASURED, "1 earlier run of the same question, such as first", id="one"
    ),
    pytest.param(
        Lesson(same=2, names=(TEAM, OTHER)),
        Reason.MEASURED,
        "2 earlier runs of the same question, such as first",
        id="of two namespaces",
    ),
    pytest.param(
        Lesson(alike=3, names=(OTHER,)),
        Reason.CALIBRATED,
        "3 earlier runs on the same GPU, or of the same family and precision",
        id="of another",
    ),
    pytest.param(
        Lesson(too_little=(None, None, None, 5, None), names=(TEAM,)),
        Reason.MEASURED,
        "ran out of memory: the need is above what it had, such as first",
        id="too little",
    ),
]


@pytest.mark.parametrize(("lesson", "reason", "words"), SAID)
def test_what_is_said(lesson: Lesson, reason: Reason, words: str) -> None:
    found = calibrated(lesson, "team")
    assert found.reason is reason and words in found.message
    assert (found.status is ConditionStatus.FALSE) == (reason is Reason.NO_EVIDENCE)
    assert "secret" not in found.message and len(found.message) < 400
