"""Published measurements are whole and cited, the held-out half stays held out, and what is reckoned is right."""

from pathlib import Path

import pytest
import yaml
from tests.accuracy import predict
from tests.accuracy.__main__ import BEGIN, END, PAGE
from tests.accuracy.data import DEFINITIONS, HELD_OUT, MEASURED, components, merged, points
from tests.accuracy.statistics import Summary, wilson
from tests.accuracy.table import tables

from wattmark.api.answers import Need

POINTS = points()
FILES = sorted(MEASURED.glob("*.yaml"))


def test_there_are_enough_points_to_speak_of() -> None:
    assert len([point for point in POINTS if point.measured]) >= 60


def test_no_point_stands_twice() -> None:
    assert len({point.id for point in POINTS}) == len(POINTS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_file_says_where_its_figures_are_from_and_what_they_mean(file: Path) -> None:
    table = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(table["source"]) == {"title", "author", "address", "stored", "where", "method"}
    assert table["source"]["address"].startswith("https://")
    assert table["why"]
    assert table["definition"] in (*DEFINITIONS, "unclear", "outcome")


def test_the_held_out_half_is_the_one_that_was_written_down() -> None:
    """It was drawn before any comparison. A new series may add a line; none may ever leave."""
    series = dict.fromkeys(point.series for point in POINTS if point.held_out)
    assert HELD_OUT.read_text(encoding="utf-8").split() == list(series)


def test_what_formulas_were_written_with_is_never_held_out() -> None:
    assert [point.id for point in POINTS if point.seen and point.held_out] == []


def test_what_is_left_of_a_difference_is_above_nothing() -> None:
    assert [part.title for part in components() if not 0 < part.low <= part.high] == []


def test_a_specification_over_another_keeps_what_it_does_not_name() -> None:
    base = {"runtime": {"precision": "bf16", "attention": "SDPA"}, "model": {"id": "gpt2"}}
    over = merged(base, {"runtime": {"attention": "Eager"}})
    assert over == {"runtime": {"precision": "bf16", "attention": "Eager"}, "model": {"id": "gpt2"}}
    assert base["runtime"]["attention"] == "SDPA"


def test_a_point_is_asked_as_a_model_check_is() -> None:
    point = next(point for point in POINTS if point.id == "qwen25_a100/Qwen2.5-7B/6144")
    found = predict.predicted(point)
    assert isinstance(found, Need)
    assert found.allocated_bytes.low < point.measured["allocated"] < found.allocated_bytes.high
    chance = predict.out_of_memory(point, found)
    assert chance is not None
    assert chance < 0.001  # 15 of 80 GiB


@pytest.mark.parametrize(
    ("successes", "cases", "expected"),
    [
        pytest.param(0, 10, (0.0, 0.2775), id="none of ten may still be one in four"),
        pytest.param(10, 10, (0.7225, 1.0), id="all of ten need not be all"),
        pytest.param(5, 10, (0.2366, 0.7634), id="a half is in the middle"),
    ],
)
def test_wilson(successes: int, cases: int, expected: tuple[float, float]) -> None:
    assert wilson(successes, cases) == pytest.approx(expected, abs=1e-4)


def test_a_summary_keeps_the_sign_of_the_worst() -> None:
    found = Summary.of([-0.3, 0.1, 0.2], [True, False, True])
    assert (found.worst, found.median, found.inside, found.count) == (-0.3, 0.1, 2, 3)
    assert found.mean == pytest.approx(0.0)
    assert found.mean_absolute == pytest.approx(0.2)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_page_names_every_source(file: Path) -> None:
    assert f"| `{file.name}` |" in PAGE.read_text(encoding="utf-8")


def test_the_page_shows_what_the_estimates_are_today() -> None:
    before, begin, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    assert before and begin and rest.partition(END)[0] == tables(POINTS, components()), "run `make accuracy`"
