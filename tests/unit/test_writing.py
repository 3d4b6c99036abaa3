"""From the status that is held to the one that is wanted."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattmark.writing import changes, only_drifts


def applied(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, as the API server applies it."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = applied(result.get(key), value)
    return result


# Few keys, so that they meet; no null, for status holds none.
KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers(-1, 2) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=3),
)
OBJECTS = st.dictionaries(KEYS, VALUES)


@given(OBJECTS, OBJECTS)
def test_the_patch_leads_from_the_old_to_the_new(old: dict[str, Any], new: dict[str, Any]) -> None:
    patch = changes(old, new)
    assert applied(old, patch) == new
    assert (patch == {}) == (old == new)


CHANGES = [
    pytest.param({"a": 1}, {"a": 1}, {}, id="nothing for what is equal"),
    pytest.param(
        {"a": {"b": 1, "c": 1}}, {"a": {"b": 2, "c": 1}}, {"a": {"b": 2}}, id="only what differs, at any depth"
    ),
    pytest.param({"a": 1, "b": 1}, {"b": 1}, {"a": None}, id="null removes"),
    pytest.param({"a": [1, 2]}, {"a": [1]}, {"a": [1]}, id="lists are replaced whole"),
    pytest.param({}, {"a": []}, {"a": []}, id="an empty list is said"),
]


@pytest.mark.parametrize(("old", "new", "patch"), CHANGES)
def test_changes(old: dict[str, Any], new: dict[str, Any], patch: dict[str, Any]) -> None:
    assert changes(old, new) == patch


def status(message: str, reason: str = "Unschedulable", **rest: Any) -> dict[str, Any]:
    return {"conditions": [{"type": "Running", "reason": reason, "message": message}], **rest}


DRIFTS = [
    pytest.param(status("0/3 nodes"), status("0/4 nodes"), True, id="the scheduler's words"),
    pytest.param(status("a"), status("a", reason="Scheduled"), False, id="another reason"),
    pytest.param(status("a"), status("b", observedGeneration=2), False, id="another generation"),
    pytest.param({}, status("a"), False, id="a first condition"),
    pytest.param(status("a", progress={"percent": 1}), status("a", progress={"percent": 2}), False, id="progress"),
]


@pytest.mark.parametrize(("old", "new", "drifts"), DRIFTS)
def test_only_drifts(old: dict[str, Any], new: dict[str, Any], drifts: bool) -> None:
    assert only_drifts(old, new) is drifts
