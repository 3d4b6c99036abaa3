"""What a ModelCheck's status says, given the answer."""

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.seen import CREATED, IDENTITY, NEED, at

from wattmark.api.answers import NodeTypeAnswer, Source, Verdict
from wattmark.api.conditions import ConditionStatus, ConditionType, Reason
from wattmark.api.fallback import Change, Fallback
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide.check import MOST_NODE_TYPES, decide
from wattmark.decide.waiting import Waiting
from wattmark.model_facts import Refusal
from wattmark.preflight import Answer

GIB = 2**30
YES, NO, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def kind(name: str, verdict: str, fits_now: str = "Unknown") -> NodeTypeAnswer:
    return NodeTypeAnswer(
        node_type=name,
        verdict=Verdict(verdict),
        fits_now=Verdict(fits_now),
        reason="Memory",
        message="in words",
        headroom_bytes=8 * GIB,
        nodes=1,
        source=Source.CLOSED_FORM,
    )


def answer(*types: NodeTypeAnswer, **changes: Any) -> Answer:
    plain = Answer(None, None, 124_439_808, NEED, types, (), Reason.FITS_SOME, "the message")
    return replace(plain, **changes)


def spec(require: str = "None") -> ModelCheckSpec:
    return ModelCheckSpec.model_validate({"model": {"id": "gpt2"}, "require": require})


def step(
    found: Answer | Waiting | str, require: str = "None", status: ModelCheckStatus | None = None, seconds: float = 0
) -> ModelCheckStatus:
    return decide(IDENTITY, spec(require), status or ModelCheckStatus(), found, CREATED + seconds)


def says(status: ModelCheckStatus, of: ConditionType) -> tuple[ConditionStatus, Reason]:
    found = {c.type: (c.status, c.reason) for c in status.conditions}
    return found[of]


A, B = kind("A", "Fits", "DoesNotFit"), kind("B", "FitsTight", "FitsTight")
C, D = kind("C", "Unknown"), kind("D", "DoesNotFit", "DoesNotFit")

FITS = [
    pytest.param((A,), YES, Reason.FITS_ALL, "1/1", id="fits all there are"),
    pytest.param((A, A), YES, Reason.FITS_ALL, "2/2", id="fits two of two"),
    pytest.param((A, B), YES, Reason.FITS_SOME, "1/2, 1 tight", id="tight is counted apart"),
    pytest.param((B, C, D), UNKNOWN, Reason.FITS_TIGHT, "0/3, 1 tight", id="tight at best: it may or may not fit"),
    pytest.param((A, C, D), YES, Reason.FITS_SOME, "1/3", id="fits some"),
    pytest.param((C, D), UNKNOWN, Reason.UNKNOWN, "0/2", id="no known fit, and one that is not known"),
    pytest.param((D,), NO, Reason.FITS_NONE, "0/1", id="fits none"),
    pytest.param((), UNKNOWN, Reason.FITS_SOME, "0/0", id="nothing to compare with: the answer's own reason"),
]


@pytest.mark.parametrize(("types", "status", "reason", "fits"), FITS)
def test_fits(types: Any, status: ConditionStatus, reason: Reason, fits: str) -> None:
    decided = step(answer(*types))
    assert says(decided, ConditionType.FITS) == (status, reason)
    assert says(decided, ConditionType.EVALUATED) == (YES, Reason.EVALUATED)
    assert says(decided, ConditionType.READY) == (YES, Reason.EVALUATED)  # an answer, whichever it is
    assert decided.summary is not None and decided.summary.fits == fits
    assert decided.evaluation_time == at(0)


MET, NOT_MET = (YES, Reason.REQUIREMENT_MET), (NO, Reason.REQUIREMENT_NOT_MET)
REQUIRED = [
    pytest.param("FitsTight", (B, D), MET, id="tight is enough where tight is asked for"),
    pytest.param("Fits", (B, D), NOT_MET, id="tight is not enough where more is asked for"),
    pytest.param("Fits", (A, D), MET, id="one type is enough"),
    pytest.param("Fits", (C, D), NOT_MET, id="what is not known is not met"),
    pytest.param("FitsNow", (A, D), NOT_MET, id="what fits an empty node may not fit now"),
    pytest.param("FitsNow", (A, B), MET, id="what fits now"),
    pytest.param("FitsNow", (), NOT_MET, id="nothing to fit"),
]


@pytest.mark.parametrize(("require", "types", "ready"), REQUIRED)
def test_a_requirement_decides_ready_and_stalled(require: str, types: Any, ready: Any) -> None:
    decided = step(answer(*types), require)
    assert says(decided, ConditionType.READY) == ready
    assert (ConditionType.STALLED in {c.type for c in decided.conditions}) == (ready is NOT_MET)


def test_columns_show_the_need_and_the_best_type() -> None:
    decided = step(answer(A, D))
    assert decided.summary is not None
    assert decided.summary.wire() == {
        "model": "gpt2",
        "verdict": "Fits",
        "need": "16.0 GiB",
        "bestNodeType": "A",
        "fits": "1/2",
        "headroom": "8.0 GiB",
    }
    assert decided.source is Source.CLOSED_FORM and decided.parameter_count == 124_439_808


def test_columns_show_a_dash_for_what_is_not_known() -> None:
    decided = step(answer(C, need=None))
    assert decided.summary is not None
    summary = decided.summary
    assert (summary.need, summary.best_node_type, summary.headroom, summary.verdict) == ("-", "-", "-", "Unknown")


KEPT = {"observedGeneration", "conditions", "summary", "nodeTypes", "fallbacks", "unavailable", "evaluationTime"}
UNANSWERED = [
    pytest.param(
        Waiting(Reason.HUB_UNREACHABLE, "the hub is silent", True),
        Reason.HUB_UNREACHABLE,
        ConditionType.RECONCILING,
        id="a silent hub is asked again",
    ),
    pytest.param(
        Waiting(Reason.TRACING, "a Job traces", False), Reason.TRACING, ConditionType.RECONCILING, id="a trace goes on"
    ),
    pytest.param(
        answer(refusal=Refusal(Reason.UNKNOWN_MODEL, "no such model")),
        Reason.UNKNOWN_MODEL,
        ConditionType.STALLED,
        id="an unknown model needs an edit",
    ),
]


@pytest.mark.parametrize(("found", "reason", "abnormal"), UNANSWERED)
def test_without_an_answer_nothing_of_the_last_one_stays(found: Any, reason: Reason, abnormal: ConditionType) -> None:
    decided = step(found, status=step(answer(A)), seconds=60)
    assert says(decided, ConditionType.READY) == (NO, reason)
    assert says(decided, abnormal) == (YES, reason)
    assert set(decided.wire()) <= KEPT
    assert decided.node_types == [] and decided.unavailable == []


def test_a_spec_that_cannot_be_read_needs_an_edit() -> None:
    decided = decide(IDENTITY, "spec.model: odd", step(answer(A)), "spec.model: odd", CREATED)
    assert says(decided, ConditionType.STALLED) == (YES, Reason.INVALID_SPEC)


def test_more_node_types_than_status_holds_are_cut_but_counted() -> None:
    types = tuple(kind(f"T{i}", "Fits") for i in range(MOST_NODE_TYPES + 8))
    decided = step(answer(*types))
    assert len(decided.node_types) == MOST_NODE_TYPES
    assert decided.summary is not None and decided.summary.fits == "40/40"


def test_the_same_answer_later_is_the_same_status() -> None:
    first = step(answer(A, D))
    stored = ModelCheckStatus.model_validate_json(json.dumps(first.wire()))
    assert step(answer(A, D), status=stored, seconds=60) == first


def test_the_time_of_an_answer_moves_with_the_verdict_and_not_with_its_words() -> None:
    first = step(answer(A, D))
    reworded = answer(A.model_copy(update={"message": "7 free", "free_gpus": 7}), D, message="other words")
    assert step(reworded, status=first, seconds=60).evaluation_time == at(0)
    assert step(answer(B, D), status=first, seconds=60).evaluation_time == at(60)


FALLBACK = Fallback(
    rank=1,
    changes=[Change.BATCH_SIZE],
    changes_result=True,
    patch='{"spec":{}}',
    message="a batch of 4",
    node_type="D",
    need_bytes=NEED.allocated_bytes,
)


def test_what_would_make_it_fit_is_said_and_goes_when_it_fits() -> None:
    short = step(answer(D, fallbacks=(FALLBACK,), message="fits none"))
    assert short.fallbacks == [FALLBACK]
    (fits,) = (c for c in short.conditions if c.type is ConditionType.FITS)
    assert fits.message == "fits none; status.fallbacks has what makes it fit, first: a batch of 4"
    assert step(answer(A, D), status=short, seconds=60).fallbacks == []
