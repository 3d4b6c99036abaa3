"""`wattmark check` for the cluster that kubectl speaks to: a stand-in for kubectl tells what it is asked."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import LARGE
from tests.unit.test_cli_check import TAKER
from tests.unit.test_cli_runs import stored_run
from tests.unit.test_fleet_slices import bare, body

from wattmark.cli.command import main

NOT_SERVED = "error: the server doesn't have a resource type 'resourceslices'"
QUESTION = ["check", "--model", "gpt2", "-o", "json"]


def kubectl(folder: Path, monkeypatch: pytest.MonkeyPatch, **answers: Any) -> Path:
    """A kubectl that answers `get nodes` and so on, or refuses with words; the file of what it was asked.

    Where nothing else is said, its cluster knows no ResourceSlices and no BenchmarkJobs.
    """
    told = folder / "told"
    lines = ["#!/bin/sh", f'echo "$*" >> {told}', 'case "$*" in']
    for what, answer in ({"resourceslices": NOT_SERVED, "benchmarkjobs": NOT_SERVED} | answers).items():
        if isinstance(answer, str):
            lines.append(f"*'get {what}'*) echo 'Warning: first'>&2; echo \"{answer}\" >&2; exit 1;;")
        else:
            (folder / what).write_text(json.dumps({"kind": "List", "items": answer}), encoding="utf-8")
            lines.append(f"*'get {what}'*) cat {folder / what};;")
    program = folder / "kubectl"
    program.write_text("\n".join([*lines, "esac"]) + "\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return told


def test_the_current_cluster_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods=[TAKER])
    assert main(QUESTION) == 0
    said = capsys.readouterr()
    (answer,) = json.loads(said.out)["status"]["nodeTypes"]
    assert (answer["verdict"], answer["fitsNow"], answer["freeGpus"], said.err) == ("Fits", "DoesNotFit", 0, "")
    assert told.read_text(encoding="utf-8").splitlines() == [
        "get nodes --output=json",
        "get pods --all-namespaces --field-selector=status.phase!=Succeeded,status.phase!=Failed --output=json",
        "get resourceslices.v1.resource.k8s.io --output=json",
        "get benchmarkjobs.wattmark.dev --output=json",
    ]


NO_RUNS = [
    pytest.param("benchmarkjobs is forbidden", True, id="forbidden"),
    pytest.param(NOT_SERVED, False, id="a cluster without Wattmark"),
]


@pytest.mark.parametrize(("words", "noted"), NO_RUNS)
def test_where_runs_cannot_be_read_the_answer_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, noted: bool
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods=[], benchmarkjobs=words)
    assert main(QUESTION) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["status"]["source"] == "ClosedForm"
    assert ("without what earlier runs say" in said.err) == noted


def test_runs_of_the_contexts_namespace_are_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods=[], benchmarkjobs=[stored_run()])
    assert main(QUESTION) == 0
    assert json.loads(capsys.readouterr().out)["status"]["source"] == "Measured"


def test_another_context_is_asked_with_gpus_beside_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods=[])
    assert main([*QUESTION, "--context", "far", "--gpu", "L4"]) == 0
    answers = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert {answer["nodeType"]: answer.get("assumed") for answer in answers} == {
        "NVIDIA-A100-SXM4-80GB-80GiB-x8": False,
        "NVIDIA-L4-22GiB-x1": True,
    }
    assert all(line.startswith("--context far get ") for line in told.read_text(encoding="utf-8").splitlines())


def test_without_the_right_to_list_pods_what_is_free_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods="pods is forbidden")
    assert main(QUESTION) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["status"]["nodeTypes"][0]["fitsNow"] == "Unknown"
    assert "what is free now is not known" in said.err and said.err.endswith("pods is forbidden\n")


def test_gpus_that_are_offered_by_claim_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[bare()], pods=[], resourceslices=[body("nvidia")])
    assert main(QUESTION) == 3
    (answer,) = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert (answer["nodeType"], answer["reason"]) == ("NVIDIA-A100-PCIE-40GB-40GiB-x2-claimed", "ClaimedGpu")


def test_without_the_right_to_list_slices_it_is_said_what_is_not_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[LARGE], pods=[], resourceslices="resourceslices is forbidden")
    assert main(QUESTION) == 0
    assert "offered by resource claim alone are not seen" in capsys.readouterr().err


def test_a_kubectl_that_answers_with_something_else_ends_with_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes=[])
    (tmp_path / "nodes").write_text("<html>log in first</html>", encoding="utf-8")
    assert main(QUESTION) == 4
    assert "the answer is not JSON: <html>log in first" in capsys.readouterr().err


def test_nodes_that_cannot_be_read_end_with_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl(tmp_path, monkeypatch, nodes="connection refused")
    assert main(QUESTION) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "wattmark: kubectl get nodes --output=json: connection refused; without a cluster give --gpu, "
    )


def test_without_kubectl_other_ways_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(QUESTION) == 4
    assert "give --gpu, or --nodes" in capsys.readouterr().err
