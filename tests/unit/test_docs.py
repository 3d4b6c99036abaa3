"""The pages name what the code can say, and their links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from wattmark.api.answers import Verdict
from wattmark.api.conditions import Reason
from wattmark.api.figures import UnavailableReason
from wattmark.api.report import EXIT_CODES
from wattmark.cli.command import EXIT_CODES as EXIT_CODES_OF_COMMANDS
from wattmark.cli.command import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "helm").rglob("*.md")])
# What only says that all is as it should be.
SELF_EVIDENT = {Reason.RUNNING, Reason.RESUMED, Reason.IN_PROGRESS, Reason.EVALUATED, Reason.ACCEPTED, Reason.UNKNOWN}


def _page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


FAILURES = _page("failures.md")


def test_every_reason_is_explained() -> None:
    assert [
        reason.value for reason in Reason if reason not in SELF_EVIDENT and f"`{reason.value}`" not in FAILURES
    ] == []


def test_no_reason_is_explained_that_does_not_exist() -> None:
    explained = set(re.findall(r"^\| `(\w+)`", FAILURES, re.MULTILINE))
    assert explained - {reason.value for reason in Reason} == set()


def test_every_exit_code_is_named() -> None:
    text = " ".join(FAILURES.split())
    assert [code for failure, code in EXIT_CODES.items() if f"{code} `{failure.value}`" not in text] == []


def test_every_way_to_be_unavailable_and_every_verdict_is_explained() -> None:
    page = _page("reading-the-figures.md")
    named = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert {member.value for kind in (UnavailableReason, Verdict) for member in kind} <= named


def test_every_check_is_explained_with_its_reason() -> None:
    checks = (ROOT / "operator" / "wattmark" / "fit" / "checks.py").read_text(encoding="utf-8")
    verdicts = (ROOT / "operator" / "wattmark" / "fit" / "verdicts.py").read_text(encoding="utf-8")
    reasons = set(re.findall(r'Objection\(\s*"(\w+)"', checks)) | set(
        re.findall(r'^[A-Z_]+ = "(\w+)"', checks + verdicts, re.M)
    )
    assert len(reasons) > 12
    assert [reason for reason in reasons if f"`{reason}`" not in _page("asking.md")] == []


def test_every_exit_code_of_check_is_named() -> None:
    told = dict(re.findall(r"^\| ([0-9]) \| (.+) \|$", _page("asking.md"), re.MULTILINE))
    listed = re.findall(r"^  ([0-9]) ", EXIT_CODES_OF_COMMANDS, re.MULTILINE)
    assert sorted(told) == listed


COMMANDS = re.findall(r"^(?:\$ )?wattmark ((?:check|models) .*?)(?: \|.*)?$", _page("asking.md"), re.MULTILINE)


@pytest.mark.parametrize("command", [command for command in COMMANDS if "nodes.json" not in command])
def test_a_command_shown_is_one_that_answers(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out


SHOWN = re.findall(r"^\$ wattmark ((?:check --model|models) .*)\n((?:.*\n)*?)```$", _page("../README.md"), re.MULTILINE)


@pytest.mark.parametrize(("command", "output"), SHOWN)
def test_what_the_readme_shows_is_what_is_printed(
    command: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out.strip("\n") == output.strip("\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
