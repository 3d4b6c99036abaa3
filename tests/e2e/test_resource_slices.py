"""GPUs that nodes offer by claim: real ResourceSlices of simulated nodes, and what the operator makes of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.fleet import SIMULATED
from tests.e2e.conftest import OPERATOR_USER, Tool
from tests.e2e.reach import Api, Body, Recorder, Sight
from tests.e2e.space import OURS, Space, condition
from tests.unit.test_fleet_slices import body

from wattmark.api.schema import API_VERSION
from wattmark.cli.command import main

NODES, SLICES = "/api/v1/nodes", "/apis/resource.k8s.io/v1/resourceslices"
CLAIMED, BOTH = "simulated-claimed-1", "simulated-claimed-2"
CLAIMED_TYPE = "simulated-NVIDIA-A100-PCIE-40GB-40GiB-x2-claimed"
ORIGIN = "ResourceSlice of gpu.nvidia.com"


def simulated(name: str, **offered: str) -> Body:
    """A simulated node without any label of its GPUs, which no other test counts on."""
    resources = {"cpu": "16", "memory": "64Gi", "pods": "110", **offered}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, SIMULATED: "true"}},
        "spec": {"taints": [{"key": SIMULATED, "value": "true", "effect": "NoSchedule"}]},
        "status": {"capacity": resources, "allocatable": resources},
    }


def of_node(name: str) -> Body:
    """A ResourceSlice as NVIDIA's driver writes it, of this node."""
    found = body("nvidia")
    found["metadata"]["name"] = f"{name}-gpu"
    found["spec"] |= {"nodeName": name, "pool": {**found["spec"]["pool"], "name": name}}
    return found


@pytest.fixture(scope="module")
def nodes(api: Api) -> Iterator[None]:
    """One node whose GPUs can only be claimed, one that offers them both ways; gone afterwards, with their slices."""
    api.create(NODES, simulated(CLAIMED))
    api.create(NODES, simulated(BOTH, **{"nvidia.com/gpu": "2"}))
    yield
    for name in (CLAIMED, BOTH):
        api.delete(f"{SLICES}/{name}-gpu")
        api.delete(f"{NODES}/{name}")


@pytest.fixture(scope="module")
def checks(space: Space) -> Iterator[Recorder]:
    found = Recorder(space.api, f"{OURS}/namespaces/{space.namespace}/modelchecks")
    yield found
    found.stop()


def check(name: str, model: str, hostname: str) -> Body:
    spec = {"model": {"id": model}, "placement": {"nodeSelector": {"kubernetes.io/hostname": hostname}}}
    return {"apiVersion": API_VERSION, "kind": "ModelCheck", "metadata": {"name": name}, "spec": spec}


def answer(status: Body, node_type: str) -> Body:
    """The answer for one node type; empty where it is not there."""
    return next((a for a in status.get("nodeTypes", []) if a["nodeType"] == node_type), {})


def until(checks: Recorder, name: str, true: Callable[[Body], Any]) -> Body:
    """The first status of a ModelCheck of which this holds."""
    wanted = checks.wait(
        f"{name} answered", lambda s: s.body["metadata"]["name"] == name and bool(true(s.body.get("status", {})))
    )
    status: Body = wanted.body["status"]
    return status


def test_the_operator_may_read_slices_and_not_write_them(kubectl: Tool, release: str) -> None:
    asking = ("auth", "can-i", "--as", OPERATOR_USER)
    allowed = {verb: kubectl.ask(*asking, verb, "resourceslices.resource.k8s.io").ok for verb in ("list", "delete")}
    assert allowed == {"list": True, "delete": False}


def test_a_slice_that_appears_is_answered_with_a_type_that_can_only_be_claimed(
    space: Space, checks: Recorder, nodes: None
) -> None:
    space.api.create(checks_path(space), check("small", "gpt2", CLAIMED))
    space.api.create(checks_path(space), check("large", "meta-llama/Llama-3.1-70B", CLAIMED))
    before = until(checks, "small", lambda status: status.get("nodeTypes"))
    assert answer(before, CLAIMED_TYPE) == {}
    space.api.create(SLICES, of_node(CLAIMED))
    small = until(checks, "small", lambda status: answer(status, CLAIMED_TYPE).get("nodes"))
    told = answer(small, CLAIMED_TYPE)
    print(f"\n{CLAIMED_TYPE}: {told['verdict']} {told['reason']}: {told['message']}")
    assert (told["verdict"], told["fitsNow"], told["reason"]) == ("Unknown", "Unknown", "ClaimedGpu")
    assert (told["offeredFrom"], told["offeredBytes"], told["nodes"]) == (ORIGIN, 40 * 2**30, 1)
    assert "freeGpus" not in told and told["simulated"]
    assert condition({"status": small}, "Fits")["status"] == "Unknown"
    large = until(checks, "large", lambda status: answer(status, CLAIMED_TYPE))
    assert (answer(large, CLAIMED_TYPE)["verdict"], answer(large, CLAIMED_TYPE)["reason"]) == ("DoesNotFit", "Memory")


def test_a_node_that_offers_its_gpus_both_ways_has_them_once_and_their_memory_from_the_slice(
    space: Space, checks: Recorder, nodes: None
) -> None:
    space.api.create(checks_path(space), check("both", "gpt2", BOTH))
    unlabelled = "simulated-unlabelled-unknown-x2"
    before = until(checks, "both", lambda status: answer(status, unlabelled))
    assert answer(before, unlabelled)["verdict"] == "Unknown" and "offeredBytes" not in answer(before, unlabelled)
    space.api.create(SLICES, of_node(BOTH))
    named = CLAIMED_TYPE.removesuffix("-claimed")
    after = until(checks, "both", lambda status: answer(status, named).get("nodes"))
    told = answer(after, named)
    assert (told["verdict"], told["offeredFrom"], told["freeGpus"]) == ("Fits", ORIGIN, 2)
    assert answer(after, unlabelled) == {}


def test_the_command_line_reads_the_same_slices(
    space: Space, kubectl: Tool, nodes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "check.yaml").write_text(yaml.safe_dump(check("small", "gpt2", CLAIMED)))
    for name in ("nodes", "resourceslices"):
        (tmp_path / f"{name}.yaml").write_text(kubectl("get", name, "--output=yaml"))
    files = (f"--nodes={tmp_path / 'nodes.yaml'}", f"--resource-slices={tmp_path / 'resourceslices.yaml'}")
    assert main(["check", f"--file={tmp_path / 'check.yaml'}", *files, "--output=json"]) == 3
    of_command = answer(json.loads(capsys.readouterr().out)["status"], CLAIMED_TYPE)
    of_operator = (space.api.get(f"{checks_path(space)}/small") or {})["status"]
    assert of_command == answer(of_operator, CLAIMED_TYPE)


def test_a_slice_that_goes_takes_its_type_along(space: Space, checks: Recorder, nodes: None) -> None:
    last = checks.of("small")[-1].version
    space.api.delete(f"{SLICES}/{CLAIMED}-gpu")

    def without(sight: Sight) -> bool:
        small = sight.body["metadata"]["name"] == "small" and sight.version > last
        return small and not answer(sight.body["status"], CLAIMED_TYPE)

    checks.wait("small without the type", without)


def checks_path(space: Space) -> str:
    return f"{OURS}/namespaces/{space.namespace}/modelchecks"
