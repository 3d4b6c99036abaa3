"""Manifests from files: read, checked against the one schema, and statuses printed."""

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from wattmark.api.schema import API_VERSION, Model

S = TypeVar("S", bound=Model)


class InvalidManifest(Exception):  # noqa: N818 - the user's, not ours
    """A file cannot be used; the message names it, the field and the cause."""


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML or JSON file; the items of a List each for itself."""
    try:
        loaded = [d for d in yaml.safe_load_all(path.read_text("utf-8")) if d is not None]
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    found: list[dict[str, Any]] = []
    for document in loaded:
        items = document.get("items") if isinstance(document, dict) else None
        found.extend(items if isinstance(items, list) else [document])
    if not all(isinstance(item, dict) for item in found):
        raise InvalidManifest(f"{path} holds something that is not an object")
    return found


def one(path: Path, kind: str, spec: type[S]) -> tuple[str, S]:
    """Name and spec of the file's only object of a kind. Unknown fields are refused, as kubectl does."""
    objects = [d for d in documents(path) if d.get("kind") == kind]
    if len(objects) != 1:
        raise InvalidManifest(f"{path} must hold exactly one {kind}, and holds {len(objects)}")
    manifest = objects[0]
    if manifest.get("apiVersion") != API_VERSION:
        raise InvalidManifest(f"{path}: apiVersion must be {API_VERSION}")
    try:
        checked = spec.read(manifest.get("spec") or {})
    except ValidationError as error:
        lines = [f"  spec.{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors(include_url=False)]
        raise InvalidManifest(f"{path} is not a valid {kind}:\n" + "\n".join(lines)) from error
    return str((manifest.get("metadata") or {}).get("name", "unnamed")), checked


def printed(kind: str, name: str, status: Model, form: str) -> str:
    """An object with its status, as `kubectl get -o yaml|json` shows it."""
    shown = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "status": status.wire()}
    if form == "json":
        return json.dumps(shown, indent=2)
    return str(yaml.safe_dump(shown, sort_keys=False, allow_unicode=True)).rstrip()
