"""The table that people see: bars to scale, words for each verdict, at any width, without colour or Unicode too."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from tests.unit.test_cli_check import stored
from tests.unit.test_fleet_nodes import A100, node

from wattmark.cli.command import main
from wattmark.cli.table import FREE, LOOKS, REST, Bar

LLAMA = ["check", "--model", "meta-llama/Llama-3.1-8B", "--precision", "fp16", "--input-tokens", "2048"]
ESCAPE = re.compile("\x1b")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


def test_one_answer_shows_the_parts_and_each_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, *LLAMA, "--gpu", "H100-SXM", "T4")
    assert "meta-llama/Llama-3.1-8B  8.03 B parameters" in shown
    assert "2048 tokens in" in shown and "fp16" in shown
    for words in ("Weights", "15.0 GiB", "KVCache", "NVIDIA-H100-80GB-HBM3-80GiB-x1", "Fits", "assumed"):
        assert words in shown
    (short,) = re.findall(r"^DoesNotFit Tesla-T4.*needs [0-9.]+ to [0-9.]+ GiB", shown, re.MULTILINE)
    assert short
    assert not ESCAPE.search(shown)


def test_what_is_kept_where_there_is_room_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "check", "--model", "llama-3.2-1b", "--gpu", "H100-SXM", "--training")
    assert re.search(r"^[0-9.]+ GiB more where there is room: PyTorch keeps it for later", shown, re.MULTILINE)
    assert "AllocatorCache" not in shown
    needs = float(re.search(r"^needs ([0-9.]+) GiB", shown, re.MULTILINE)[1])  # type: ignore[index]
    parts = [float(size) for size in re.findall(r"^  . \w+ +([0-9.]+) GiB", shown, re.MULTILINE)]
    assert sum(parts) == pytest.approx(needs, abs=0.05 * len(parts))


def test_formats_and_adapters_are_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    lora = ["--training", "--set", "workload.training.lora={rank: 4}"]
    shown = told(capsys, "check", "--model", "gpt2", "--gpu", "L4", "--quantization", "nf4", *lora)
    assert "bf16-mixed, matrices in nf4, AdamW, LoRA of rank 4 on AllLinear" in shown


@pytest.mark.parametrize(("model", "mixture"), [("mixtral", True), ("mistral", False)])
def test_experts_that_stay_as_they_are_among_quantized_matrices_are_told(
    model: str, mixture: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(capsys, "check", "--model", model, "--gpu", "H200", "--quantization", "nf4")
    assert ("Not quantized: the mixture's experts" in shown) is mixture
    assert "Not quantized" not in told(capsys, "check", "--model", model, "--gpu", "H200")


OPTIONS = [
    pytest.param("--model wav2vec2 --training", id="of a node type"),
    pytest.param("--model mine --config {config}", id="of a question that no node type is held against"),
    pytest.param("--model mine --config {config} --precision bf16 fp16", id="of several in a matrix"),
]


@pytest.mark.parametrize("arguments", OPTIONS)
def test_what_is_to_be_set_is_told_with_its_option(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "opt"}', encoding="utf-8")
    asked = arguments.format(config=tmp_path / "config.json").split()
    shown = " ".join(told(capsys, "check", *asked, "--gpu", "L4").split())
    assert "set spec.method (--method) to Traced or Auto" in shown


@pytest.mark.parametrize("models", [["gpt2"], ["gpt2", "bert"]], ids=["one answer", "a matrix"])
def test_weights_that_nobody_looked_for_are_told_once(models: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "check", "--model", *models, "--gpu", "L4", "--set", "model.weights=Pretrained")
    assert shown.count("Not checked: the hub was not asked whether it has the pretrained weights") == 1
    assert "Not checked" not in told(capsys, "check", "--model", *models, "--gpu", "L4")


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 160])
def test_no_line_is_longer_than_the_terminal(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = told(capsys, *LLAMA, "--gpu", "H100-SXM", "L4", "T4:4", "A100-80GB:8")
    assert max(map(len, shown.splitlines())) <= columns


COLOURS = [
    pytest.param({}, False, id="no terminal: no colour"),
    pytest.param({"FORCE_COLOR": "1"}, True, id="colour where it is wanted"),
    pytest.param({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, id="no colour where it is not"),
]


@pytest.mark.parametrize(("environment", "coloured"), COLOURS)
def test_colour(
    environment: dict[str, str], coloured: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm-256color", **environment}.items():
        monkeypatch.setenv(name, value)
    shown = told(capsys, *LLAMA, "--gpu", "L4")
    assert bool(re.search("\x1b\\[[0-9;]*3[0-9]", shown)) is coloured


def drawn(bar: Bar, width: int, encoding: str = "utf-8") -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=file, width=width).print(bar, end="")
    file.seek(0)
    return file.read().rstrip("\n")


WEIGHTS, ACTIVATIONS = LOOKS["Weights"], LOOKS["Activations"]  # type: ignore[index]
BARS = [
    pytest.param(Bar(((50, WEIGHTS), (25, ACTIVATIONS)), 100, FREE), "██▒·", id="parts to scale"),
    pytest.param(Bar(((100, WEIGHTS),), 100, FREE), "████", id="just full"),
    pytest.param(Bar(((50, WEIGHTS), (51, ACTIVATIONS)), 100, FREE), "██▒▶", id="more than there is"),
    pytest.param(Bar(((1000, WEIGHTS),), 100, FREE), "███▶", id="much more"),
    pytest.param(Bar(((1, WEIGHTS), (1, ACTIVATIONS), (1, REST)), 100, FREE), "····", id="next to nothing"),
    pytest.param(Bar(((50, WEIGHTS),), 100), "██", id="without the rest"),
]


@pytest.mark.parametrize(("bar", "cells"), BARS)
def test_bars(bar: Bar, cells: str) -> None:
    assert drawn(bar, 4) == cells


def test_bars_without_unicode() -> None:
    assert drawn(Bar(((50, WEIGHTS), (60, ACTIVATIONS)), 100, FREE), 4, "ascii") == "##+>"


def test_lines_end_with_what_they_say(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, *LLAMA, "--gpu", "L4").splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_narrow_terminals_see_verdicts_in_place_of_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    shown = told(capsys, *LLAMA, "--gpu", "H100-SXM")
    assert re.search(r"^ NVIDIA-H100-80GB-HBM3-80GiB-x1 +Fits +assumed$", shown, re.MULTILINE)
    assert "of one GPU  " not in shown


@pytest.mark.parametrize("columns", [50, 70, 80, 100, 110, 160])
def test_no_column_is_cut_off_by_long_names(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    long = node(
        A100 | {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB-MIG-3g.40gb", "wattmark.dev/simulated": "true"}
    )
    nodes, pods = stored(tmp_path / "n", long, kind="Node"), stored(tmp_path / "p")
    shown = told(capsys, *LLAMA, "--nodes", nodes, "--pods", pods)
    assert max(map(len, shown.splitlines())) <= columns
    assert re.search(r"^ node type .* nodes$", shown, re.MULTILINE)
    assert re.search(r"^ simulated.* 1, 8 free$", shown, re.MULTILINE)


def test_what_is_true_of_several_node_types_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, *LLAMA, "--gpu", "MI250", "MI300X")
    assert shown.count("the need is known on") == 1
    assert "Unknown AMD-Instinct-MI250-64GiB-x1, AMD-Instinct-MI300X-192GiB-x1: offers" in shown


def test_nodes_that_take_no_pods_are_counted_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(
        tmp_path / "n", node(name="a"), node(name="b", unschedulable=True), node(name="c", conditions=[]), kind="Node"
    )
    shown = told(capsys, *LLAMA, "--nodes", str(tmp_path / "n"))
    assert "1, 1 cordoned, 1 not ready" in " ".join(shown.split())


def test_a_file_s_words_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = """
kind: Node
metadata: {name: a, labels: {nvidia.com/gpu.product: "\\x1b[31mred", nvidia.com/gpu.memory: "1000"}}
status: {allocatable: {nvidia.com/gpu: 1}}
"""
    (tmp_path / "n.yaml").write_text(odd, encoding="utf-8")
    shown = told(capsys, *LLAMA, "--nodes", str(tmp_path / "n.yaml"))
    assert "[31mred" in shown and not ESCAPE.search(shown)
