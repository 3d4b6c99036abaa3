"""Published measurements are whole and cited, and the half that is held out stays held out."""

from pathlib import Path

import pytest
import yaml
from tests.accuracy.data import DEFINITIONS, HELD_OUT, MEASURED, components, points

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
