"""The table that people see: bars to scale, words for each verdict, at any width, without colour or Unicode too."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

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


def test_several_answers_are_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "check", "--model", "gpt2", "x/unheard-of", "--precision", "bf16", "fp16", "--gpu", "T4", "L4")
    rows = [line.split() for line in shown.splitlines()]
    assert ["gpt2", "bf16"] in [row[:2] for row in rows] and ["gpt2", "fp16"] in [row[:2] for row in rows]
    (bf16,) = [row for row in rows if row[:2] == ["gpt2", "bf16"]]
    assert bf16[-2:] == ["DoesNotFit", "Fits"]
    assert shown.count("x/unheard-of: ") == 1


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


def test_a_file_s_words_cannot_write_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = """
kind: Node
metadata: {name: a, labels: {nvidia.com/gpu.product: "\\x1b[31mred", nvidia.com/gpu.memory: "1000"}}
status: {allocatable: {nvidia.com/gpu: 1}}
"""
    (tmp_path / "n.yaml").write_text(odd, encoding="utf-8")
    shown = told(capsys, *LLAMA, "--nodes", str(tmp_path / "n.yaml"))
    assert "[31mred" in shown and not ESCAPE.search(shown)
