"""What is known before a BenchmarkJob runs, and what it runs where it is adapted."""

from dataclasses import dataclass

from wattmark.api.answers import Need, NodeTypeAnswer, Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec, PreflightPolicy
from wattmark.api.conditions import Reason
from wattmark.api.fallback import Fallback
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.order import Resolved
from wattmark.evidence import NO_EXPERIENCE, Experience
from wattmark.fit.fallbacks import with_patch
from wattmark.fleet.nodes import Member, NodeType
from wattmark.model_facts import Facts, Refusal
from wattmark.observe import clean
from wattmark.preflight.comparison import by_formula
from wattmark.preflight.fleet import Fleet
from wattmark.preflight.verdict import Compared
from wattmark.preflight.ways import unrunnable

MOST_PREDICTIONS = 16
PRODUCT_LABEL = "nvidia.com/gpu.product"


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
    if why_not := unrunnable(facts):
        return _refusing(Refusal(Reason.UNSUPPORTED_MODEL, f"the model is known, but cannot be run: {why_not}"))
    run = spec
    if adaptation is not None:
        try:
            run = with_patch(spec, adaptation.patch)
        except ValueError as error:  # pydantic's is one, too
            return _refusing(Refusal(Reason.INVALID_SPEC, clean(f"status.adaptation cannot be applied: {error}", 512)))
    found = by_formula(run, facts, fleet, experience, only_asks=False)
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


def _refusing(refusal: Refusal) -> Preflight:
    return Preflight(None, None, (), (), None, refusal.reason, refusal.message, None, None, refusal)


def _told(found: Compared, policy: PreflightPolicy, adaptation: Fallback | None) -> tuple[bool | None, Reason, str]:
    """What condition ModelFits says."""
    if policy is PreflightPolicy.OFF:
        return None, Reason.CHECK_OFF, "spec.preflight.policy is Off: nothing was compared"
    if adaptation is None or not found.fits:
        return found.fits, found.reason, found.message
    return True, Reason.FITS_ADAPTED, f"adapted, see status.adaptation: {adaptation.message}. With it: {found.message}"


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
