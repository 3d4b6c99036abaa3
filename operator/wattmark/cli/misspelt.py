"""A validator's complaint as a user would say it: without its jargon, and with the field that was meant."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any

from pydantic_core import ErrorDetails

from wattmark.api.schema import Model


def said(error: ErrorDetails, spec: type[Model]) -> str:
    """A validator's words, as a user would say it."""
    if error["type"] != "extra_forbidden":
        return error["msg"].removeprefix("Value error, ")
    *path, name = error["loc"]
    fields = _fields(spec, path)
    meant = get_close_matches(str(name), fields, n=1, cutoff=0.7)
    return "no such field; " + (f"did you mean {meant[0]}?" if meant else f"there are {', '.join(fields)}")


def _fields(spec: type[Model], path: Sequence[int | str]) -> list[str]:
    """The names of the fields of the object at this path."""
    schema = spec.model_json_schema(by_alias=True)
    at: Any = schema
    for part in path:
        options = [at, *at.get("anyOf", ()), *at.get("allOf", ())]
        at = next((o for o in map(partial(_resolved, schema), options) if part in o.get("properties", {})), {})
        at = at.get("properties", {}).get(part, {})
    found = (_resolved(schema, o) for o in (at, *at.get("anyOf", ()), *at.get("allOf", ())))
    return sorted(name for option in found for name in option.get("properties", {}))


def _resolved(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    name = part.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else part
