"""What is gathered before a question is answered: what the hub says of weights; and what is said where that fails."""

from typing import Any, cast

import pytest

from wattmark import model_facts, preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import Reason
from wattmark.api.model import ModelSpec
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide.check import decide
from wattmark.decide.plan import Identity
from wattmark.fit.checks import WeightsSeen
from wattmark.hub import Hub, HubConfig, HubSilent, NotOnHub
from wattmark.reconcile.knowledge import Knowledge, guarded
from wattmark.world import World

PRETRAINED = {"id": "bert-base-uncased", "weights": "Pretrained"}
REVISION = "0" * 40
GATED = NotOnHub('the hub does not give "x" to everybody (HTTP 401): it is gated; give its configuration inline')


class Answering:
    """A hub that gives one answer, and remembers what it was asked."""

    def __init__(self, answer: Any) -> None:
        self.switched_off = answer is None
        self.asked: list[tuple[str, str | None]] = []
        self._answer = answer

    async def config(self, model: str, revision: str | None) -> Any:
        self.asked.append((model, revision))
        return self._answer


CASES: list[Any] = [
    pytest.param(PRETRAINED, HubConfig({}), WeightsSeen(True), id="they are there"),
    pytest.param(PRETRAINED, HubSilent("no answer; soon"), WeightsSeen(None, "no answer"), id="a hub that is silent"),
    pytest.param(
        PRETRAINED, GATED, WeightsSeen(False, GATED.message.partition(";")[0]), id="not for everybody, or not there"
    ),
    pytest.param(
        PRETRAINED, None, WeightsSeen(None, "looking models up on a hub is switched off"), id="no hub is asked"
    ),
    pytest.param(PRETRAINED | {"source": {"type": "Registry"}}, HubConfig({}), WeightsSeen(True), id="the registry's"),
]


@pytest.mark.parametrize(("model", "answer", "seen"), CASES)
async def test_the_hub_is_asked_for_weights_that_a_run_downloads(model: Any, answer: Any, seen: WeightsSeen) -> None:
    hub = Answering(answer)
    knowledge = Knowledge(cast("World", None), cast("Hub", hub))
    facts = await knowledge.facts(ModelSpec.model_validate(model))
    assert isinstance(facts, model_facts.Facts) and facts.weights == seen
    assert hub.asked == ([] if answer is None else [("bert-base-uncased", None)])
    assert knowledge.may_hear_more(facts) is isinstance(answer, HubSilent)


CLAIM = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "c"}}
TOKEN = {"type": "Hub", "hub": {"revision": REVISION, "tokenSecretRef": {"name": "s", "key": "k"}}}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param({"id": "bert-base-uncased"}, id="random weights"),
        pytest.param(PRETRAINED | {"source": CLAIM}, id="weights of a volume"),
        pytest.param(PRETRAINED | {"source": TOKEN}, id="weights for which a token is needed"),
    ],
)
async def test_nobody_is_asked_for_weights_that_come_by_another_way(model: Any) -> None:
    hub = Answering(HubConfig({}))
    facts = await Knowledge(cast("World", None), cast("Hub", hub)).facts(ModelSpec.model_validate(model))
    assert isinstance(facts, model_facts.Facts) and facts.weights is None and hub.asked == []


def test_an_estimate_that_fails_is_said_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    answer = guarded(lambda: cast("preflight.Answer", 1 // 0), preflight.unanswered)
    assert answer.refusal is not None and answer.reason is Reason.INTERNAL_ERROR
    assert "ZeroDivisionError: integer division or modulo by zero" in answer.message and "report" in answer.message
    assert caplog.records[0].exc_info is not None
    spec = ModelCheckSpec.model_validate({"model": {"id": "gpt2"}})
    status = decide(Identity("team", "q", "uid", 1, 0.0, False), spec, ModelCheckStatus(), answer, 0.0)
    said = {c.type.value: (c.status.value, c.reason.value) for c in status.conditions}
    assert said == {
        "Evaluated": ("False", "InternalError"),
        "Fits": ("Unknown", "InternalError"),
        "Ready": ("False", "InternalError"),
        "Stalled": ("True", "InternalError"),
    }


def test_an_estimate_that_fails_does_not_keep_a_run_from_measuring() -> None:
    spec = BenchmarkJobSpec.model_validate({"model": {"id": "gpt2"}, "resources": {"gpu": {"products": ["NVIDIA-L4"]}}})
    facts = model_facts.facts(spec.model, None)
    found = guarded(lambda: cast("preflight.Preflight", 1 // 0), lambda why: preflight.unforeseen(spec, facts, why))
    assert (found.refusal, found.fits, found.reason) == (None, None, Reason.INTERNAL_ERROR)
    assert found.config and found.products == ("NVIDIA-L4",) and found.unavailable[0].field == "need"
