"""The table of GPU products: found by any spelling, and plausible."""

import json
from importlib.resources import files

import pytest

from wattmark.gpus import gpu_product

TABLE = json.loads(files("wattmark").joinpath("gpus.json").read_text("utf-8"))["products"]


@pytest.mark.parametrize("name", TABLE)
def test_every_product_is_found_with_sound_facts(name: str) -> None:
    found = gpu_product(name.upper())
    assert found is not None and found.name == name
    assert 8 * 1024 <= found.memory_mib <= 512 * 1024
    assert (6, 0) <= found.capability <= (13, 0)
    for other in TABLE[name].get("names", ()):
        assert gpu_product(other) == found


def test_no_other_name_stands_for_two_products() -> None:
    names = [name for product, facts in TABLE.items() for name in {product.lower(), *facts.get("names", ())}]
    assert len(set(names)) == len(names)


def test_an_unknown_product_is_not_guessed() -> None:
    assert gpu_product("NVIDIA-A100-SXM4-79GB") is None
    assert gpu_product("") is None
