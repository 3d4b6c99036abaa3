"""The questions of `wattmark check` without a file: each model in each format, as a ModelCheck's spec."""

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from wattmark.api.model import MOST_INLINE_CHARACTERS
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.runtime import QuantizationSpec, QuantizationType
from wattmark.cli.manifest import InvalidManifest, checked, readable
from wattmark.fleet.gpus import gpu_product, short_names
from wattmark.fleet.nodes import AssumedNodes

QUANTIZATIONS = {"none": QuantizationType.NONE, "int8": QuantizationType.INT8, "nf4": QuantizationType.NF4}


@dataclass(frozen=True, slots=True)
class Question:
    """One ModelCheck, with the name that its answer bears."""

    name: str
    spec: ModelCheckSpec


def questions(chosen: argparse.Namespace) -> list[Question]:
    """One for each model, precision and quantization. Raises InvalidManifest."""
    config = None if chosen.config is None else _config(chosen.config)
    found = []
    formats = product(chosen.model, chosen.precision or (None,), chosen.quantization or (None,))
    for model, precision, quantization in formats:
        raw = _spec(chosen, model, precision, quantization, config)
        name = "-".join(part for part in (model.rpartition("/")[2], precision, quantization) if part)
        found.append(Question(_object_name(name), checked(ModelCheckSpec, raw, "the question is not valid")))
    return found


def stored_as(quantization: QuantizationSpec | None) -> str:
    """What `--quantization` calls it."""
    if quantization is None:
        return "none"
    name = next(short for short, kind in QUANTIZATIONS.items() if kind is quantization.type)
    options = quantization.bits_and_bytes_nf4
    return f"{name}, double" if options is not None and options.double_quantization else name


def assumed(asked: list[str]) -> tuple[AssumedNodes, ...]:
    """The node types that `--gpu` names, each as NAME or NAME:COUNT. Raises InvalidManifest."""
    found = []
    for one in asked:
        name, _, count = one.partition(":")
        product = gpu_product(name)
        if product is None:
            raise InvalidManifest(f"--gpu {one}: {_meant(name)}")
        if count and not re.fullmatch("[1-9][0-9]?", count):
            raise InvalidManifest(f"--gpu {one}: after the colon stands the number of GPUs of a node, 1 to 99")
        found.append(AssumedNodes(product, int(count or 1)))
    return tuple(found)


def _meant(name: str) -> str:
    """What a name of no GPU may mean: those that begin like it, which differ in memory or in form, else all."""
    alike = [short for short in short_names() if short.upper().startswith(name.upper())]
    return f"say which: {', '.join(alike)}" if name and alike else f"not known; known are {', '.join(short_names())}"


def _spec(
    chosen: argparse.Namespace, model: str, precision: str | None, quantization: str | None, config: str | None
) -> dict[str, Any]:
    raw: dict[str, Any] = {"model": {"id": model}}
    if config is not None:
        raw["model"]["source"] = {"type": "Inline", "inline": {"config": config}}
    member = "training" if chosen.training else "inference"
    tokens = {"inputTokens": chosen.input_tokens, "outputTokens": chosen.output_tokens}
    text = {name: value for name, value in tokens.items() if value is not None}
    shape: dict[str, Any] = {"input": {"text": text}} if text else {}
    if chosen.batch is not None:
        shape["batchSizePerDevice"] = chosen.batch
    raw["workload"] = {"type": member.capitalize(), member: shape}
    runtime: dict[str, Any] = {} if precision is None else {"precision": precision}
    if quantization is not None:
        runtime["quantization"] = {"type": QUANTIZATIONS[quantization].value}
    if runtime:
        raw["runtime"] = runtime
    if chosen.method is not None:
        raw["method"] = chosen.method
    for path, value in _settings(chosen.set):
        if _there(raw, path):
            raise InvalidManifest(f"--set {'.'.join(path)}: an option or another --set says so already")
        if path == ["workload", "type"] and value != raw["workload"]["type"] and not shape:
            raw["workload"] = {}  # what stands for another kind would contradict it
        _put(raw, path, value)
    return raw


def _settings(assignments: list[str]) -> Iterator[tuple[list[str], object]]:
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not all(path.split(".")):
            raise InvalidManifest(f"--set {assignment}: takes a field's path below spec and a value, a.b.c=value")
        try:
            yield path.removeprefix("spec.").split("."), yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidManifest(f"--set {assignment}: the value is not YAML") from error


def _there(raw: object, path: list[str]) -> bool:
    """Whether a value of no object's stands at a path, but for the kind of workload, which has a default."""
    for part in path:
        if not isinstance(raw, dict) or part not in raw:
            return False
        raw = raw[part]
    return not isinstance(raw, dict) and path != ["workload", "type"]


def _put(raw: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        inner = raw.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidManifest(f"--set {'.'.join(path)}: {part} is no object")
        raw = inner
    raw[path[-1]] = value


def _object_name(text: str) -> str:
    """A name that Kubernetes takes for a ModelCheck."""
    name = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:48].rstrip("-")
    return name if re.match("[a-z]", name) else f"m-{name}"[:48]


def _config(path: Path) -> str:
    """A model's config.json, as short as a ModelCheck takes it."""
    from wattmark.model_facts import compact  # late: few questions need it, and it takes a while to import

    try:
        read = json.loads(readable(path))
    except (ValueError, RecursionError) as error:
        raise InvalidManifest(f"{path} is not JSON: {error}") from error
    if not isinstance(read, dict):
        raise InvalidManifest(f"{path} is no model's config.json: it holds no object")
    return compact(read, MOST_INLINE_CHARACTERS)
