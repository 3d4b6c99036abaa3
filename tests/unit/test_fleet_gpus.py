"""The table of GPU products: found by any spelling, and plausible."""

import json
from importlib.resources import files
from typing import Any

import pytest

from wattmark.fleet.gpus import gpu_product, product_of_instance, short_names

TABLES = json.loads(files("wattmark.fleet").joinpath("gpus.json").read_text("utf-8"))
TABLE = TABLES["products"]


@pytest.mark.parametrize("name", TABLE)
def test_every_product_is_found_with_sound_facts(name: str) -> None:
    found = gpu_product(name.upper())
    assert found is not None and found.name == name
    assert 8 * 1024 <= found.memory_mib <= 512 * 1024
    assert found.name.startswith("AMD") if found.capability is None else (7, 0) <= found.capability <= (13, 0)
    assert found.source.startswith("https://")
    for other in (found.short, *TABLE[name].get("names", ())):
        assert gpu_product(other) == found


def test_no_other_name_stands_for_two_products() -> None:
    names = [
        name
        for product, facts in TABLE.items()
        for name in {product.lower(), facts["short"].lower(), *facts.get("names", ())}
    ]
    assert len(set(names)) == len(names)


def test_an_unknown_product_is_not_guessed() -> None:
    assert gpu_product("NVIDIA-A100-SXM4-79GB") is None
    assert gpu_product("") is None


LEAST = (
    "T4 V100-16GB V100-32GB A10 A100-40GB A100-80GB L4 L40S RTX-3090 RTX-4090 RTX-6000-Ada H100-PCIe H100-SXM H200 "
    "B200 MI250 MI300X"
)


@pytest.mark.parametrize("short", LEAST.split())
def test_what_people_ask_for_has_a_short_name(short: str) -> None:
    assert short in short_names()


@pytest.mark.parametrize(
    ("instance_type", "name"),
    [
        ("p5.48xlarge", "NVIDIA-H100-80GB-HBM3"),
        ("p4d.24xlarge", "NVIDIA-A100-SXM4-40GB"),
        ("Standard_NC4as_T4_v3", "Tesla-T4"),
        ("p4de.24xlarge", "NVIDIA-A100-SXM4-80GB"),
        ("p5en.48xlarge", "NVIDIA-H200"),
        ("p6-b200.48xlarge", "NVIDIA-B200"),
        ("g6e.xlarge", "NVIDIA-L40S"),
        ("g6f.large", None),  # a part of a GPU
        ("Standard_NC40ads_H100_v5", "NVIDIA-H100-NVL"),
        ("Standard_ND96isr_MI300X_v5", "AMD-Instinct-MI300X"),
        ("Standard_NC6s_v3", "Tesla-V100-PCIE-16GB"),
        ("Standard_NC24s_v3", "Tesla-V100-PCIE-16GB"),
        ("Standard_NV36ads_A10_v5", "NVIDIA-A10"),
        ("Standard_NV72ads_A10_v5", "NVIDIA-A10"),
        ("Standard_NV18ads_A10_v5", None),  # a part of a GPU
        ("m5.large", None),
        ("", None),
    ],
)
def test_a_cloud_s_machine_has_a_product(instance_type: str, name: str | None) -> None:
    found = product_of_instance(instance_type)
    assert (found and found.name) == name


@pytest.mark.parametrize("cloud", TABLES["instanceTypes"], ids=lambda cloud: cloud["source"])
def test_machines_name_products_of_the_table(cloud: dict[str, Any]) -> None:
    assert cloud["source"].startswith("https://")
    assert set(cloud["products"].values()) <= set(TABLE)
