"""The matrix of several questions: a row each, at any width no word broken that has room."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_cli_table import plain, told

from wattmark.cli.matrix import _header

ASKED = ["check", "--model", "gpt2", "x/unheard-of", "--precision", "bf16", "fp16", "--gpu", "T4", "L4", "A100-80GB:8"]
TRAINING: dict[str, Any] = {"type": "Training", "training": {}}
__all__ = ["plain"]  # no colour and 120 columns, here too


def test_several_answers_are_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, *ASKED)
    rows = [line.split() for line in shown.splitlines()]
    assert ["gpt2", "bf16"] in [row[:2] for row in rows] and ["gpt2", "fp16"] in [row[:2] for row in rows]
    (bf16,) = [row for row in rows if row[:2] == ["gpt2", "bf16"]]
    assert bf16[-3:] == ["DoesNotFit", "Fits", "Fits"]
    assert shown.count("x/unheard-of: ") == 1
    assert [row[:3] for row in rows if row[:1] == ["x/unheard-of"]] == [
        ["x/unheard-of", "bf16", "-"], ["x/unheard-of", "fp16", "-"],
    ]  # fmt: skip


SHARED = [
    pytest.param(
        "--model gpt2 bert-base-uncased",
        "Inference, batch 8, 512 tokens in, bf16",
        id="what a row alone has is left out",
    ),
    pytest.param(
        "--model gpt2 --precision bf16 fp16 --output-tokens 7",
        "Inference, batch 8, 512 tokens in, 7 out",
        id="a format of some rows is left out",
    ),
    pytest.param(
        "--model gpt2 x/unheard-of --training --set resources.gpusPerNode=2 --set parallelism.type=DDP",
        "Training, batch 8, 512 tokens in, bf16-mixed, AdamW, DDP, on 2 GPUs",
        id="a model that nobody knows has no say",
    ),
    pytest.param("--model x/a x/b --training", "Training", id="none is known: the workload"),
]


@pytest.mark.parametrize(("arguments", "line"), SHARED)
def test_what_all_rows_ask_stands_above_them(arguments: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "check", *arguments.split(), "--gpu", "L4").splitlines()[:2] == [line, ""]


def test_a_column_tells_quantizations_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["check", "--model", "meta-llama/Llama-3.1-70B", "--gpu", "L40S", "--quantization"]
    rows = [line.split() for line in told(capsys, *asked, "none", "int8", "nf4").splitlines()]
    assert [row[2] for row in rows if row[:2] == ["meta-llama/Llama-3.1-70B", "bf16"]] == ["none", "int8", "nf4"]
    assert ["model", "precision", "quantization", "need"] in [row[:4] for row in rows]
    assert "quantization" not in told(capsys, *ASKED)


def stored(path: Path, **specs: dict[str, Any]) -> str:
    """A file of ModelChecks by name."""
    items = [
        {"apiVersion": "wattmark.dev/v1alpha1", "kind": "ModelCheck", "metadata": {"name": name}, "spec": spec}
        for name, spec in specs.items()
    ]
    path.write_text(json.dumps({"kind": "List", "items": items}), encoding="utf-8")
    return str(path)


def test_a_workload_that_one_row_has_not_is_no_word_of_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infers = {"type": "Inference", "inference": {"batchSizePerDevice": 3}}
    specs = {"a": {"model": {"id": "gpt2"}, "workload": infers}, "b": {"model": {"id": "x/y"}, "workload": TRAINING}}
    checks = stored(tmp_path / "checks.json", **specs)
    assert told(capsys, "check", "-f", checks, "--gpu", "L4").startswith("batch 3, 512 tokens in, 128 out, bf16\n")


def test_questions_about_one_model_bear_their_own_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    specs = {
        f"batch-of-{batch}": {
            "model": {"id": "gpt2"},
            "workload": {"type": "Inference", "inference": {"batchSizePerDevice": batch}},
        }
        for batch in (1, 64)
    }
    checks = stored(tmp_path / "checks.json", **specs)
    rows = [line.split() for line in told(capsys, "check", "-f", checks, "--gpu", "L4").splitlines()]
    assert [row[0] for row in rows if row[1:2] == ["bf16"]] == ["batch-of-1", "batch-of-64"]
    assert ["check", "precision", "need"] in [row[:3] for row in rows]


@pytest.mark.parametrize(("columns", "tables"), [(120, 1), (72, 2), (60, 3)])
def test_columns_without_room_are_in_a_table_of_their_own(
    columns: int, tables: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = told(capsys, *ASKED).splitlines()
    assert max(map(len, lines)) <= columns
    assert sum(" model " in line for line in lines) == tables
    words = " ".join(lines).split()
    assert {"DoesNotFit", "Fits", "Tesla-T4", "A100-SXM4-80GB", "Precision"} <= set(words)
    assert not any(line == after == "" for line, after in pairwise(lines))
    assert words.count("DoesNotFit") == 1


@pytest.mark.parametrize("columns", [36, 40, 44, 50])
def test_narrow_terminals_see_whole_names_of_gpus_beside_what_a_row_is_about(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    formats = ["--precision", "bf16", "fp16", "--quantization", "none", "nf4"]
    gpus = ["--gpu", "T4", "H100-SXM:8"]
    lines = told(capsys, "check", "--model", "meta-llama/Llama-3.1-8B", *formats, *gpus).splitlines()
    assert max(map(len, lines)) <= columns
    words = " ".join(lines).split()
    assert {"Tesla-T4", "H100-80GB-HBM3", "80GiB", "x8", "DoesNotFit", "Fits"} <= set(words)
    assert words.count("nf4") >= 2


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        ("NVIDIA-L4-22GiB-x1", ["L4", "22GiB x1"]),
        ("simulated-NVIDIA-H100-80GB-HBM3-80GiB-x8", ["simulated-H100-", "80GB-HBM3", "80GiB x8"]),
        ("NVIDIA-L40S-SHARED-4GiB-x10-shared", ["L40S-SHARED", "4GiB x10-shared"]),
        ("unlabelled-unknown-x2", ["unlabelled", "unknown x2"]),
        ("cpu", ["cpu"]),
    ],
)
def test_names_of_node_types_are_broken_where_they_have_joints(kind: str, lines: list[str]) -> None:
    assert _header(kind).splitlines() == lines


def test_a_tight_fit_tells_how_likely_memory_runs_out(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--batch", "16", "--input-tokens", "2048", "--output-tokens", "256"]
    shown = told(
        capsys, "check", "--model", "meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.2-3B", "--gpu", "L4", *sizes
    )
    (risk,) = [line.strip() for line in shown.splitlines() if "OOM" in line]
    assert re.fullmatch(r"OOM [1-9][0-9] %", risk)
