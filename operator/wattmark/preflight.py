"""What is known before a run: the model, the need, and the verdict on each node type. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wattmark import models
from wattmark.api.answers import Need, NodeTypeAnswer, Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec, PreflightPolicy
from wattmark.api.conditions import Reason
from wattmark.api.fallback import Fallback
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.model import Weights
from wattmark.api.modelcheck import Method, ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.api.runtime import QuantizationType
from wattmark.api.trace import Trace
from wattmark.estimate import Gpu, Unknown
from wattmark.estimate.traced import traced
from wattmark.evidence import NO_EXPERIENCE, NOTHING_LEARNT, Experience, Lesson
from wattmark.fit import verdicts
from wattmark.fit.demand import Demand, Spec, TracedDemand, demand
from wattmark.fit.fallbacks import fallbacks, with_patch
from wattmark.fit.most import most_of_both
from wattmark.fleet.nodes import (
    AssumedNodes,
    Member,
    NodeType,
    SeenGpuPod,
    SeenNode,
    cpu_type,
    node_types,
    with_assumed,
)
from wattmark.fleet.slices import SeenSlice
from wattmark.model_facts import Facts, Refusal
from wattmark.models import Architecture
from wattmark.models.resolve import Impossible
from wattmark.observe import clean

MOST_PREDICTIONS = 16
PRODUCT_LABEL = "nvidia.com/gpu.product"
TRACE_IT = "set spec.method to Traced or Auto to have it traced"
ONE_SHAPE = (
    "a trace is of one batch and length; set spec.method to ClosedForm for what would fit else, where it has a formula"
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Kinds of node: those with GPUs, and all real nodes as places for runs without one."""

    gpu: tuple[NodeType, ...]
    cpu: NodeType


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a BenchmarkJob before its run. `fits` is None where it is not known.

    `spec` is what is run where that is not what was asked for, but with the `adaptation`.
    """

    resolved: Resolved | None
    need: Need | None
    predictions: tuple[NodeTypeAnswer, ...]
    unavailable: tuple[Unavailable, ...]
    fits: bool | None
    reason: Reason
    message: str
    config: str | None
    products: tuple[str, ...] | None
    refusal: Refusal | None = None
    fallbacks: tuple[Fallback, ...] = ()
    adaptation: Fallback | None = None
    spec: BenchmarkJobSpec | None = None


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


def fleet(
    nodes: Iterable[SeenNode],
    pods: Iterable[SeenGpuPod] | None,
    assumed: Iterable[AssumedNodes] = (),
    slices: Iterable[SeenSlice] = (),
) -> Fleet:
    """The kinds of node that the cluster has now or may get; `pods` is None where other Pods may not be read."""
    seen = tuple(nodes)
    return Fleet(with_assumed(node_types(seen, pods, slices), assumed), cpu_type(seen))


def for_benchmark(
    spec: BenchmarkJobSpec,
    facts: Facts | Refusal,
    fleet: Fleet | None,
    adaptation: Fallback | None = None,
    experience: Experience = NO_EXPERIENCE,
) -> Preflight:
    """All that is known before a BenchmarkJob runs; `fleet` is None where nodes may not be read.

    `adaptation` is the change that was decided on before, which stands; `experience` are the runs that may speak.
    """
    if isinstance(facts, Refusal):
        return _refusing(facts)
    if unrunnable := _unrunnable(facts):
        return _refusing(Refusal(Reason.UNSUPPORTED_MODEL, f"the model is known, but cannot be run: {unrunnable}"))
    run = spec
    if adaptation is not None:
        try:
            run = with_patch(spec, adaptation.patch)
        except ValueError as error:  # pydantic's is one, too
            return _refusing(Refusal(Reason.INVALID_SPEC, clean(f"status.adaptation cannot be applied: {error}", 512)))
    found = _compared(run, facts, fleet, experience, only_asks=False)
    if isinstance(found, Refusal):
        return _refusing(found)
    policy = spec.preflight.policy
    if found.fits is False and policy is PreflightPolicy.ADAPT and adaptation is None:
        harmless = next((fallback for fallback in found.fallbacks if not fallback.changes_result), None)
        if harmless is not None:
            return for_benchmark(spec, facts, fleet, harmless, experience)
    fits, reason, message = _told(found, policy, adaptation)
    asked = spec.resources.gpu.products if spec.resources.gpu else None
    return Preflight(
        resolved=found.resolved,
        need=found.need,
        predictions=found.node_types[:MOST_PREDICTIONS],
        unavailable=found.unavailable,
        fits=fits,
        reason=reason,
        message=message,
        config=facts.config,
        products=_products(found.node_types, fleet) or (tuple(asked) if asked else None),
        fallbacks=found.fallbacks if found.fits is False else (),
        adaptation=adaptation,
        spec=None if adaptation is None else run,
    )


def unforeseen(spec: BenchmarkJobSpec, facts: Facts | Refusal, why: str) -> Preflight:
    """What is known where the estimate failed: nothing, which does not keep a run from measuring."""
    if isinstance(facts, Refusal):
        return _refusing(facts)
    missing = Unavailable(field="need", reason=UnavailableReason.NOT_PREDICTED, message=clean(why, 160))
    asked = spec.resources.gpu.products if spec.resources.gpu else None
    products = tuple(asked) if asked else None
    return Preflight(None, None, (), (missing,), None, Reason.INTERNAL_ERROR, clean(why), facts.config, products)


def unanswered(why: str) -> Answer:
    """The answer to a ModelCheck where the estimate failed."""
    refusal = Refusal(Reason.INTERNAL_ERROR, clean(why))
    return Answer(refusal, None, None, None, (), (), refusal.reason, refusal.message)


def _refusing(refusal: Refusal) -> Preflight:
    return Preflight(None, None, (), (), None, refusal.reason, refusal.message, None, None, refusal)


def _told(found: "_Verdict", policy: PreflightPolicy, adaptation: Fallback | None) -> tuple[bool | None, Reason, str]:
    """What condition ModelFits says."""
    if policy is PreflightPolicy.OFF:
        return None, Reason.CHECK_OFF, "spec.preflight.policy is Off: nothing was compared"
    if adaptation is None or not found.fits:
        return found.fits, found.reason, found.message
    return True, Reason.FITS_ADAPTED, f"adapted, see status.adaptation: {adaptation.message}. With it: {found.message}"


def needs_trace(spec: ModelCheckSpec, facts: Facts) -> bool:
    """Whether the question is answered by a trace: asked for, or the only way."""
    if spec.method is Method.CLOSED_FORM or not _traceable(spec) or _unrunnable(facts):
        return False
    if isinstance(facts.architecture, str) or facts.config is None:
        return True
    wanted = demand(spec, facts.architecture, facts.config, only_asks=True)
    if isinstance(wanted, Impossible):
        return False  # the refusal tells
    return spec.method is Method.TRACED or isinstance(wanted.need_on(Gpu(), simulate=False), Unknown)


def _traceable(spec: Spec) -> bool:
    """Whether a trace may answer: it is of one GPU, of weights as they are and of PyTorch's optimizers, and a run does
    not wait for one."""
    if not isinstance(spec, ModelCheckSpec) or spec.estimated_optimizer:
        return False
    return spec.resources.gpus_per_node == 1 and spec.runtime.quantization.type is QuantizationType.NONE


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
        found: _Verdict | Refusal = _traced(spec, facts, fleet, trace, experience)
    else:
        found = _compared(spec, facts, fleet, experience, only_asks=True)
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
        unavailable=found.unavailable,
        reason=found.reason,
        message=found.message,
        fallbacks=found.fallbacks,
        lesson=found.lesson,
    )


@dataclass(frozen=True, slots=True)
class _Verdict:
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


def _compared(
    spec: Spec, facts: Facts, fleet: Fleet | None, experience: Experience, *, only_asks: bool
) -> _Verdict | Refusal:
    if isinstance(facts.architecture, str) or facts.config is None:
        return _not_estimated(_with_way(spec, facts, str(facts.architecture)), None, ())
    wanted = demand(spec, facts.architecture, facts.config, only_asks=only_asks, experience=experience)
    if isinstance(wanted, Impossible):
        return Refusal(wanted.reason, wanted.message)
    on_cpu = spec.resources.gpus_per_node == 0
    kinds: tuple[NodeType, ...] = () if fleet is None else (fleet.cpu,) if on_cpu else fleet.gpu

    def need(gpu: Gpu | None) -> Need | Unknown:
        known = wanted.need_on(gpu)
        return Unknown(_with_way(spec, facts, known.reason)) if isinstance(known, Unknown) else known

    asked = replace(wanted.asked(), need=need, weights=facts.weights)
    if only_asks:
        asked = replace(asked, most=most_of_both(wanted))
    compared = verdicts.compare(asked, kinds)
    gpus = {None} if on_cpu else _gpus(kinds, compared.answers)
    plain = wanted.need_on(gpus.pop() if len(gpus) == 1 else Gpu())
    if isinstance(plain, Unknown):
        return _not_estimated(_with_way(spec, facts, plain.reason), wanted.resolved, compared.answers)
    found = replace(_found(wanted.resolved, plain, fleet, compared.answers), lesson=_lesson(wanted, kinds))
    surely = any(answer.verdict is Verdict.FITS for answer in found.node_types)
    # Without its weights it runs nowhere, whatever else were changed.
    lost = facts.weights is not None and facts.weights.there is False
    needless = surely or lost or not found.node_types
    return found if needless else replace(found, fallbacks=fallbacks(wanted, compared.grounds))


def _unrunnable(facts: Facts) -> str:
    """Why the runner cannot build the model, which keeps it from tracing it as well; empty where it can."""
    return facts.architecture.unrunnable if isinstance(facts.architecture, Architecture) else ""


def _with_way(spec: Spec, facts: Facts, why: str) -> str:
    """Why a need is not known, and how it would be."""
    if unrunnable := _unrunnable(facts):
        return f"{why}, and it cannot be traced: {unrunnable}"
    if isinstance(spec, ModelCheckSpec) and spec.estimated_optimizer:
        return f"{why}, and training.optimizer AdamW8Bit and Lion cannot be traced; use another"
    return f"{why}; {TRACE_IT}" if _traceable(spec) else why


def _traced(spec: ModelCheckSpec, facts: Facts, fleet: Fleet | None, trace: Trace, experience: Experience) -> _Verdict:
    """The same from a trace, which is of one shape on every kind of GPU."""
    kinds = () if fleet is None else fleet.gpu
    wanted = TracedDemand(spec, trace, facts.architecture, facts.config, experience)
    answers = verdicts.compare(replace(wanted.asked(), weights=facts.weights), kinds).answers
    plain = traced(trace, spec.model.weights, Gpu())  # what `wattmark trace` says
    found = replace(_found(trace.resolved, plain, fleet, answers), lesson=_lesson(wanted, kinds))
    fields = ["nodeTypes.largestBatchSizePerDevice", "nodeTypes.longestInputTokens"]
    if all(answer.verdict is not Verdict.FITS for answer in answers):
        fields.append("fallbacks")
    missing = tuple(Unavailable(field=f, reason=UnavailableReason.NOT_TRACED, message=ONE_SHAPE) for f in fields)
    return replace(found, unavailable=missing)


def _found(resolved: Resolved | None, plain: Need, fleet: Fleet | None, found: tuple[NodeTypeAnswer, ...]) -> _Verdict:
    if fleet is None:
        message = "nodes were not read, so nothing was compared (on a cluster: nodes.read in the chart's values)"
        return _Verdict(resolved, plain, (), (), None, Reason.NODES_UNKNOWN, message)
    if not found:
        message = "the cluster has no nodes with GPUs now; a node that is added is compared at once"
        return _Verdict(resolved, plain, (), (), None, Reason.NO_GPU_NODES, message)
    return _Verdict(resolved, plain, found, (), *_judged(found))


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


def _judged(found: tuple[NodeTypeAnswer, ...]) -> tuple[bool | None, Reason, str]:
    """Whether it fits anywhere, from the answers, which stand best first."""
    best, total = found[0], len(found)
    fitting = sum(a.verdict in (Verdict.FITS, Verdict.FITS_TIGHT) for a in found)
    if fitting:
        reason = Reason.FITS_ALL if fitting == total else Reason.FITS_SOME
        if all(a.verdict is not Verdict.FITS for a in found):
            reason = Reason.FITS_TIGHT
        return True, reason, f"fits {fitting} of {total} node types; {best.node_type}: {best.message}"
    if best.verdict is Verdict.UNKNOWN:
        return None, Reason.UNKNOWN, f"not known for {best.node_type}: {best.message}"
    # Of those that do not fit, the one with the most to offer is the nearest.
    nearest = found[-1]
    return False, Reason.DOES_NOT_FIT, f"fits none of {total} node types; {nearest.node_type}: {nearest.message}"


def _not_estimated(why: str, resolved: Resolved | None, found: tuple[NodeTypeAnswer, ...]) -> _Verdict:
    message = clean(f"the need is not estimated: {why}")
    cause, _, way = message.rpartition("; ")
    # What would bring it is not to be cut off.
    short = f"{clean(cause, 158 - len(way))}; {way}" if cause and len(way) < 120 else clean(message, 160)
    missing = Unavailable(field="need", reason=UnavailableReason.NOT_PREDICTED, message=short)
    return _Verdict(resolved, None, found, (missing,), None, Reason.NOT_ESTIMATED, message)


def _products(found: tuple[NodeTypeAnswer, ...], fleet: Fleet | None) -> tuple[str, ...] | None:
    """GPU products to which the Pod must be held, because it does not fit others; None where any will do."""
    if fleet is None or all(a.verdict is not Verdict.DOES_NOT_FIT for a in found):
        return None
    possible = {a.node_type for a in found if a.verdict is not Verdict.DOES_NOT_FIT}
    kinds = [kind for kind in fleet.gpu if kind.name in possible]
    labels = {m.node.labels.get(PRODUCT_LABEL) for kind in kinds for m in kind.members if not _without_label(kind, m)}
    labels |= {kind.offer.product for kind in kinds if kind.assumed and kind.offer is not None}
    products = sorted(label for label in labels if label)
    return tuple(products) if products and len(products) == len(labels) else None


def _without_label(kind: NodeType, member: Member) -> bool:
    """Whether the node's GPUs can only be claimed and no label names them: a run that lands there is a lucky one."""
    return kind.offer is not None and kind.offer.claimed and PRODUCT_LABEL not in member.node.labels
