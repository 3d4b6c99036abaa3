"""`wattmark models`: what is known offline, as a table that any terminal has room for and as data."""

import json
from typing import Any

import pytest
import yaml
from tests.unit.test_cli_table import plain, told

from wattmark.cli.command import main
from wattmark.models import Unsupported, architecture, known_ids, lookup

__all__ = ["plain"]  # no colour and 120 columns, here too


def data(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, Any]]:
    found = json.loads(told(capsys, "models", *words, "-o", "json"))
    assert isinstance(found, list)
    return found


def test_every_model_of_the_registry_is_listed_once(capsys: pytest.CaptureFixture[str]) -> None:
    listed = data(capsys)
    assert sorted(one["id"] for one in listed) == sorted(known_ids())
    for one in listed:
        assert all(lookup(name) is lookup(one["id"]) for name in one["names"])
        assert one["parameterCount"] > one.get("activeParameterCount", 0) and one["family"] and one["modality"]
        assert one["needBy"].keys() | {u["field"].removeprefix("needBy.") for u in one.get("unavailable", [])} == {
            "inference", "training",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        pytest.param(
            "gpt2-xl",
            {
                "id": "openai-community/gpt2-xl",
                "names": ["gpt2-xl"],
                "modelType": "gpt2",
                "family": "Decoder",
                "modality": "Text",
                "parameterCount": 1_557_611_200,
                "needBy": {"inference": "ClosedForm", "training": "ClosedForm"},
            },
            id="a formula for both",
        ),
        pytest.param(
            "MIXTRAL-8X7B-V",
            {"parameterCount": 46_702_792_704, "activeParameterCount": 12_879_925_248},
            id="a mixture, by a part of its id in any case of letters",
        ),
        pytest.param("sdxl", {"parameterCount": 2_567_463_684, "family": "Denoiser", "needBy": {}}, id="no way at all"),
    ],
)
def test_what_is_told_of_one(word: str, expected: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = data(capsys, word)
    assert {name: one[name] for name in expected} == expected


def test_what_no_formula_and_no_trace_finds_is_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = data(capsys, "sdxl")
    assert [missing["field"] for missing in one["unavailable"]] == ["needBy.inference", "needBy.training"]
    assert "run it with diffusers" in one["unavailable"][0]["message"]


def test_the_closed_form_is_promised_where_there_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    for one in data(capsys):
        model = lookup(one["id"])
        assert model is not None
        read = architecture(model.config)
        assert not isinstance(read, Unsupported)
        way = None if read.unrunnable else "Traced" if read.unmodelled else "ClosedForm"
        trained = "Traced" if way and read.only_inference else way
        assert one["needBy"] == ({} if way is None else {"inference": way, "training": trained})


def test_several_words_give_what_has_one_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    types = {one["modelType"] for one in data(capsys, "gpt_neox", "visiontransformer")}
    assert types == {"gpt_neox", "vit"}


def test_yaml_is_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert yaml.safe_load(told(capsys, "models", "qwen3", "-o", "yaml")) == data(capsys, "qwen3")


def test_the_table_has_sections_and_the_smallest_model_first(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "models", "gpt2", "mixtral", "unet").splitlines()
    rows = [line.split() for line in lines]
    assert [row for row in rows if row[:1] in (["gpt2"], ["mixtral"])] == [
        ["gpt2", "(Decoder,", "Text)"], ["mixtral", "(Decoder,", "Text)"],
    ]  # fmt: skip
    (small,) = [row for row in rows if row[:1] == ["openai-community/gpt2"]]
    assert small[:4] == ["openai-community/gpt2", "124", "M", "formula"]
    (mixture,) = [row for row in rows if row[:1] == ["mistralai/Mixtral-8x7B-v0.1"]]
    assert mixture[1:6] == ["46.7", "B", "12.9", "B", "formula"]
    (unet,) = [row for row in rows if row[:1] == ["stable-diffusion-v1-5/stable-diffusion-v1-5"]]
    assert unet[1:4] == ["860", "M", "-"]
    assert "242 M   formula / trace" in told(capsys, "models", "whisper-small")
    assert any("Models: " in line for line in lines)


@pytest.mark.parametrize("columns", [200, 110, 80, 40])
def test_the_table_fits_the_terminal_and_loses_no_name(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = told(capsys, "models")
    assert max(map(len, shown.splitlines())) <= columns
    assert shown.count("formula") > 100
    if columns == 200:  # wide enough to break names behind publishers alone
        whole = "".join(shown.split())
        assert all(name in whole for i in known_ids() if (model := lookup(i)) for name in (i, *model.names))


def test_a_word_that_nothing_has_ends_with_1_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "gtp2"]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "did you mean openai-community/gpt2" in said.err
    assert main(["models", "gtp2", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out) == []
