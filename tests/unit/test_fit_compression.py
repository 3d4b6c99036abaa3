"""What is proposed to store less of the same model, and to which kind of object."""

from typing import Any

import pytest
from tests.unit.test_fit_most import asked
from tests.unit.test_fit_moves import PLACE, TRAINED

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fit import compression
from wattmark.fit.fallbacks import applied

MOVES = ("narrower_states", "lighter_optimizer", "quantized", "adapters", "quantized_adapters")
ADAPTED = {"type": "Training", "training": {"lora": {"rank": 4}}}
FUSED = {"type": "Training", "training": {"optimizer": "AdamWFused"}}
EIGHT_BITS = {"type": "Training", "training": {"optimizer": "AdamW8Bit"}}
LORA = {"lora": {"rank": 16, "targets": "AllLinear"}}


def optimizers(*names: str) -> list[Any]:
    return [{"workload": {"training": {"optimizer": name}}} for name in names]


def stored(*names: str) -> list[Any]:
    return [{"runtime": {"quantization": {"type": f"BitsAndBytes{name}"}}} for name in names]


PROPOSALS: list[Any] = [
    pytest.param("gpt2", {}, "lighter_optimizer", [], id="inference has no optimizer"),
    pytest.param(
        "gpt2", TRAINED, "lighter_optimizer", optimizers("Adafactor", "SGD"), id="AdamW -> fewer states, or none"
    ),
    pytest.param("gpt2", {}, "narrower_states", [], id="inference has no states"),
    pytest.param("gpt2", TRAINED, "narrower_states", optimizers("AdamW8Bit"), id="states in 8 bits"),
    pytest.param("gpt2", FUSED, "narrower_states", optimizers("AdamW8Bit"), id="those of a fused AdamW as well"),
    pytest.param("gpt2", EIGHT_BITS, "narrower_states", [], id="they are in 8 bits already"),
    pytest.param("gpt2", {}, "quantized", stored("Int8", "NF4"), id="inference: 8 bits, else 4"),
    pytest.param("gpt2", TRAINED, "quantized", [], id="quantized matrices cannot be trained"),
    pytest.param("gpt2", ADAPTED, "quantized", stored("NF4"), id="but adapters beside them can"),
    pytest.param("microsoft/resnet-50", {}, "quantized", [], id="convolutions are not quantized"),
    pytest.param("gpt2", {}, "adapters", [], id="inference trains nothing"),
    pytest.param("gpt2", TRAINED, "adapters", [{"workload": {"training": LORA}}], id="adapters alone are trained"),
    pytest.param("gpt2", ADAPTED, "adapters", [], id="they are already"),
    pytest.param("microsoft/resnet-50", TRAINED, "adapters", [], id="no layers to adapt"),
    pytest.param(
        "gpt2",
        TRAINED,
        "quantized_adapters",
        [{"workload": {"training": LORA}, "runtime": {"quantization": {"type": "BitsAndBytesNF4"}}}],
        id="both at once",
    ),
    pytest.param("gpt2", ADAPTED, "quantized_adapters", [], id="adapters are there"),
]


@pytest.mark.parametrize(("model", "workload", "move", "patches"), PROPOSALS)
def test_proposals(model: str, workload: Any, move: str, patches: list[Any]) -> None:
    found = getattr(compression, move)(asked(model, **workload), (PLACE,))
    assert [proposal.patch for proposal in found] == patches


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("workload", [{}, TRAINED, ADAPTED], ids=["inference", "training", "adapters"])
def test_a_question_may_be_asked_with_every_proposal(move: str, workload: Any) -> None:
    wanted = asked("gpt2", **workload)
    for proposal in getattr(compression, move)(wanted, (PLACE,)):
        assert ModelCheckSpec.read(applied(wanted.spec.wire(), proposal.patch))


def test_a_run_takes_adapters_and_pytorchs_optimizers() -> None:
    spec = BenchmarkJobSpec.read({"model": {"id": "gpt2"}, "workload": TRAINED})
    wanted = asked("gpt2", **TRAINED)
    taken = []
    for move in MOVES:
        for proposal in getattr(compression, move)(wanted, (PLACE,)):
            try:
                BenchmarkJobSpec.read(applied(spec.wire(), proposal.patch))
            except ValueError:
                continue
            taken.append(move)
    assert taken == ["lighter_optimizer", "lighter_optimizer", "adapters"]
