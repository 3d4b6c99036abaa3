"""`wattmark check --runs`: finished BenchmarkJobs of a file are evidence, by the operator's own code."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.finished import GPU, finished, on_gpu, spec
from tests.unit.fleets import LARGE
from tests.unit.test_cli_check import stored

from wattmark.cli.command import main
from wattmark.cli.runs import runs_in

A100 = GPU | {"gpuProduct": "NVIDIA A100-SXM4-80GB", "computeCapability": "8.0"}


def stored_run(name: str = "first", raw: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A finished BenchmarkJob as `kubectl get` shows it."""
    asked, status = finished(raw or spec(), on_gpu(3), **{"environment": A100, **changes})
    metadata = {"name": name, "namespace": "team"}
    return {"kind": "BenchmarkJob", "metadata": metadata, "spec": asked.wire(), "status": status.wire()}


HUB = stored_run()
HUB["spec"] = {**HUB["spec"], "model": {"id": "org/new", "source": {"type": "Hub", "hub": {"revision": "0" * 40}}}}
SILENT = [
    pytest.param({**stored_run(), "kind": "Pod"}, id="another kind"),
    pytest.param({"kind": "BenchmarkJob", "metadata": None, "spec": {"model": 1}}, id="what is no BenchmarkJob"),
    pytest.param({**stored_run(), "status": {"conditions": "odd"}}, id="a status of an unknown release"),
    pytest.param({**stored_run(), "status": {}}, id="what has not run"),
    pytest.param(HUB, id="a model of a hub"),
]


@pytest.mark.parametrize("body", SILENT)
def test_what_says_nothing(body: dict[str, Any]) -> None:
    assert list(runs_in([body])) == []


ANSWERS = [
    pytest.param([stored_run()], "Measured", "1 earlier run of the same question, such as first", id="the same"),
    pytest.param([stored_run(raw=spec(batch=4))], "Calibrated", "calibrated by 1 earlier run", id="another batch"),
    pytest.param([], "ClosedForm", "no finished BenchmarkJob", id="none"),
]


@pytest.mark.parametrize(("runs", "source", "words"), ANSWERS)
def test_a_run_of_a_file_speaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], runs: list[dict[str, Any]], source: str, words: str
) -> None:
    nodes = stored(tmp_path / "nodes", LARGE, kind="Node")
    given = ["--nodes", nodes, "--runs", stored(tmp_path / "runs", *runs)]
    assert main(["check", "--model", "gpt2", *given, "-o", "json"]) == 0
    status = json.loads(capsys.readouterr().out)["status"]
    (answer,) = status["nodeTypes"]
    assert {status["source"], answer["source"], answer["needBytes"]["source"]} == {source}
    assert words in next(c["message"] for c in status["conditions"] if c["type"] == "Calibrated")


def test_runs_that_cannot_be_read_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--model", "gpt2", "--gpu", "L4", "--runs", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err
