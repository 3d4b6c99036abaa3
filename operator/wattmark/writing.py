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
    """Whether nothing but messages and counts of free GPUs differs.

    The scheduler rewords its message at every node event, and every Pod of the cluster takes or frees a GPU.
    """
    return _without_drift(old) == _without_drift(new)


def _without_drift(status: Mapping[str, Any]) -> dict[str, Any]:
    drifting = ("message", "freeGpus")
    lists = ("conditions", "nodeTypes", "predictions")
    steady = {part: [{k: v for k, v in c.items() if k not in drifting} for c in status.get(part, ())] for part in lists}
    return {**status, **steady}
