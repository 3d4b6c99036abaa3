"""GPU products: memory and compute capability where no label says them, and short names for the command line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class GpuProduct:
    """One product: memory in MiB as the driver shows it, CUDA compute capability (None: not NVIDIA's), and source."""

    name: str
    short: str
    memory_mib: int
    capability: tuple[int, int] | None
    source: str


@cache
def _table() -> Mapping[str, Any]:
    table: dict[str, Any] = json.loads(files("wattmark.fleet").joinpath("gpus.json").read_text("utf-8"))
    return table


@cache
def _products() -> Mapping[str, GpuProduct]:
    found: dict[str, GpuProduct] = {}
    for name, facts in _table()["products"].items():
        capability = facts.get("capability")
        product = GpuProduct(
            name=name,
            short=facts["short"],
            memory_mib=facts["memoryMiB"],
            capability=None if capability is None else (int(capability[:-2]), int(capability[-1])),
            source=facts["source"],
        )
        found.update(dict.fromkeys([name.lower(), product.short.lower(), *facts.get("names", ())], product))
    return found


def gpu_product(name: str) -> GpuProduct | None:
    """The product of this name, as feature discovery, a cloud or a person writes it; None where the table has none."""
    return _products().get(name.lower())


@cache
def product_of_instance(instance_type: str) -> GpuProduct | None:
    """The product in a cloud's machines of this type; None where the table has none, or where they differ."""
    for cloud in _table()["instanceTypes"]:
        for pattern, name in cloud["products"].items():
            if fnmatchcase(instance_type, pattern):
                return gpu_product(name)
    return None


def short_names() -> tuple[str, ...]:
    """Every product's short name."""
    return tuple(facts["short"] for facts in _table()["products"].values())
