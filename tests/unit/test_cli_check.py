"""`wattmark check`: the operator's own answer, for nodes in a file."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.unit.fleets import LARGE, LLAMA, NO_GPU, SMALL
from tests.unit.test_fleet_nodes import node
from tests.unit.test_fleet_slices import SLICES, bare
from tests.unit.traced import TRACE

from wattmark import model_facts, preflight
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.cli.command import main
from wattmark.decide.check import decide
from wattmark.decide.plan import Identity
from wattmark.fleet.nodes import read_node

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
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    model: Any,
    nodes: list[Any],
    code: int,
    reason: str,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert checked(tmp_path, model, *nodes) == code
    told = json.loads(capsys.readouterr().out)
    assert {c["type"]: c["reason"] for c in told["status"]["conditions"]}["Fits"] == reason
    assert told["spec"]["model"]["id"] == model["id"]  # what is answered can be asked again


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


def test_gpus_that_are_offered_by_claim_are_read_from_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slices = str(SLICES / "nvidia.yaml")
    assert checked(tmp_path, GPT2, bare(), pods=["--resource-slices", slices]) == 3
    (answer,) = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert (answer["reason"], answer["offeredFrom"]) == ("ClaimedGpu", "ResourceSlice of gpu.nvidia.com")
    assert checked(tmp_path, LLAMA, bare(), pods=["--resource-slices", slices]) == 3
    capsys.readouterr()
    assert checked(tmp_path, {"id": "meta-llama/Llama-3.1-70B"}, bare(), pods=["--resource-slices", slices]) == 1
    (answer,) = json.loads(capsys.readouterr().out)["status"]["nodeTypes"]
    assert (answer["verdict"], answer["reason"]) == ("DoesNotFit", "Memory")


FILES = [
    pytest.param("--pods", None, "is empty", id="a file without anything"),
    pytest.param("--pods", {"kind": "Node"}, "holds no Pod, but Node", id="nodes in place of Pods"),
    pytest.param("--resource-slices", {"kind": "Pod"}, "holds no ResourceSlice, but Pod", id="Pods in place of slices"),
    pytest.param(
        "--resource-slices",
        {"kind": "ResourceSlice", "apiVersion": "resource.k8s.io/v1beta1"},
        "apiVersion of a ResourceSlice must be resource.k8s.io/v1, not resource.k8s.io/v1beta1",
        id="slices of an older API",
    ),
]


@pytest.mark.parametrize(("option", "found", "words"), FILES)
def test_a_file_of_other_things_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, found: dict[str, Any], words: str
) -> None:
    file = tmp_path / "p"
    file.touch() if found is None else stored(file, found)
    assert checked(tmp_path, GPT2, LARGE, pods=[option, str(file)]) == 2
    assert words in capsys.readouterr().err


WORST = [
    pytest.param(["gpt2", "bert-base-uncased"], ["L4", "--input-tokens", "1024"], 2, id="too long for one of them: 2"),
    pytest.param(["gpt2"], ["L4"], 0, id="all fit: 0"),
    pytest.param(["gpt2", "x/unheard-of"], ["L4"], 3, id="one is not known: 3"),
    pytest.param(["gpt2", "x/unheard-of", "meta-llama/Llama-3.1-70B"], ["L4"], 1, id="one fits none: 1"),
    pytest.param(["gpt2", "meta-llama/Llama-3.1-70B"], ["L4", "B200"], 0, id="each fits one: 0"),
    pytest.param(["gpt2"], ["MI300X"], 3, id="AMD's GPUs, where the need is not known: 3"),
]


@pytest.mark.parametrize(("models", "gpus", "code"), WORST)
def test_the_worst_of_several_answers_is_the_exit_code(
    models: list[str], gpus: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--model", *models, "--gpu", *gpus, "-o", "yaml"]) == code
    assert ("kind: List" in capsys.readouterr().out) is (len(models) > 1)


TIGHT = ["--model", "meta-llama/Llama-3.1-8B", "--batch", "16", "--input-tokens", "2048", "--gpu", "L4"]
REQUIRED = [
    pytest.param([], 5, id="tight at best, and nothing is required: 5"),
    pytest.param(["--set", "require=FitsTight"], 0, id="tight is what is required: 0"),
    pytest.param(["--set", "require=Fits"], 1, id="more is required: 1"),
    pytest.param(["--set", "require=FitsNow"], 1, id="a GPU that is not there now: 1"),
    pytest.param(["--gpu", "L4", "MI300X"], 5, id="tight, and not known elsewhere: 5"),
    pytest.param(["--gpu", "L4", "H100-SXM", "--set", "require=Fits"], 0, id="another GPU meets it: 0"),
    pytest.param(["--gpu", "MI300X", "--set", "require=Fits"], 3, id="whether another one meets it is not known: 3"),
]


@pytest.mark.parametrize(("more", "code"), REQUIRED)
def test_what_is_required_decides_the_exit_code(more: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *TIGHT, *more]) == code
    assert "traceback" not in capsys.readouterr().out.lower()


def test_what_is_printed_of_several_questions_can_be_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", "--model", "gpt2", "bert-base-uncased", "--precision", "fp16", "--gpu", "L4", "-o", "yaml"])
    first = capsys.readouterr().out
    (tmp_path / "printed.yaml").write_text(first, encoding="utf-8")
    assert main(["check", "-f", str(tmp_path / "printed.yaml"), "--gpu", "L4", "-o", "yaml"]) == 0
    second = capsys.readouterr().out
    assert _untimed(second) == _untimed(first)


def _untimed(printed: str) -> list[str]:
    """Its lines, but for those that tell when."""
    return [line for line in printed.splitlines() if "Time:" not in line]


def test_a_trace_is_taken_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("wattmark.cli.check.traced_here", lambda name, spec: TRACE)
    assert main(["check", "--model", "gpt2", "--set", "method=Traced", "--gpu", "L4", "-o", "json"]) == 0
    status = json.loads(capsys.readouterr().out)["status"]
    assert status["source"] == "Traced" and status["nodeTypes"][0]["source"] == "Traced"


def test_where_nothing_can_be_traced_the_answer_says_how(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wattmark.cli.local_runner._PACKAGES", ("json", "no_such_package"))
    assert main(["check", "--model", "gpt2", "--set", "method=Traced", "--gpu", "L4", "-o", "json"]) == 3
    said = {c["type"]: c for c in json.loads(capsys.readouterr().out)["status"]["conditions"]}
    assert said["Evaluated"]["status"] == "False"
    assert "no_such_package must be installed here: install wattmark with its extra runner" in said["Fits"]["message"]


def test_the_status_is_that_which_the_operator_decides_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(tmp_path, LLAMA, LARGE, SMALL)
    told = json.loads(capsys.readouterr().out)["status"]
    spec = ModelCheckSpec.read({"model": LLAMA, "runtime": {"precision": "fp16"}})
    fleet = preflight.fleet([read_node(LARGE), read_node(SMALL)], None)
    answer = preflight.for_check(spec, model_facts.facts(spec.model, None), fleet)
    identity = Identity("team", "q", "uid", 1, 0.0, False)
    now = datetime.fromisoformat(told["evaluationTime"]).timestamp()
    assert json.dumps(decide(identity, spec, ModelCheckStatus(), answer, now).wire()) == json.dumps(told)
