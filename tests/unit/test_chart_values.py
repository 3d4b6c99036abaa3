"""The chart's values, their schema, its README and the package agree."""

import json
import tomllib
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "wattmark"
FREE = {"affinity", "resources", "nodeSelector", "podLabels", "podAnnotations"}  # Kubernetes' own shapes


def _yaml(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CHART / name).read_text(encoding="utf-8"))
    return content


def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    return schema


def _paths(values: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, value in values.items():
        found.add(prefix + key)
        if isinstance(value, dict) and key not in FREE:
            found |= _paths(value, f"{prefix}{key}.")
    return found


def _schema_paths(schema: dict[str, Any], prefix: str = "") -> set[str]:
    found: set[str] = set()
    for key, child in schema.get("properties", {}).items():
        found |= {prefix + key} | _schema_paths(child, f"{prefix}{key}.")
    return found


def _open_objects(schema: dict[str, Any], path: str = "") -> set[str]:
    inner = {p for key, child in schema.get("properties", {}).items() for p in _open_objects(child, f"{path}.{key}")}
    return inner | ({path} if schema.get("properties") and schema.get("additionalProperties") is not False else set())


def test_every_value_has_a_schema_and_every_schema_a_default() -> None:
    assert _schema_paths(_schema()) - {"global"} == _paths(_yaml("values.yaml"))


def test_the_schema_is_closed_so_that_a_misspelt_value_is_refused() -> None:
    assert _open_objects(_schema()) == set()


def test_every_value_says_what_it_is() -> None:
    def silent(schema: dict[str, Any], path: str) -> set[str]:
        own = set() if schema.get("description") else {path}
        return own | {p for k, c in schema.get("properties", {}).items() for p in silent(c, f"{path}.{k}")}

    assert silent(_schema(), "values") == set()


def test_the_readme_names_every_value() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    assert [key for key in _yaml("values.yaml") if f"`{key}" not in readme] == []


def test_chart_and_package_have_one_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    chart = _yaml("Chart.yaml")
    assert (chart["version"], chart["appVersion"]) == (version, version)
