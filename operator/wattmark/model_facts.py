"""What is known of a model before anything runs: from the registry, a manifest, or what a hub gave. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from wattmark import models
from wattmark.api.conditions import Reason
from wattmark.api.model import ModelSpec, SourceType, Weights
from wattmark.fit.checks import WeightsSeen
from wattmark.models import Architecture, Head, KnownModel, Unsupported
from wattmark.observe import clean

MOST_CONFIG_BYTES = 100_000  # it travels in an environment variable, of which Linux takes 128 KiB
MOST_MEMBERS = 6  # of a family are named, the smallest


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no sense in starting: known without taking any GPU."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a model. `architecture` is a sentence where only the runner can read the configuration.

    That is so where the operator has none, and where it is of a type that only transformers itself knows.
    `weights` is what the hub said of its pretrained weights, None where it was not asked for them.
    """

    architecture: Architecture | str
    config: str | None
    weights: WeightsSeen | None = None


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


def weights_of_hub(model: ModelSpec) -> tuple[str, str | None] | None:
    """Id and revision of the weights that a hub has to be asked for; None where a run downloads none, or needs a token.

    Where `wanted_of_hub` asks, its answer says that they are there.
    """
    source = model.source
    known = source is None or source.type is SourceType.REGISTRY
    return (model.id, None) if known and model.weights is Weights.PRETRAINED and not wanted_of_hub(model) else None


def facts(model: ModelSpec, hub: Mapping[str, Any] | str | None) -> Facts | Refusal:
    """The model's facts. `hub` is the configuration that the hub gave, or why it has none, where it was asked."""
    if isinstance(hub, str):
        return Refusal(Reason.UNKNOWN_MODEL, f"{hub}{meant_by(model)}")
    if hub is not None:
        return of_config(hub)
    source = model.source
    if source is not None and source.inline is not None:
        try:
            config = json.loads(source.inline.config)
        except (ValueError, RecursionError) as error:
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


def meant_by(model: ModelSpec) -> str:
    """What an unknown id may have meant, as the end of a sentence; empty where nothing is like it.

    A family's name means none of its sizes: they are named, and none is taken for it.
    """
    members = sorted(models.family(model.id), key=_size)
    if members:
        more = len(members) - MOST_MEMBERS
        rest = f" and {more} more" if more > 0 else ""
        return f"; of that name there are {', '.join(one.id for one in members[:MOST_MEMBERS])}{rest}: say which"
    meant = models.similar(model.id)
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _size(model: KnownModel) -> int:
    read = models.architecture(model.config)
    return models.parameters(read, Head.BASE).total if isinstance(read, Architecture) else 0


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
    try:
        return _of_text(_json(config))
    except RecursionError:
        return unreadable("the model's configuration is nested too deeply")


# Read once, however often it is asked about: what is reckoned for an architecture is remembered by which one it is.
@lru_cache(256)
def _of_text(text: str) -> Facts | Refusal:
    config = json.loads(text)
    found: Architecture | Unsupported | str = models.architecture(config)
    if not models.listed(config):
        found = clean(f"the closed form does not describe a model of type {config['model_type']!r:.60}", 128)
    if isinstance(found, Unsupported):
        return Refusal(Reason.UNSUPPORTED_MODEL, clean(f"the model's configuration is not supported: {found}", 512))
    text = compact(config, MOST_CONFIG_BYTES)
    if len(text) > MOST_CONFIG_BYTES:
        return Refusal(
            Reason.UNSUPPORTED_MODEL,
            f"the model's configuration has {len(text)} bytes; more than {MOST_CONFIG_BYTES} cannot be handed to a "
            "runner",
        )
    return Facts(found, text)


def compact(config: Mapping[str, Any], most_bytes: int) -> str:
    """A configuration as JSON, where that is too long without the names of classes: only their number is read."""
    text = _json(config)
    if len(text) <= most_bytes:
        return text
    labels = config.get("id2label")
    classes = {"num_labels": len(labels)} if isinstance(labels, Mapping) and labels else {}
    return _json({name: config[name] for name in config if name not in ("id2label", "label2id")} | classes)


def _json(config: Mapping[str, Any]) -> str:
    return json.dumps(dict(config), separators=(",", ":"))
