"""From the status that is held to the one that is wanted: the merge patch, and whether it is worth a write. Pure."""

from collections.abc import Mapping
from typing import Any


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from old to new; empty where they are equal. Lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if before == value:
            continue
        patch[key] = changes(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return patch


def only_drifts(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether nothing but the messages of conditions differs: the scheduler rewords its own at every node event."""
    return _without_messages(old) == _without_messages(new)


def _without_messages(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [{k: v for k, v in c.items() if k != "message"} for c in status.get("conditions", ())]
    return {**status, "conditions": conditions}
