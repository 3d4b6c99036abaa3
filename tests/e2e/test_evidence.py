"""What a finished run teaches: the next of the same is foreseen from it, the like is calibrated, nobody else learns."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import Tool
from tests.e2e.reach import Api, Body
from tests.e2e.space import OURS, Space, condition, holds, observed, tiny

from wattmark.cli.command import main

pytestmark = pytest.mark.slow

MIB = 1 << 20
LARGER = {"type": "Inference", "inference": {"batchSizePerDevice": 4, "input": {"text": {"inputTokens": 16}}}}


def foreseen(space: Space, name: str, **changes: object) -> Body:
    """The need of host memory that preflight stores of a BenchmarkJob which is not started."""
    space.start(name, tiny(suspend=True, **changes))
    found = space.says(name, "Suspended", "Suspended").body
    need: Body = found["status"]["need"]["hostBytes"]
    return need


def told(what: str, need: Body) -> None:
    low, likely, high = (need[end] / MIB for end in ("low", "likely", "high"))
    print(f"\n{what}: {low:.0f} to {high:.0f} MiB, likely {likely:.0f} ({need['source']})")


@pytest.fixture(scope="module")
def other(api: Api, kubectl: Tool, release: str) -> Iterator[Space]:
    """Another tenant's namespace."""
    name = f"test-{secrets.token_hex(4)}"
    kubectl("create", "namespace", name)
    with observed(api, name) as found:
        yield found
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def first(space: Space) -> Body:
    """A run of which nothing like it was known before."""
    space.start("first")
    done = space.end("first")
    assert holds(done, "Complete"), done["status"]["conditions"]
    return done


def test_a_second_run_is_foreseen_from_the_first(space: Space, first: Body) -> None:
    before = first["status"]["need"]["hostBytes"]
    took = first["status"]["results"]["memory"]["hostPeakBytes"]
    space.start("second")
    second = space.end("second")
    assert holds(second, "Complete"), second["status"]["conditions"]
    need, again = second["status"]["need"]["hostBytes"], second["status"]["results"]["memory"]["hostPeakBytes"]
    told("before the first", before)
    told(f"the first took {took / MIB:.0f} MiB; before the second", need)
    print(f"the second took {again / MIB:.0f} MiB")
    assert (before["source"], need["source"]) == ("ClosedForm", "Measured")
    assert need["high"] - need["low"] < 0.25 * (before["high"] - before["low"])
    assert need["low"] <= took <= need["high"]
    assert need["low"] <= again <= need["high"]
    (compared,) = second["status"]["comparison"]
    assert compared["withinInterval"] and compared["predictedBytes"]["source"] == "Measured"
    assert {one["source"] for one in second["status"]["predictions"]} == {"Measured"}


def test_another_batch_is_calibrated(space: Space, first: Body) -> None:
    before, need = first["status"]["need"]["hostBytes"], foreseen(space, "larger", workload=LARGER)
    told("another batch", need)
    assert need["source"] == "Calibrated"
    assert need["high"] - need["low"] < before["high"] - before["low"]
    assert need["low"] <= first["status"]["results"]["memory"]["hostPeakBytes"] <= need["high"]


def test_another_namespace_learns_nothing(other: Space, first: Body) -> None:
    assert foreseen(other, "stranger") == first["status"]["need"]["hostBytes"]


def test_a_check_says_that_no_run_speaks_of_its_gpus(space: Space, first: Body, kubectl: Tool) -> None:
    path = f"{OURS}/namespaces/{space.namespace}/modelchecks"
    metadata = {"name": "gpus"}
    space.api.create(
        path,
        {
            "apiVersion": "wattmark.dev/v1alpha1",
            "kind": "ModelCheck",
            "metadata": metadata,
            "spec": {"model": tiny()["model"], "workload": LARGER},
        },
    )
    kubectl("wait", "--namespace", space.namespace, "modelcheck/gpus", "--for=condition=Evaluated", "--timeout=60s")
    found = space.api.get(f"{path}/gpus") or {}
    said = condition(found, "Calibrated")
    assert (said["status"], said["reason"]) == ("False", "NoEvidence")
    assert found["status"]["source"] == "ClosedForm"


def test_the_command_line_learns_from_the_same_runs(
    space: Space, first: Body, kubectl: Tool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, nodes, check = (tmp_path / name for name in ("runs.yaml", "nodes.yaml", "check.yaml"))
    runs.write_text(kubectl("get", "--namespace", space.namespace, "benchmarkjobs.wattmark.dev", "--output=yaml"))
    nodes.write_text(kubectl("get", "nodes", "--output=yaml"))
    of_operator = space.api.get(f"{OURS}/namespaces/{space.namespace}/modelchecks/gpus") or {}
    kept = {key: of_operator[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "gpus"}}
    check.write_text(yaml.safe_dump(kept))
    main(["check", f"--file={check}", f"--nodes={nodes}", f"--runs={runs}", "--output=json"])
    answer = json.loads(capsys.readouterr().out)
    assert condition(answer, "Calibrated")["message"] == condition(of_operator, "Calibrated")["message"]
    assert answer["status"]["need"] == of_operator["status"]["need"]


def test_with_its_objects_a_run_is_forgotten(space: Space, first: Body) -> None:
    for name in ("first", "second"):
        space.api.delete(space.benchmark_path(name))
        space.benchmarks.gone(name)
    # The deletion wakes the operator by another watch than this one.
    for attempt in range(20):
        need = foreseen(space, f"forgotten-{attempt}")
        if need["source"] == "ClosedForm":
            break
    assert need == first["status"]["need"]["hostBytes"]
