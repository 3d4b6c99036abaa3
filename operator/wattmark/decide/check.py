"""What to say in a ModelCheck's status, given the answer."""

from wattmark.api.answers import NodeTypeAnswer, Verdict
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.modelcheck import CheckSummary, ModelCheckSpec, ModelCheckStatus, Require
from wattmark.decide.evidence import calibrated
from wattmark.decide.plan import Identity
from wattmark.decide.saying import (
    Saying,
    Sayings,
    dated,
    in_progress,
    no,
    settled,
    timestamp,
    unknown,
    with_remedy,
    yes,
)
from wattmark.decide.summary import gibibytes
from wattmark.decide.waiting import Waiting
from wattmark.evidence import deepest
from wattmark.preflight import Answer, fitting

_ORDER = (Verdict.FITS, Verdict.FITS_TIGHT, Verdict.UNKNOWN, Verdict.DOES_NOT_FIT)
MOST_NODE_TYPES = 32
# What stood there is of an earlier question.
_NO_ANSWER: dict[str, object] = {
    "summary": None,
    "resolved": None,
    "parameter_count": None,
    "need": None,
    "node_types": [],
    "source": None,
    "fallbacks": [],
    "unavailable": [],
    "evaluation_time": None,
}


def decide(
    identity: Identity, spec: ModelCheckSpec | str, status: ModelCheckStatus, answer: Answer | Waiting | str, now: float
) -> ModelCheckStatus:
    """The next status. `answer` is a sentence where the spec cannot be read, and what is waited for where it is not
    there yet."""
    sayings: Sayings = {}
    changes: dict[str, object] = {"observed_generation": identity.generation}
    if isinstance(answer, str) or isinstance(spec, str):
        broken = no(Reason.INVALID_SPEC, str(answer))
        sayings[ConditionType.EVALUATED] = broken
        settled(sayings, broken)
        changes |= _NO_ANSWER
    elif isinstance(answer, Waiting):
        sayings[ConditionType.EVALUATED] = unknown(answer.reason, answer.message)
        in_progress(sayings, answer.reason, answer.message)
        changes |= _NO_ANSWER
    elif answer.refusal is not None:
        refused = no(answer.refusal.reason, answer.refusal.message)
        sayings |= {
            ConditionType.EVALUATED: refused,
            ConditionType.FITS: unknown(answer.refusal.reason, answer.refusal.message),
        }
        settled(sayings, refused)
        changes |= _NO_ANSWER | {"summary": CheckSummary(model=spec.model.id, verdict=Verdict.UNKNOWN.value)}
    else:
        changes |= _answered(sayings, identity, spec, answer)
    next_status = status.model_copy(
        update={**changes, "conditions": dated(sayings, status.conditions, now, identity.generation)}
    )
    return next_status.model_copy(update={"evaluation_time": _evaluated_at(status, next_status, now)})


def _answered(sayings: Sayings, identity: Identity, spec: ModelCheckSpec, answer: Answer) -> dict[str, object]:
    types = answer.node_types
    evaluated = f"{len(types)} node types" if len(types) != 1 else "1 node type"
    fits = _fits(answer)
    sayings |= {
        ConditionType.EVALUATED: yes(Reason.EVALUATED, f"the need was compared with {evaluated}"),
        ConditionType.FITS: fits,
        ConditionType.CALIBRATED: calibrated(answer.lesson, identity.namespace),
    }
    settled(sayings, _ready(spec.require, types, fits))
    best = next((t for t in types if t.verdict in (Verdict.FITS, Verdict.FITS_TIGHT)), None)
    sure, tight = fitting(types)
    need = answer.need.required_bytes if answer.need else None
    return {
        "resolved": answer.resolved,
        "parameter_count": answer.parameter_count,
        "need": answer.need,
        "source": deepest(need.source, *(t.source for t in types if t.need_bytes)) if need else None,
        "node_types": list(types[:MOST_NODE_TYPES]),
        "fallbacks": list(answer.fallbacks),
        "unavailable": list(answer.unavailable),
        "summary": CheckSummary(
            model=spec.model.id,
            verdict=min((t.verdict for t in types), key=_ORDER.index, default=Verdict.UNKNOWN).value,
            need=gibibytes(need.likely) if need else "-",
            best_node_type=best.node_type if best else "-",
            fits=f"{sure}/{len(types)}" + (f", {tight} tight" if tight else ""),
            headroom=gibibytes(best.headroom_bytes) if best and best.headroom_bytes is not None else "-",
        ),
    }


def _fits(answer: Answer) -> Saying:
    types = answer.node_types
    if not types:
        return unknown(answer.reason, answer.message)
    verdicts = {t.verdict for t in types}
    if Verdict.FITS in verdicts:
        return yes(Reason.FITS_ALL if len(verdicts) == 1 else Reason.FITS_SOME, answer.message)
    if Verdict.FITS_TIGHT in verdicts:  # the truth may or may not fit
        return unknown(Reason.FITS_TIGHT, with_remedy(answer.message, answer.fallbacks))
    if Verdict.UNKNOWN in verdicts:
        return unknown(Reason.UNKNOWN, answer.message)
    return no(Reason.FITS_NONE, with_remedy(answer.message, answer.fallbacks))


def _ready(require: Require, types: tuple[NodeTypeAnswer, ...], fits: Saying) -> Saying:
    """Ready: there is an answer, and it is the one that spec.require asks for."""
    if require is Require.NONE:
        return yes(Reason.EVALUATED, "the question is answered")
    if any(_meets(require, t) for t in types):
        return yes(Reason.REQUIREMENT_MET, f"spec.require {require.value} is met")
    if fits.status is ConditionStatus.UNKNOWN:
        return no(Reason.REQUIREMENT_NOT_MET, f"spec.require {require.value} cannot be shown to be met: {fits.message}")
    return no(Reason.REQUIREMENT_NOT_MET, f"spec.require {require.value} is not met: {fits.message}")


def _meets(require: Require, answer: NodeTypeAnswer) -> bool:
    if require is Require.FITS:
        return answer.verdict is Verdict.FITS
    verdict = answer.fits_now if require is Require.FITS_NOW else answer.verdict
    return verdict in (Verdict.FITS, Verdict.FITS_TIGHT)


def _evaluated_at(old: ModelCheckStatus, new: ModelCheckStatus, now: float) -> str | None:
    """When this answer was first given: a re-evaluation that finds the same keeps the time."""
    if new.summary is None:
        return None
    same = old.evaluation_time is not None and _gist(old) == _gist(new)
    return old.evaluation_time if same else timestamp(now)


def _gist(status: ModelCheckStatus) -> tuple[object, ...]:
    """The answer without what drifts with every Pod of the cluster: messages, and how many GPUs are free."""
    return (
        status.observed_generation,
        status.need,
        [(c.type, c.status, c.reason) for c in status.conditions],
        [(t.node_type, t.verdict, t.fits_now, t.reason) for t in status.node_types],
    )
