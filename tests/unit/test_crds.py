"""The CRDs: generated, committed, structural, bounded, described."""

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from wattmark.api.schema import GROUP
from wattmark.crds import KINDS, Kind, crd, outputs

ROOT = Path(__file__).parents[2]
Node = dict[str, Any]
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


@cache
def generated() -> dict[Path, str]:
    return outputs(ROOT)


def test_the_committed_files_are_the_generated_ones() -> None:
    stale = [path for path, text in generated().items() if path.read_text(encoding="utf-8") != text]
    assert stale == [], "run: make generate"


@of_each_kind
def test_the_charts_copy_differs_only_in_being_kept(kind: Kind) -> None:
    texts = {path.parts[-2]: text for path, text in generated().items() if kind.plural in path.name}
    templated = "\n".join(line for line in texts["templates"].splitlines() if not line.startswith("{{"))
    in_chart = yaml.safe_load(templated)
    assert in_chart["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert in_chart == yaml.safe_load(texts["crds"])
    assert "{{" not in templated  # nothing in a description is taken for a template


@cache
def root(kind: Kind) -> Node:
    schema: Node = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: Node, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every schema in a schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], path + mark)


# What the API server's structural schemas know, less what it takes only with conditions.
KNOWN = {
    *("type", "description", "properties", "required", "items", "enum", "format", "pattern", "default"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "maxProperties", "additionalProperties"),
    *("x-kubernetes-validations", "x-kubernetes-int-or-string", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
    "x-kubernetes-map-type",
}
# Of the API server's own; it holds and describes them itself.
OF_EVERY_OBJECT = {".apiVersion", ".kind", ".metadata"}


def _known_words(node: Node) -> bool:
    return set(node) <= KNOWN


def _typed(node: Node) -> bool:
    return "type" in node or node.get("x-kubernetes-int-or-string") is True


def _not_open_and_closed_at_once(node: Node) -> bool:
    return not {"properties", "additionalProperties"} <= set(node)


def _bounded_string(node: Node) -> bool:
    return node.get("type") != "string" or bool({"maxLength", "enum"} & set(node))


def _bounded_number(node: Node) -> bool:
    """A number within two bounds; a whole one is an int64, so that a lower one will do."""
    bounds = {"minimum", "maximum"} & set(node)
    return {"number": len(bounds) == 2, "integer": "minimum" in bounds and node.get("format") == "int64"}.get(
        node.get("type", ""), True
    )


def _bounded_list(node: Node) -> bool:
    return node.get("type") != "array" or ("maxItems" in node and "x-kubernetes-list-type" in node)


def _bounded_map(node: Node) -> bool:
    return "additionalProperties" not in node or "maxProperties" in node


def _list_by_a_required_key(node: Node) -> bool:
    keys = node.get("x-kubernetes-list-map-keys", [])
    return set(keys) <= set(node.get("items", {}).get("required", []))


def _portable_pattern(node: Node) -> bool:
    """RE2 knows no look-around and no references back; without anchors a pattern bounds nothing."""
    pattern = node.get("pattern", "^$")
    return pattern.startswith("^") and pattern.endswith("$") and not re.search(r"\(\?[=!<]|\\[1-9]", pattern)


LAWS: list[Callable[[Node], bool]] = [
    _known_words,
    _typed,
    _not_open_and_closed_at_once,
    _bounded_string,
    _bounded_number,
    _bounded_list,
    _bounded_map,
    _list_by_a_required_key,
    _portable_pattern,
]


@of_each_kind
@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__.strip("_"))
def test_the_schema_keeps(kind: Kind, law: Callable[[Node], bool]) -> None:
    assert [path for path, node in nodes(root(kind)) if path not in OF_EVERY_OBJECT and not law(node)] == []


@of_each_kind
def test_every_field_is_described_in_sentences(kind: Kind) -> None:
    undescribed = [
        path
        for path, node in nodes(root(kind))
        if path not in OF_EVERY_OBJECT and not path.endswith(("[]", "{}")) and not node.get("description", "").strip()
    ]
    assert undescribed == []


UNITS = {
    "Bytes": "byte",
    "Seconds": "econds",
    "Joules": "oules",
    "Watts": "watts",
    "Pixels": "pixels",
    "PerSecond": "per second",
    "Megahertz": "megahertz",
}


@of_each_kind
def test_a_unit_in_a_name_is_in_its_description(kind: Kind) -> None:
    silent = [
        path
        for path, node in nodes(root(kind))
        for unit, word in UNITS.items()
        if path.endswith(unit) and node.get("type") in ("integer", "number") and word not in node["description"]
    ]
    assert silent == []


@of_each_kind
def test_every_rule_says_what_is_wrong(kind: Kind) -> None:
    rules = [rule for _, node in nodes(root(kind)) for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    assert all(rule["message"] and rule["rule"] for rule in rules)
    assert all(len(rule["message"]) <= 256 and "\n" not in rule["message"] for rule in rules)


@of_each_kind
def test_columns_point_at_fields_and_stand_for_people(kind: Kind) -> None:
    paths = {path for path, _ in nodes(root(kind))} | {".metadata.creationTimestamp"}
    for column in kind.columns:
        plain = re.sub(r"\[\?\(@\.type=='[A-Za-z]+'\)\]", "[]", column.path)
        assert plain in paths, column
    names = [column.name for column in kind.columns]
    assert len(set(names)) == len(names) and names[-1] == "Age"


@of_each_kind
def test_names_stay_out_of_the_way_of_others(kind: Kind) -> None:
    names = crd(kind)["spec"]["names"]
    assert names["shortNames"] == [kind.short] and kind.short.startswith("w")
    assert names["categories"] == ["wattmark"]
    assert crd(kind)["metadata"]["name"] == f"{kind.plural}.{GROUP}"
    assert crd(kind)["spec"]["scope"] == "Namespaced"


@of_each_kind
def test_client_side_apply_can_hold_it(kind: Kind) -> None:
    assert len(json.dumps(crd(kind))) < 262_144  # the limit of the annotation that kubectl apply writes
