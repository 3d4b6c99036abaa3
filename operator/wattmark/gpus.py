"""GPU products whose memory is known without a label that says it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True)
class GpuProduct:
    """One product: memory in MiB as the driver reports it, and CUDA compute capability."""

    name: str
    memory_mib: int
    capability: tuple[int, int]


@cache
def _products() -> Mapping[str, GpuProduct]:
    table = json.loads(files("wattmark").joinpath("gpus.json").read_text("utf-8"))["products"]
    found: dict[str, GpuProduct] = {}
    for name, facts in table.items():
        major, minor = facts["capability"].split(".")
        product = GpuProduct(name, facts["memoryMiB"], (int(major), int(minor)))
        found.update(dict.fromkeys([name.lower(), *facts.get("names", ())], product))
    return found


def gpu_product(name: str) -> GpuProduct | None:
    """The product of this name, as feature discovery or a cloud writes it; None where the table has none."""
    return _products().get(name.lower())
