"""Known models: configurations that ship with Wattmark, so that a name is enough and no network is needed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model of the registry: its hub id, other names for it, and its transformers configuration."""

    id: str
    names: tuple[str, ...]
    config: Mapping[str, Any]


@cache
def _models() -> Mapping[str, KnownModel]:
    """All models by id. Read at first use: 40 kB of JSON that the start of a program need not wait for."""
    found: dict[str, KnownModel] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".json"):
            family = json.loads(file.read_text("utf-8"))
            for model_id, entry in family["models"].items():
                config = {**family["defaults"], **entry.get("config", {})}
                found[model_id] = KnownModel(model_id, tuple(entry.get("names", ())), config)
    return found


@cache
def _index() -> Mapping[str, KnownModel]:
    return {name.lower(): model for model in _models().values() for name in (model.id, *model.names)}


def known_ids() -> tuple[str, ...]:
    """The hub ids of all known models."""
    return tuple(_models())


def lookup(name: str) -> KnownModel | None:
    """The model with this hub id or common name, in any case of letters; None if the registry has none."""
    return _index().get(name.strip().lower())


def family(name: str) -> tuple[KnownModel, ...]:
    """The models whose names begin with this one and go on, compared without their owners; none where one ends so.

    A number does not go on with digits, nor a word with letters: `llama-3` is no part of `llama-30b`.
    """
    wanted = _without_owner(name.strip().lower())
    members = {_without_owner(other): model for other, model in _index().items()}
    if wanted in members:
        return ()
    begins = re.compile(re.escape(wanted) + ("(?![0-9])" if wanted[-1:].isdigit() else "(?![a-z])"))
    return tuple({model.id: model for other, model in members.items() if begins.match(other)}.values())


def similar(name: str) -> tuple[str, ...]:
    """Up to three ids that a misspelt name may have meant: compared without their owners, which have many models."""
    known: dict[str, str] = {}
    for other, model in _index().items():
        known.setdefault(_without_owner(other), model.id)
    close = get_close_matches(_without_owner(name.strip().lower()), known, n=3, cutoff=0.7)
    return tuple(dict.fromkeys(known[match] for match in close))


def _without_owner(name: str) -> str:
    return name.rpartition("/")[2]
