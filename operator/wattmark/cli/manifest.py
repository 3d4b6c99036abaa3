"""Manifests from files: read, checked against the one schema, and statuses printed."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from wattmark.api.schema import API_VERSION, OWN_NAME, OWN_NAME_LENGTH, OWN_NAME_MESSAGE, Model
from wattmark.cli.misspelt import said
from wattmark.observe import clean

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without libyaml, with which thousands of nodes take minutes
    from yaml import SafeLoader  # type: ignore[assignment]

S = TypeVar("S", bound=Model)


class InvalidManifest(Exception):  # noqa: N818 - the user's, not ours
    """A file or an argument cannot be used; the message names it, the field and the cause."""


class _Loader(SafeLoader):
    """Takes a field once, as kubectl does: of two, the second would count and the first be passed over."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping. Raises ConstructorError if a key is in it twice."""
        pairs = node.value if isinstance(node, yaml.MappingNode) else []  # a tag can call anything a mapping
        keys = [key.value for key, _ in pairs if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        if len(set(keys)) != len(keys):
            twice = next(key for key in keys if keys.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is there twice", node.start_mark)
        return super().construct_mapping(node, deep)


def readable(path: Path) -> str:
    """The file's text. Raises InvalidManifest."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise InvalidManifest(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidManifest(f"{path} is not YAML: {error}") from error


def documents(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML or JSON file; the items of a List each for itself."""
    text = readable(path)
    try:
        loaded = [d for d in _loaded(text) if d is not None]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidManifest(f"{path} is not YAML: {clean(' '.join(str(error).split()), 512)}") from error
    if not loaded:
        raise InvalidManifest(f"{path} is empty")
    return objects(loaded, str(path))


def _loaded(text: str) -> list[Any]:
    """What the text holds. JSON is read as such, for that is quicker; what is none may be YAML all the same."""
    if text.lstrip().startswith("{"):
        with suppress(ValueError, RecursionError):
            return [json.loads(text, object_pairs_hook=_each_once)]
    return list(yaml.load_all(text, _Loader))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises ValueError if a key is in it twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is there twice")
    return found


def objects(loaded: list[Any], where: str) -> list[dict[str, Any]]:
    """The objects among what was loaded from somewhere; the items of a List each for itself."""
    found: list[dict[str, Any]] = []
    for document in loaded:
        items = document.get("items") if isinstance(document, dict) else None
        found.extend(items if isinstance(items, list) else [document])
    if not all(isinstance(item, dict) for item in found):
        raise InvalidManifest(f"{where} holds something that is not an object")
    return found


def of_kind(path: Path, kind: str, version: str = "v1") -> list[dict[str, Any]]:
    """The objects of one kind in a file. Raises InvalidManifest where there is none: it is another file than was meant.

    An empty List, as kubectl prints it where a cluster has none, is fine.
    """
    there = documents(path)
    found = [body for body in there if body.get("kind") == kind]
    if there and not found:
        raise InvalidManifest(f"{path} holds no {kind}, but {_kinds(there)}")
    other = next((body.get("apiVersion") for body in found if body.get("apiVersion", version) != version), None)
    if other is not None:
        raise InvalidManifest(f"{path}: apiVersion of a {kind} must be {version}, not {clean(other, 64)}")
    return found


def _kinds(there: list[dict[str, Any]]) -> str:
    """What kinds of object there are, as a part of a sentence."""
    return ", ".join(sorted({clean(body.get("kind", "objects without a kind"), 64) for body in there})[:4])


def one(path: Path, kind: str, spec: type[S]) -> tuple[str, S]:
    """Name and spec of the file's only object of a kind. Unknown fields are refused, as kubectl does."""
    there = documents(path)
    found = [d for d in there if d.get("kind") == kind]
    if len(found) != 1:
        beside = f" (there is {_kinds(there)})" if there and not found else ""
        raise InvalidManifest(f"{path} must hold exactly one {kind}, and holds {len(found)}{beside}")
    return _read(path, kind, spec, found[0])


def every(path: Path, kind: str, spec: type[S]) -> list[tuple[str, S]]:
    """Names and specs of the file's objects of a kind, of which there is at least one; other objects are passed by."""
    found = of_kind(path, kind, API_VERSION)
    if not found:
        raise InvalidManifest(f"{path} holds no {kind}")
    return [_read(path, kind, spec, manifest) for manifest in found]


def _read(path: Path, kind: str, spec: type[S], manifest: dict[str, Any]) -> tuple[str, S]:
    if manifest.get("apiVersion") != API_VERSION:
        raise InvalidManifest(f"{path}: apiVersion must be {API_VERSION}")
    read = checked(spec, manifest.get("spec") or {}, f"{path} is not a valid {kind}")
    metadata = manifest.get("metadata") or {}
    name = metadata.get("name", "unnamed") if isinstance(metadata, dict) else None
    if not isinstance(name, str) or len(name) > OWN_NAME_LENGTH or not re.fullmatch(OWN_NAME, name):
        raise InvalidManifest(f"{path}: {OWN_NAME_MESSAGE}")
    return name, read


def checked(spec: type[S], raw: object, complaint: str) -> S:
    """The spec, read strictly. Raises InvalidManifest, which begins with the complaint and names each field."""
    try:
        return spec.read(raw)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(('spec', *map(str, e['loc'])))}: {said(e, spec)}" for e in error.errors(include_url=False)
        ]
        raise InvalidManifest(f"{complaint}:\n" + "\n".join(lines)) from error
    except (ValueError, RecursionError) as error:  # an alias within what it stands for
        raise InvalidManifest(f"{complaint}: {error}") from error


def shown(kind: str, name: str, status: Model, spec: Model | None = None) -> dict[str, Any]:
    """An object with its status, as `kubectl get` shows it; with the spec that was asked about, if one is given."""
    asked = {} if spec is None else {"spec": spec.wire()}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, **asked, "status": status.wire()}


def printed(objects: list[dict[str, Any]], form: str) -> str:
    """One object, or a List of several, as YAML or JSON."""
    what = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
    if form == "json":
        return json.dumps(what, indent=2)
    return str(yaml.safe_dump(what, sort_keys=False, allow_unicode=True)).rstrip()
