"""By which way a need is found: a formula, a trace, or neither."""

from typing import Any

import pytest
from tests.unit.fleets import GPT2, LARGE, ON_VOLUME, UNET, UNLISTED, XLS_R, asked, cluster

from wattmark.api.conditions import Reason
from wattmark.model_facts import Facts, facts
from wattmark.preflight import for_check, needs_trace

NEEDS = [
    pytest.param("ClosedForm", GPT2, False, id="the closed form is asked for"),
    pytest.param("ClosedForm", XLS_R, False, id="even where it is Unknown"),
    pytest.param("ClosedForm", ON_VOLUME, False, id="or where only a Pod can read the model"),
    pytest.param("Auto", GPT2, False, id="there is a closed form"),
    pytest.param("Auto", XLS_R, True, id="there is none"),
    pytest.param("ClosedForm", UNLISTED, False, id="or where the type is not listed"),
    pytest.param("Auto", UNLISTED, True, id="the type is not listed"),
    pytest.param("Traced", UNLISTED, True, id="a trace of such a type is asked for"),
    pytest.param("Auto", ON_VOLUME, True, id="only a Pod can read the model"),
    pytest.param("Traced", GPT2, True, id="a trace is asked for"),
    pytest.param("Traced", UNET, False, id="the runner cannot build the model, so cannot trace it"),
]


@pytest.mark.parametrize(("method", "model", "needed"), NEEDS)
def test_a_trace_is_needed(method: str, model: dict[str, Any], needed: bool) -> None:
    spec = asked(method, model=model)
    known = facts(spec.model, None)
    assert isinstance(known, Facts)
    assert needs_trace(spec, known) is needed


@pytest.mark.parametrize("model", [UNLISTED, ON_VOLUME], ids=["of no listed type", "on a volume"])
def test_no_pod_is_started_for_an_optimizer_that_is_only_estimated(model: dict[str, Any]) -> None:
    spec = asked("Auto", model=model, workload={"type": "Training", "training": {"optimizer": "Lion"}})
    known = facts(spec.model, None)
    assert isinstance(known, Facts) and not needs_trace(spec, known)
    answer = for_check(spec, known, cluster(LARGE))
    assert answer.reason is Reason.NOT_ESTIMATED and "training.optimizer AdamW8Bit and Lion cannot" in answer.message


OPTIMIZERS = [
    pytest.param("AdamW", id="one that could be traced on one GPU"),
    pytest.param("AdamW8Bit", id="one that could not, which is not what keeps it from an answer"),
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_of_several_gpus_no_trace_is_offered(optimizer: str) -> None:
    training = {"type": "Training", "training": {"optimizer": optimizer}}
    shared = {"resources": {"gpusPerNode": 2}, "parallelism": {"type": "FSDP"}}
    spec = asked("ClosedForm", model={"id": "albert"}, workload=training, **shared)
    answer = for_check(spec, facts(spec.model, None), cluster(LARGE))
    assert answer.message.endswith("how shared layers (albert) are divided; use parallelism.type DDP")


def test_what_is_impossible_needs_no_trace_to_be_refused() -> None:
    spec = asked("Traced", runtime={"precision": "fp16-mixed"})
    known = facts(spec.model, None)
    assert isinstance(known, Facts) and not needs_trace(spec, known)
    answer = for_check(spec, known, cluster(LARGE))
    assert answer.refusal is not None and answer.refusal.reason is Reason.IMPOSSIBLE_PRECISION
