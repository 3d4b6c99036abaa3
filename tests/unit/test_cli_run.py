"""`wattmark run`: what is decided before a runner is started; tests/torch starts one."""

import json
from pathlib import Path
from typing import Any

import pytest

from wattmark.cli.command import main


def ran(folder: Path, spec: dict[str, Any], *arguments: str) -> int:
    manifest = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "BenchmarkJob", "metadata": {"name": "a"}, "spec": spec}
    (folder / "job.json").write_text(json.dumps(manifest), encoding="utf-8")
    return main(["run", "-f", str(folder / "job.json"), *arguments, "-o", "json"])


ON_CPU = {"resources": {"gpusPerNode": 0}}
REFUSED = [
    pytest.param({"model": {"id": "x", "source": {"type": "Registry"}}}, "UnknownModel", id="an unknown model"),
    pytest.param(
        {"model": {"id": "gpt2"}, "runtime": {"precision": "fp16-mixed"}}, "ImpossiblePrecision", id="a wrong precision"
    ),
    pytest.param(
        {"model": {"id": "gpt2"}, "workload": {"type": "Inference", "inference": {"input": {"image": {}}}}},
        "ImpossibleInput",
        id="an input that the model does not take",
    ),
]


@pytest.mark.parametrize(("spec", "reason"), REFUSED)
def test_what_cannot_be_run_fails_at_once_as_on_a_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: dict[str, Any], reason: str
) -> None:
    assert ran(tmp_path, {**ON_CPU, **spec}) == 1
    said = capsys.readouterr()
    status = json.loads(said.out)["status"]
    failed = {c["type"]: c["reason"] for c in status["conditions"] if c["status"] == "True"}
    assert failed["Failed"] == reason and status["phase"] == "Failed" and "results" not in status
    assert said.err == ""


def test_a_suspended_run_is_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(tmp_path, {"model": {"id": "gpt2"}, **ON_CPU, "suspend": True}) == 1
    assert json.loads(capsys.readouterr().out)["status"]["phase"] == "Suspended"


def test_a_folder_without_a_configuration_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ran(tmp_path, {"model": {"id": "mine"}, **ON_CPU}, "--model-folder", str(tmp_path)) == 1
    assert "config.json cannot be read" in capsys.readouterr().out
