"""`wattmark`: arguments, exit codes, and words on standard error."""

from pathlib import Path

import pytest

from wattmark.cli.command import kubectl, main


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no command"),
        pytest.param(["measure"], id="an unknown command"),
        pytest.param(["run"], id="run without a file"),
        pytest.param(["check"], id="check without a question"),
        pytest.param(["check", "-f", "x", "--model", "gpt2"], id="two questions"),
        pytest.param(["check", "-f", "x", "--batch", "0"], id="a part of a question beside a file"),
        pytest.param(["check", "--model", "a", "b", "--config", "c"], id="one configuration for two models"),
        pytest.param(["check", "--config", "c"], id="a configuration without a name"),
        pytest.param(["check", "--model", "gpt2", "--pods", "p", "--gpu", "L4"], id="pods without nodes"),
        pytest.param(["check", "--model", "gpt2", "--nodes", "n", "--context", "c"], id="nodes of two places"),
        pytest.param(["check", "--model", "gpt2", "--precision", "fp4"], id="an unknown precision"),
        pytest.param(["check", "--model", "gpt2", "--quantization", "gptq"], id="an unknown quantization"),
        pytest.param(["check", "--model", "gpt2", "--method", "Guessed"], id="an unknown method"),
        pytest.param(["check", "-f", "x", "--quantization", "nf4"], id="a quantization beside a file"),
        pytest.param(["check", "-f", "x", "--method", "Auto"], id="a method beside a file"),
        pytest.param(["models", "-o", "csv"], id="an unknown form of a list"),
        pytest.param(["run", "-f", "x", "-o", "xml"], id="an unknown form"),
    ],
)
def test_wrong_arguments_end_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: wattmark" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["run"], ["check", "--nodes", "nowhere.yaml"]], ids=["run", "check"])
def test_a_file_that_cannot_be_used_ends_with_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-f", str(tmp_path / "nothing.yaml")]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("wattmark: ") and "nothing.yaml" in said.err


def test_kubectl_runs_it_as_its_own(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["kubectl-wattmark", "check"])
    with pytest.raises(SystemExit) as ended:
        kubectl()
    assert ended.value.code == 2
    assert "usage: kubectl wattmark check" in capsys.readouterr().err


def test_help_names_the_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    assert "H100-SXM" in capsys.readouterr().out


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out
