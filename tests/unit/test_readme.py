"""What the README shows is what the tests apply: its manifests are the examples, its commands and links exist."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from wattmark.cli.command import main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MANIFESTS = re.findall(r"<!-- from (\S+) -->\n```yaml\n(.*?)```", README, re.DOTALL)


def test_every_manifest_shown_names_the_example_it_is() -> None:
    assert len(MANIFESTS) == README.count("```yaml") >= 2


@pytest.mark.parametrize(("path", "shown"), MANIFESTS, ids=[path for path, _ in MANIFESTS])
def test_a_manifest_shown_is_the_example(path: str, shown: str) -> None:
    assert yaml.safe_load(shown) == yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


@pytest.mark.parametrize("target", sorted(set(re.findall(r"make ([a-z-]+)", README))))
def test_a_make_target_shown_exists(target: str) -> None:
    assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_a_link_leads_somewhere(link: str) -> None:
    assert link.startswith("https://") or (ROOT / link).exists()


SHOWN = re.findall(r"^\$ wattmark (check --model .*)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", SHOWN)
def test_an_answer_shown_is_one_that_is_given(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main(shlex.split(command)) == 0
    printed = capsys.readouterr().out
    shown = README[README.index(command) :].split("```")[0]
    for line in printed.splitlines():
        if "GiB-x" in line:
            assert line.split()[0] in shown  # the node types; figures move with what is learnt of the need
    assert printed.splitlines()[1] in shown


LISTED = re.findall(r"^\$ wattmark (models .*)$", README, re.MULTILINE)


@pytest.mark.parametrize("command", LISTED)
def test_a_list_shown_is_the_one_that_is_printed(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    assert main(shlex.split(command)) == 0
    assert f"$ wattmark {command}\n{capsys.readouterr().out}```" in README
