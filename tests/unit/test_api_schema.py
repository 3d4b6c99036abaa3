"""The base of every object of the API, and quantities."""

import datetime
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from wattmark.api.schema import Model, Quantity, Rule, ruled
from wattmark.crds import structural


class Part(Model):
    """A part."""

    some_count: int = Field(description="A count.")
    name: str | None = Field(None, description="A name.")


def test_the_wire_is_camel_case_without_what_is_unknown() -> None:
    assert Part(some_count=1).wire() == {"someCount": 1}


READ = [
    pytest.param({"someCount": 1}, id="as it is written"),
    pytest.param({"someCount": 1, "name": None}, id="null means absent"),
]
NOT_READ = [
    pytest.param({"some_count": 1}, id="Python's name"),
    pytest.param({"someCount": "1"}, id="a number in quotes"),
    pytest.param({"someCount": True}, id="a switch for a number"),
    pytest.param({"someCount": 1.5}, id="half of one"),
    pytest.param({"someCount": 1, "name": 5}, id="a number for a name"),
    pytest.param({"someCount": 1, "other": 1}, id="an unknown field"),
    pytest.param([], id="a list"),
    pytest.param(None, id="nothing"),
]


@pytest.mark.parametrize("raw", READ)
def test_read(raw: Any) -> None:
    assert Part.read(raw) == Part(some_count=1)


@pytest.mark.parametrize("raw", NOT_READ)
def test_not_read(raw: Any) -> None:
    with pytest.raises(ValidationError):
        Part.read(raw)


def test_a_word_that_yaml_takes_for_a_date_is_read_as_a_word() -> None:
    assert Part.read({"someCount": 1, "name": datetime.date(2027, 1, 1)}).name == "2027-01-01"


def test_unknown_fields_are_let_pass_where_a_newer_release_may_have_written_them() -> None:
    assert Part.read({"someCount": 1, "other": 1}, extra="ignore") == Part(some_count=1)


def test_objects_do_not_change() -> None:
    with pytest.raises(ValidationError):
        Part(some_count=1).some_count = 2  # type: ignore[misc]


class Ruled(Model):
    """Carries rules on itself and on a field."""

    model_config = ruled(Rule("self.part.someCount > 0", "on the class"))

    part: Annotated[Part, Rule("self.someCount < 9", "on the field")] = Field(description="A part.")


def test_rules_stand_where_they_were_put() -> None:
    schema = structural(Ruled)
    assert schema["x-kubernetes-validations"] == [{"rule": "self.part.someCount > 0", "message": "on the class"}]
    (rule,) = schema["properties"]["part"]["x-kubernetes-validations"]
    assert rule == {"rule": "self.someCount < 9", "message": "on the field"}


QUANTITY: TypeAdapter[str | int] = TypeAdapter(Quantity)


@pytest.mark.parametrize(
    "value", [1, 2**40, "1", "0.5", "500m", "16Gi", "16G", "1k", "1Ki", "1e3", "1E3", "2E", "0.001m"]
)
def test_quantities(value: str | int) -> None:
    assert QUANTITY.validate_python(value, strict=True) == value


@pytest.mark.parametrize(
    "value",
    [0, -1, "", "1 Gi", *["0", "0.0", "0Gi", "0e9", "-1", "+1", ".5", "5.", "1ki", "1K", "1mi", "1n", "1u", "1e", "x"]],
)
def test_no_quantities(value: str | int) -> None:
    with pytest.raises(ValidationError, match="must be a quantity above zero"):
        QUANTITY.validate_python(value, strict=True)


@given(st.text(max_size=40) | st.from_regex(r"[0-9.]{1,8}[a-zA-Z]{0,2}[0-9]{0,3}", fullmatch=True))
def test_no_text_breaks_the_reading_of_quantities(value: str) -> None:
    try:
        QUANTITY.validate_python(value, strict=True)
    except ValidationError:
        return
    assert value[0].isdigit() and len(value) <= 32
