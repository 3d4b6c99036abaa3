"""What is known before a run: the model, the need, and the verdict on each node type. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wattmark import models
from wattmark.api.answers import Need, NodeTypeAnswer
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import Reason
from wattmark.api.figures import Unavailable, UnavailableReason
from wattmark.api.order import Resolved
from wattmark.api.workload import ModelSpec, RuntimeSpec, SourceType, WorkloadSpec
from wattmark.estimate import Unknown, need
from wattmark.models import Architecture, Unsupported
from wattmark.models.resolve import Impossible, resolve
from wattmark.observe import clean


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no sense in starting: known without taking any GPU."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model. `architecture` is a sentence where only the runner can read the configuration."""

    architecture: Architecture | str
    config: str | None


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a BenchmarkJob before its run. `fits` is None where it is not known."""

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


def wanted_of_hub(model: ModelSpec) -> tuple[str, str | None] | None:
    """Id and revision that a hub has to be asked for; None where the answer is known without it.

    A gated model is not asked for: the operator holds no token, and must not read the tenant's.
    """
    source = model.source
    if source is None:
        return None if models.lookup(model.id) else (model.id, None)
    if source.type is not SourceType.HUB or source.hub is None or source.hub.token_secret_ref is not None:
        return None
    return model.id, source.hub.revision


def facts(model: ModelSpec, hub: Mapping[str, Any] | str | None) -> Facts | Refusal:
    """The model's facts. `hub` is the configuration that the hub gave, or why it has none, where it was asked."""
    if isinstance(hub, str):
        meant = models.similar(model.id)
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ""
        return Refusal(Reason.UNKNOWN_MODEL, f"{hub}{hint}")
    if hub is not None:
        return of_config(hub)
    source = model.source
    if source is not None and source.inline is not None:
        try:
            config = json.loads(source.inline.config)
        except ValueError as error:
            return unreadable(f"spec.model.source.inline.config is not JSON: {error}")
        return of_config(config)
    if source is not None and source.type is SourceType.PERSISTENT_VOLUME_CLAIM:
        return opaque("its configuration lies on a volume, which only the runner Pod reads")
    if source is not None and source.type is SourceType.HUB:
        return opaque("it is gated: only the runner Pod holds the token that reads its configuration")
    known = models.lookup(model.id)
    if known is None:
        return facts(model, f'"{model.id}" is not in the registry; give source.type Hub or Inline')
    return of_config(known.config)


def opaque(why: str) -> Facts:
    """A model that only the runner can read."""
    return Facts(why, None)


def unreadable(why: str) -> Refusal:
    """A configuration that nobody can read."""
    return Refusal(Reason.UNKNOWN_MODEL, clean(why, 512))


def of_config(config: object) -> Facts | Refusal:
    """The facts in a transformers configuration."""
    if not isinstance(config, Mapping):
        return unreadable("the model's configuration is no JSON object")
    found = models.architecture(config)
    if isinstance(found, Unsupported):
        return Refusal(Reason.UNSUPPORTED_MODEL, clean(f"the model's configuration is not supported: {found}", 512))
    return Facts(found, json.dumps(dict(config), separators=(",", ":")))


def for_benchmark(spec: BenchmarkJobSpec, facts: Facts | Refusal, fleet: None) -> Preflight:
    """All that is known before a BenchmarkJob runs."""
    if isinstance(facts, Refusal):
        return _refused(facts)
    gpus = spec.resources.gpus_per_node
    if isinstance(facts.architecture, str):
        return _not_estimated(facts, None, f"the need is not estimated: {facts.architecture}")
    resolved = resolve(facts.architecture, spec.workload, spec.runtime, gpus)
    if isinstance(resolved, Impossible):
        return _refused(Refusal(resolved.reason, resolved.message))
    wanted = need(facts.architecture, resolved, spec.model.weights, None)
    if isinstance(wanted, Unknown):
        return _not_estimated(facts, resolved, f"the need is not estimated: {wanted.reason}")
    return Preflight(resolved, wanted, (), (), None, Reason.NODES_UNKNOWN, "", facts.config, None)


def _refused(refusal: Refusal) -> Preflight:
    return Preflight(None, None, (), (), None, refusal.reason, refusal.message, None, None, refusal)


def _not_estimated(facts: Facts, resolved: Resolved | None, message: str) -> Preflight:
    missing = Unavailable(field="need", reason=UnavailableReason.NOT_PREDICTED, message=clean(message, 160))
    return Preflight(
        resolved, None, (), (missing,), None, Reason.NOT_ESTIMATED, clean(message), facts.config, None
    )
