"""A complaint names the field that was meant, or those that there are."""

from typing import Any

import pytest
from pydantic import ValidationError

from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.cli.misspelt import said

MODEL = {"model": {"id": "gpt2"}}
COMPLAINTS = [
    pytest.param({"runtime": {"atention": "Eager"}}, "no such field; did you mean attention?", id="a field of a part"),
    pytest.param({"modle": {}}, "no such field; did you mean model?", id="a field of the spec itself"),
    pytest.param(
        {"workload": {"type": "Training", "training": {"lora": {"rnak": 4}}}}, "did you mean rank?", id="one deep down"
    ),
    pytest.param({"runtime": {"speed": 1}}, "there are attention, precision, quantization", id="nothing like it"),
    pytest.param(
        {"workload": {"type": "Inference", "inference": {}, "training": {}}},
        "workload.training goes with",
        id="a rule, without jargon",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("more", "words"), COMPLAINTS)
def test_what_is_said(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        ModelCheckSpec.read(MODEL | more)
    told = [said(error, ModelCheckSpec) for error in refused.value.errors(include_url=False)]
    assert any(words in one for one in told), told
    assert not any(one.startswith("Value error") for one in told)
