"""What condition Calibrated says: which earlier runs spoke."""

from wattmark.api.conditions import Reason
from wattmark.decide.saying import Saying, no, yes
from wattmark.evidence import Lesson

NONE = (
    "no finished BenchmarkJob of this namespace, or of one that the operator's settings name, ran the like; one that "
    "does makes this answer more exact"
)


def calibrated(lesson: Lesson, namespace: str) -> Saying:
    """Whether earlier runs made the answer more exact, and how many. Other namespaces' are counted, not named."""
    if lesson.same:
        return yes(Reason.MEASURED, f"measured by {_runs(lesson.same)} of the same question{_named(lesson, namespace)}")
    if lesson.alike:
        how = "on the same GPU, or of the same family and precision"
        return yes(Reason.CALIBRATED, f"calibrated by {_runs(lesson.alike)} {how}{_named(lesson, namespace)}")
    if any(size is not None for size in lesson.too_little):
        said = "a run of the same question ran out of memory: the need is above what it had"
        return yes(Reason.MEASURED, f"{said}{_named(lesson, namespace)}")
    return no(Reason.NO_EVIDENCE, NONE)


def _runs(count: int) -> str:
    return "1 earlier run" if count == 1 else f"{count} earlier runs"


def _named(lesson: Lesson, namespace: str) -> str:
    own = [name for where, name in lesson.names if where == namespace]
    return f", such as {', '.join(own)}" if own else ""
