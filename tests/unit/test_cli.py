"""The command `wattmark`: what it prints, what it refuses, and the exit codes that pipelines read."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from wattmark.cli.command import main

JOB: dict[str, Any] = {
    "apiVersion": "wattmark.dev/v1alpha1",
    "kind": "BenchmarkJob",
    "metadata": {"name": "asked"},
    "spec": {"model": {"id": "gpt2"}, "resources": {"gpusPerNode": 0}},
}
CHECK: dict[str, Any] = {**JOB, "kind": "ModelCheck", "spec": {"model": {"id": "gpt2"}}}
NODE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {
        "name": "one",
        "labels": {
            "nvidia.com/gpu.product": "NVIDIA-L4",
            "nvidia.com/gpu.memory": "23034",
            "nvidia.com/gpu.compute.major": "8",
            "nvidia.com/gpu.compute.minor": "9",
        },
    },
    "status": {
        "allocatable": {"nvidia.com/gpu": "1", "memory": "64Gi"},
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
TAKEN: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "other", "namespace": "other"},
    "spec": {"nodeName": "one", "containers": [{"resources": {"requests": {"nvidia.com/gpu": "1"}}}]},
    "status": {"phase": "Running"},
}


def written(folder: Path, name: str, *documents: dict[str, Any]) -> str:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return str(path)


def with_model(name: str) -> dict[str, Any]:
    return {**CHECK, "spec": {"model": {"id": name}}}


@pytest.mark.parametrize(
    ("asked", "nodes", "code", "verdict"),
    [
        pytest.param(CHECK, [NODE], 0, "Fits", id="it fits"),
        pytest.param(with_model("meta-llama/Llama-3.1-70B"), [NODE], 1, "DoesNotFit", id="it fits none"),
        pytest.param(CHECK, [], 3, "Unknown", id="there is no node to compare with"),
        pytest.param(with_model("nobody/knows-it"), [NODE], 3, "Unknown", id="the model is not known"),
    ],
)
def test_check(
    asked: dict[str, Any],
    nodes: list[dict[str, Any]],
    code: int,
    verdict: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = written(tmp_path, "nodes.yaml", {"kind": "List", "items": nodes})
    assert main(["check", "-f", written(tmp_path, "check.yaml", asked), "--nodes", listed, "-o", "json"]) == code
    assert json.loads(capsys.readouterr().out)["status"]["summary"]["verdict"] == verdict


def test_check_knows_what_is_free_only_from_pods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "-f", written(tmp_path, "c.yaml", CHECK), "--nodes", written(tmp_path, "n.yaml", NODE)]
    main([*arguments, "-o", "json"])
    unknown = json.loads(capsys.readouterr().out)["status"]["nodeTypes"][0]
    main([*arguments, "--pods", written(tmp_path, "p.yaml", TAKEN), "-o", "json"])
    taken = json.loads(capsys.readouterr().out)["status"]["nodeTypes"][0]
    assert (unknown["fitsNow"], taken["fitsNow"], taken["freeGpus"]) == ("Unknown", "DoesNotFit", 0)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        pytest.param([], "is empty", id="an empty file"),
        pytest.param([{"kind": "Pod"}], "exactly one BenchmarkJob, and holds 0", id="another kind"),
        pytest.param([JOB, JOB], "exactly one BenchmarkJob, and holds 2", id="two of a kind"),
        pytest.param([{**JOB, "apiVersion": "v1"}], "apiVersion must be wattmark.dev/v1alpha1", id="another API"),
        pytest.param([{**JOB, "spec": {"model": {}}}], "spec.model.id: Field required", id="a field is missing"),
        pytest.param(
            [{**JOB, "spec": {**JOB["spec"], "modle": {}}}],
            "spec.modle: no such field; did you mean model?",
            id="a field is misspelt",
        ),
    ],
)
def test_run_refuses_a_manifest_and_says_why(
    documents: list[dict[str, Any]], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "-f", written(tmp_path, "job.yaml", *documents)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not YAML"), ("- a\n", "not an object"), (None, "cannot be read")]
)
def test_a_file_that_cannot_be_used(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "job.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    assert main(["run", "-f", str(path)]) == 2
    assert words in capsys.readouterr().err


def test_run_ends_without_a_process_where_the_answer_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    impossible = {**JOB, "spec": {**JOB["spec"], "runtime": {"precision": "tf32"}}}
    assert main(["run", "-f", written(tmp_path, "job.yaml", impossible)]) == 1
    status = yaml.safe_load(capsys.readouterr().out)["status"]
    assert status["phase"] == "Failed"
    assert "results" not in status and not status["attempts"]


def test_run_reads_the_folder_in_place_of_the_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert main(["run", "-f", written(tmp_path, "job.yaml", JOB), "--model-folder", str(tmp_path), "-o", "json"]) == 1
    assert "config.json cannot be read" in capsys.readouterr().out
