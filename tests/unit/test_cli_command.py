"""`wattmark`: arguments, exit codes, and words on standard error."""

from pathlib import Path

import pytest

from wattmark.cli.command import main


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="no command"),
        pytest.param(["measure"], id="an unknown command"),
        pytest.param(["run"], id="run without a file"),
        pytest.param(["check", "-f", "x"], id="check without nodes"),
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


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "exit codes:" in capsys.readouterr().out
