"""What came out where a need was held against a fleet, in one reason and one sentence."""

from dataclasses import dataclass

from wattmark.api.answers import Need, NodeTypeAnswer, Verdict
from wattmark.api.conditions import Reason
from wattmark.api.fallback import Fallback
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.order import Resolved
from wattmark.evidence import NOTHING_LEARNT, Lesson
from wattmark.observe import clean
from wattmark.preflight.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Compared:
    """The need, where it was compared with what, and what came out."""

    resolved: Resolved | None
    need: Need | None
    node_types: tuple[NodeTypeAnswer, ...]
    unavailable: tuple[Unavailable, ...]
    fits: bool | None
    reason: Reason
    message: str
    fallbacks: tuple[Fallback, ...] = ()
    lesson: Lesson = NOTHING_LEARNT


def found_on(
    resolved: Resolved | None, plain: Need, fleet: Fleet | None, found: tuple[NodeTypeAnswer, ...]
) -> Compared:
    """A need that is known, with what each kind of node answers to it."""
    if fleet is None:
        message = "nodes were not read, so nothing was compared (on a cluster: nodes.read in the chart's values)"
        return Compared(resolved, plain, (), (), None, Reason.NODES_UNKNOWN, message)
    if not found:
        message = "no node has GPUs now; one that is added is compared at once"
        return Compared(resolved, plain, (), (), None, Reason.NO_GPU_NODES, message)
    return Compared(resolved, plain, found, (), *_judged(found))


def fitting(found: tuple[NodeTypeAnswer, ...]) -> tuple[int, int]:
    """How many node types it surely fits, and how many tightly."""
    verdicts = [answer.verdict for answer in found]
    return verdicts.count(Verdict.FITS), verdicts.count(Verdict.FITS_TIGHT)


def _judged(found: tuple[NodeTypeAnswer, ...]) -> tuple[bool | None, Reason, str]:
    """Whether it fits anywhere, from the answers, which stand best first."""
    best, total = found[0], len(found)
    sure, tight = fitting(found)
    if sure:
        reason = Reason.FITS_ALL if sure == total else Reason.FITS_SOME
        more = f", and {tight} tightly" if tight else ""
        return True, reason, f"fits {sure} of {total} node types{more}; {best.node_type}: {best.message}"
    if tight:
        said = f"fits none of {total} node types for certain, {tight} tightly"
        return True, Reason.FITS_TIGHT, f"{said}; {best.node_type}: {best.message}"
    if best.verdict is Verdict.UNKNOWN:
        return None, Reason.UNKNOWN, f"not known for {best.node_type}: {best.message}"
    # Of those that do not fit, the one with the most to offer is the nearest.
    nearest = found[-1]
    return False, Reason.DOES_NOT_FIT, f"fits none of {total} node types; {nearest.node_type}: {nearest.message}"


def not_estimated(why: str, resolved: Resolved | None, found: tuple[NodeTypeAnswer, ...]) -> Compared:
    """A need that is not known, and why."""
    message = clean(f"the need is not estimated: {why}")
    cause, _, way = message.rpartition("; ")
    # What would bring it is not to be cut off.
    short = f"{clean(cause, 158 - len(way))}; {way}" if cause and len(way) < 120 else clean(message, 160)
    missing = Unavailable(field="need", reason=UnavailableReason.NOT_PREDICTED, message=short)
    return Compared(resolved, None, found, (missing,), None, Reason.NOT_ESTIMATED, message)
