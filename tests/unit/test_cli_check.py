"""`wattmark check`: the operator's own answer, for nodes in a file."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_nodes import node
from tests.unit.test_preflight import LARGE, LLAMA, NO_GPU, SMALL

from wattmark.cli.command import main

TAKER: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"namespace": "x", "name": "y"},
    "spec": {"nodeName": "large", "containers": [{"resources": {"requests": {"nvidia.com/gpu": "8"}}}]},
    "status": {"phase": "Running"},
}


def stored(path: Path, *bodies: dict[str, Any], kind: str = "") -> str:
    items = [{"kind": kind, **body} if kind else body for body in bodies]
    path.write_text(json.dumps({"kind": "List", "items": items}), encoding="utf-8")
    return str(path)


def checked(folder: Path, model: dict[str, Any], *nodes: dict[str, Any], pods: list[str] | None = None) -> int:
    spec = {"model": model, "runtime": {"precision": "fp16"}}
    manifest = {"apiVersion": "wattmark.dev/v1alpha1", "kind": "ModelCheck", "metadata": {"name": "q"}, "spec": spec}
    (folder / "check.json").write_text(json.dumps(manifest), encoding="utf-8")
    arguments = ["check", "-f", str(folder / "check.json"), "--nodes", stored(folder / "n", *nodes, kind="Node")]
    return main([*arguments, *(pods or []), "-o", "json"])


GPT2 = {"id": "gpt2"}
ENDS = [
    pytest.param(GPT2, [LARGE, SMALL], 0, "FitsAll", id="fits: 0"),
    pytest.param(LLAMA, [LARGE, SMALL], 0, "FitsSome", id="fits some: 0"),
    pytest.param(LLAMA, [SMALL], 1, "FitsNone", id="fits none: 1"),
    pytest.param(GPT2, [NO_GPU], 3, "NoGpuNodes", id="nothing to fit: 3"),
    pytest.param({"id": "org/unheard-of"}, [LARGE], 3, "UnknownModel", id="an unknown model: 3"),
]


@pytest.mark.parametrize(("model", "nodes", "code", "reason"), ENDS)
def test_exit_codes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: Any, nodes: list[Any], code: int, reason: str
) -> None:
    assert checked(tmp_path, model, *nodes) == code
    status = json.loads(capsys.readouterr().out)["status"]
    assert {c["type"]: c["reason"] for c in status["conditions"]}["Fits"] == reason


@pytest.mark.parametrize(("pods", "fits_now"), [([TAKER], "DoesNotFit"), ([], "Fits")], ids=["taken", "free"])
def test_what_is_free_now_is_known_from_pods(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pods: list[Any], fits_now: str
) -> None:
    assert checked(tmp_path, GPT2, LARGE, pods=["--pods", stored(tmp_path / "p", *pods)]) == 0
    (answer,) = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert (answer["verdict"], answer["fitsNow"]) == ("Fits", fits_now)


def test_without_pods_what_is_free_now_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(tmp_path, GPT2, node(), LARGE) == 0
    (answer,) = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert answer["fitsNow"] == "Unknown" and "freeGpus" not in answer
