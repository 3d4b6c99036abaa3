"""What `wattmark trace` and `wattmark check` say of a model whose code cannot be traced."""

import json
from pathlib import Path

import pytest

from wattmark.cli.command import main

LONGFORMER = {
    "model_type": "longformer", "num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 2,
    "intermediate_size": 64, "vocab_size": 100, "attention_window": [8],
}  # fmt: skip
CHECK = {
    "apiVersion": "wattmark.dev/v1alpha1",
    "kind": "ModelCheck",
    "metadata": {"name": "small"},
    "spec": {
        "method": "Traced",
        "model": {"id": "small", "source": {"type": "Inline", "inline": {"config": json.dumps(LONGFORMER)}}},
    },
}


@pytest.mark.parametrize(
    ("command", "code"),
    [
        pytest.param(["trace"], 2, id="a trace is all that was asked for"),
        pytest.param(["check", "--gpu", "L4"], 3, id="a check is answered, with Unknown"),
    ],
)
def test_code_that_needs_values_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str], code: int
) -> None:
    file = tmp_path / "check.json"
    file.write_text(json.dumps(CHECK), encoding="utf-8")
    assert main([*command, f"--file={file}"]) == code
    shown = capsys.readouterr()
    said = " ".join((shown.out + shown.err).split())
    assert "the model's code needs values, which a trace has not; measure it with a BenchmarkJob" in said
    assert "Traceback" not in said
