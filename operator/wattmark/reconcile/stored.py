"""What is stored in one of our objects, read: its identity, its spec, its status. Nothing here asks the API server."""

import json
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from wattmark import observe
from wattmark.api.conditions import ConditionType
from wattmark.api.schema import Model
from wattmark.decide.plan import Identity
from wattmark.identity import Key

_LOG = logging.getLogger(__name__)
S = TypeVar("S", bound=Model)


def identity(key: Key, body: Mapping[str, Any]) -> Identity:
    """Which object this is."""
    metadata = observe.mapping(body.get("metadata"))
    return Identity(
        namespace=key.namespace,
        name=key.name,
        uid=observe.text(metadata.get("uid")),
        generation=int(metadata.get("generation", 0)),
        created=observe.epoch(metadata.get("creationTimestamp")) or 0.0,
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def spec(kind: type[S], raw: object) -> S | str:
    """The spec, or a sentence that names the first field that cannot be read."""
    try:
        return kind.read(raw or {}, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return observe.clean(f"spec.{where}: {first['msg']}; correct it and create the object anew")


def status(kind: type[S], raw: object) -> S | None:
    """The status as stored; an empty one where an unknown release wrote what cannot be read.

    None where what cannot be read tells of the end of a run: it is left alone, for it must not run again.
    """
    try:
        return kind.read(raw or {}, extra="ignore")
    except ValidationError as error:
        _LOG.warning("a stored status cannot be read: %s", json.dumps(str(error))[:500])
        ends = (ConditionType.COMPLETE.value, ConditionType.FAILED.value)
        stored = observe.items(observe.mapping(raw).get("conditions"))
        return None if any(c.get("type") in ends and c.get("status") == "True" for c in stored) else kind()
