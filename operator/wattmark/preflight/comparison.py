"""A need, by a formula or by a trace, held against the fleet."""

from dataclasses import replace

from wattmark.api.answers import Need, NodeTypeAnswer, Verdict
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.trace import Trace
from wattmark.estimate import Gpu, Unknown
from wattmark.estimate.traced import traced
from wattmark.evidence import Experience, Lesson
from wattmark.fit import verdicts
from wattmark.fit.demand import Demand, Spec, TracedDemand, demand
from wattmark.fit.fallbacks import fallbacks
from wattmark.fit.most import most_of_both
from wattmark.fleet.nodes import NodeType
from wattmark.model_facts import Facts, Refusal
from wattmark.models.resolve import Impossible
from wattmark.preflight.fleet import Fleet
from wattmark.preflight.verdict import Compared, found_on, not_estimated
from wattmark.preflight.ways import with_way

ONE_SHAPE = (
    "a trace is of one batch and length; set spec.method to ClosedForm for what would fit else, where it has a formula"
)


def by_formula(
    spec: Spec, facts: Facts, fleet: Fleet | None, experience: Experience, *, only_asks: bool
) -> Compared | Refusal:
    """The closed form's need held against the fleet, and what would fit where that does not.

    `only_asks`: a question may ask for what no run of ours does, and is told the largest batch and the longest input.
    """
    if isinstance(facts.architecture, str) or facts.config is None:
        return not_estimated(with_way(spec, facts, str(facts.architecture)), None, ())
    wanted = demand(spec, facts.architecture, facts.config, only_asks=only_asks, experience=experience)
    if isinstance(wanted, Impossible):
        return Refusal(wanted.reason, wanted.message)
    on_cpu = spec.resources.gpus_per_node == 0
    kinds: tuple[NodeType, ...] = () if fleet is None else (fleet.cpu,) if on_cpu else fleet.gpu

    def need(gpu: Gpu | None) -> Need | Unknown:
        known = wanted.need_on(gpu)
        return Unknown(with_way(spec, facts, known.reason)) if isinstance(known, Unknown) else known

    asked = replace(wanted.asked(), need=need, weights=facts.weights)
    if only_asks:
        asked = replace(asked, most=most_of_both(wanted))
    compared = verdicts.compare(asked, kinds)
    gpus = {None} if on_cpu else _gpus(kinds, compared.answers)
    plain = wanted.need_on(gpus.pop() if len(gpus) == 1 else Gpu())
    if isinstance(plain, Unknown):
        return not_estimated(with_way(spec, facts, plain.reason), wanted.resolved, compared.answers)
    found = replace(found_on(wanted.resolved, plain, fleet, compared.answers), lesson=_lesson(wanted, kinds))
    surely = any(answer.verdict is Verdict.FITS for answer in found.node_types)
    # Without its weights it runs nowhere, whatever else were changed.
    lost = facts.weights is not None and facts.weights.there is False
    needless = surely or lost or not found.node_types
    return found if needless else replace(found, fallbacks=fallbacks(wanted, compared.grounds))


def by_trace(spec: ModelCheckSpec, facts: Facts, fleet: Fleet | None, trace: Trace, experience: Experience) -> Compared:
    """The same from a trace, which is of one shape on every kind of GPU."""
    kinds = () if fleet is None else fleet.gpu
    wanted = TracedDemand(spec, trace, facts.architecture, facts.config, experience)
    answers = verdicts.compare(replace(wanted.asked(), weights=facts.weights), kinds).answers
    plain = traced(trace, spec.model.weights, Gpu())  # what `wattmark trace` says
    found = replace(found_on(trace.resolved, plain, fleet, answers), lesson=_lesson(wanted, kinds))
    fields = ["nodeTypes.largestBatchSizePerDevice", "nodeTypes.longestInputTokens"]
    if all(answer.verdict is not Verdict.FITS for answer in answers):
        fields.append("fallbacks")
    missing = tuple(Unavailable(field=f, reason=UnavailableReason.NOT_TRACED, message=ONE_SHAPE) for f in fields)
    return replace(found, unavailable=missing)


def _gpus(kinds: tuple[NodeType, ...], found: tuple[NodeTypeAnswer, ...]) -> set[Gpu | None]:
    """The kinds of GPU that the run may get; where it fits none, all."""
    possible = {answer.node_type for answer in found if answer.verdict is not Verdict.DOES_NOT_FIT}
    return {verdicts.gpu_of(kind) for kind in kinds if kind.name in possible or not possible}


def _lesson(wanted: Demand | TracedDemand, kinds: tuple[NodeType, ...]) -> Lesson:
    """What earlier runs say on the kind of node on which they say the most."""
    gpus = dict.fromkeys(verdicts.gpu_of(kind) for kind in kinds) or {Gpu(): None}
    return max(
        (wanted.lesson_on(gpu) for gpu in gpus), key=lambda lesson: (lesson.same, lesson.alike, any(lesson.too_little))
    )
