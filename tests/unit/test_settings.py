"""Settings: defaults, what each variable takes, and words for one that cannot be read."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from wattmark.fleet.gpus import GpuProduct, gpu_product
from wattmark.fleet.nodes import AssumedNodes
from wattmark.settings import InvalidSetting, Settings, from_environment


def known(name: str) -> GpuProduct:
    product = gpu_product(name)
    assert product is not None
    return product


IMAGE = {"WATTMARK_RUNNER_IMAGE": "runner:1"}

READ = [
    pytest.param({}, {}, id="defaults"),
    pytest.param({"NAMESPACE": "", "LOG_LEVEL": ""}, {}, id="empty counts as unset"),
    pytest.param({"RUNNER_PULL_POLICY": "Always"}, {"runner_pull_policy": "Always"}, id="pull policy"),
    pytest.param({"IMAGE_PULL_SECRETS": "one, two,"}, {"image_pull_secrets": ("one", "two")}, id="a list by commas"),
    pytest.param({"NAMESPACE": "team"}, {"namespace": "team"}, id="one namespace"),
    pytest.param({"READ_NODES": "false"}, {"read_nodes": False}, id="nodes not read"),
    pytest.param({"READ_ALL_PODS": "false"}, {"read_all_pods": False}, id="Pods of others not read"),
    pytest.param({"HUB_ENDPOINT": "https://hub"}, {"hub_endpoint": "https://hub"}, id="a hub"),
    pytest.param({"PROGRESS_SECONDS": "0"}, {"progress_seconds": 0.0}, id="progress switched off"),
    pytest.param(
        {"ASSUMED_NODE_TYPES": '[{"product": "H100-SXM", "gpus": 8}, {"product": "NVIDIA-L4", "gpus": 1}]'},
        {"assumed_node_types": (AssumedNodes(known("NVIDIA-H100-80GB-HBM3"), 8), AssumedNodes(known("L4"), 1))},
        id="node types that an autoscaler adds",
    ),
    pytest.param(
        {"EVIDENCE_NAMESPACES": "perf, lab"}, {"evidence_namespaces": ("perf", "lab")}, id="whose runs all learn from"
    ),
    pytest.param({"LOG_LEVEL": "DEBUG"}, {"log_level": "DEBUG"}, id="log level"),
    pytest.param({"HEALTH_PORT": "9090"}, {"health_port": 9090}, id="port"),
]


@pytest.mark.parametrize(("given", "changed"), READ)
def test_what_is_read(given: dict[str, str], changed: dict[str, Any]) -> None:
    environment = IMAGE | {f"WATTMARK_{name}": value for name, value in given.items()}
    assert from_environment(environment | {"OTHER": "x"}) == Settings("runner:1", **changed)


BROKEN = [
    ("RUNNER_IMAGE", "", "image"),
    ("RUNNER_PULL_POLICY", "Sometimes", "Always, IfNotPresent or Never"),
    ("READ_NODES", "yes", "true or false"),
    ("READ_ALL_PODS", "True", "true or false"),
    ("PROGRESS_SECONDS", "-1", "seconds from 0 to 3600"),
    ("PROGRESS_SECONDS", "nan", "seconds from 0 to 3600"),
    ("PROGRESS_SECONDS", "5s", "seconds from 0 to 3600"),
    ("ASSUMED_NODE_TYPES", "H100", "a JSON list"),
    ("ASSUMED_NODE_TYPES", "{}[", "a JSON list"),
    ("ASSUMED_NODE_TYPES", "[1]", "a JSON list"),
    ("ASSUMED_NODE_TYPES", '[{"product": "L4"}]', "a JSON list"),
    ("ASSUMED_NODE_TYPES", '[{"product": "GTX-970", "gpus": 1}]', "not in the table of products, which has T4"),
    ("ASSUMED_NODE_TYPES", '[{"product": "L4", "gpus": 0}]', "not a number from 1"),
    ("ASSUMED_NODE_TYPES", '[{"product": "L4", "gpus": "many"}]', "not a number from 1"),
    ("EVIDENCE_NAMESPACES", "perf lab", "names of namespaces, with commas"),
    ("EVIDENCE_NAMESPACES", "Perf", "names of namespaces, with commas"),
    ("EVIDENCE_NAMESPACES", "a" * 64, "names of namespaces, with commas"),
    ("LOG_LEVEL", "chatty", "DEBUG"),
    ("HEALTH_PORT", "0", "a port number"),
    ("HEALTH_PORT", "65536", "a port number"),
    ("HEALTH_PORT", "http", "a port number"),
]


@pytest.mark.parametrize(("name", "value", "takes"), BROKEN)
def test_what_cannot_be_read_is_named_with_what_it_takes(name: str, value: str, takes: str) -> None:
    with pytest.raises(InvalidSetting) as refusal:
        from_environment(IMAGE | {f"WATTMARK_{name}": value})
    assert f"WATTMARK_{name}" in str(refusal.value) and takes in str(refusal.value)


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings("runner:1").workers = 1  # type: ignore[misc]
