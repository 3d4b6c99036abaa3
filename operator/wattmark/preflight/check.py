"""What a ModelCheck is answered."""

from dataclasses import dataclass

from wattmark import models
from wattmark.api.answers import Need, NodeTypeAnswer
from wattmark.api.conditions import Reason
from wattmark.api.fallback import Fallback
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.model import Weights
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.api.trace import Trace
from wattmark.evidence import NO_EXPERIENCE, NOTHING_LEARNT, Experience, Lesson
from wattmark.model_facts import Facts, Refusal, weights_of_hub
from wattmark.models import Architecture
from wattmark.observe import clean
from wattmark.preflight.comparison import by_formula, by_trace
from wattmark.preflight.fleet import Fleet
from wattmark.preflight.verdict import Compared


@dataclass(frozen=True, slots=True)
class Answer:
    """What a ModelCheck is answered; `lesson` is what the runs say that say the most on one of its node types."""

    refusal: Refusal | None
    resolved: Resolved | None
    parameter_count: int | None
    need: Need | None
    node_types: tuple[NodeTypeAnswer, ...]
    unavailable: tuple[Unavailable, ...]
    reason: Reason
    message: str
    fallbacks: tuple[Fallback, ...] = ()
    lesson: Lesson = NOTHING_LEARNT


def for_check(
    spec: ModelCheckSpec,
    facts: Facts | Refusal,
    fleet: Fleet | None,
    trace: Trace | None = None,
    experience: Experience = NO_EXPERIENCE,
) -> Answer:
    """The answer to a ModelCheck, from its trace where there is one.

    `fleet` is None where nodes may not be read; `experience` are the runs that may speak.
    """
    if isinstance(facts, Refusal):
        return Answer(facts, None, None, None, (), (), facts.reason, facts.message)
    if trace is not None:
        found: Compared | Refusal = by_trace(spec, facts, fleet, trace, experience)
    else:
        found = by_formula(spec, facts, fleet, experience, only_asks=True)
    if isinstance(found, Refusal):
        return Answer(found, None, None, None, (), (), found.reason, found.message)
    count = None if trace is None else trace.parameter_count
    if trace is None and isinstance(facts.architecture, Architecture):
        analysis = spec.workload.analysis
        head = models.head_for(facts.architecture, spec.workload.type, analysis.kind if analysis else None)
        pretrained = spec.model.weights is Weights.PRETRAINED
        count = models.parameters(facts.architecture, head, pretrained=pretrained).total
    return Answer(
        refusal=None,
        resolved=found.resolved,
        parameter_count=count,
        need=found.need,
        node_types=found.node_types,
        unavailable=(*found.unavailable, *_unchecked(spec, facts)),
        reason=found.reason,
        message=found.message,
        fallbacks=found.fallbacks,
        lesson=found.lesson,
    )


def _unchecked(spec: ModelCheckSpec, facts: Facts) -> tuple[Unavailable, ...]:
    """What a run needs beside memory and was not looked for: outside of the operator no hub is asked for weights."""
    if facts.weights is not None or weights_of_hub(spec.model) is None:
        return ()
    asks = "the operator asks it, of a ModelCheck on a cluster"
    message = f"the hub was not asked whether it has the pretrained weights; {asks}"
    return (Unavailable(field="weights", reason=UnavailableReason.NOT_CHECKED, message=message),)


def unanswered(why: str) -> Answer:
    """The answer to a ModelCheck where the estimate failed."""
    refusal = Refusal(Reason.INTERNAL_ERROR, clean(why))
    return Answer(refusal, None, None, None, (), (), refusal.reason, refusal.message)
