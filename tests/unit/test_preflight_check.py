"""What a ModelCheck is answered, by a formula and by a trace."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit import finished
from tests.unit.fleets import GPT2, LARGE, ON_VOLUME, SMALL, UNET, UNLISTED, XLS_R, asked, before, cluster
from tests.unit.test_fleet_nodes import A100, EIGHT, node
from tests.unit.traced import TRACE

from wattmark.api.answers import Source
from wattmark.api.conditions import Reason
from wattmark.api.figures import UnavailableReason
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.estimate import Gpu
from wattmark.estimate.traced import traced
from wattmark.evidence import NOTHING_LEARNT, Experience
from wattmark.fit.checks import WeightsSeen
from wattmark.model_facts import Facts, facts
from wattmark.preflight import for_check


def test_a_question_gets_the_same_verdict_as_a_run() -> None:
    run = before(cluster(LARGE, SMALL))
    question = ModelCheckSpec.read({"model": GPT2})
    answer = for_check(question, facts(question.model, None), cluster(LARGE, SMALL))
    assert answer.parameter_count == 124_439_808
    assert (answer.need, answer.resolved) == (run.need, run.resolved)
    assert [(t.node_type, t.verdict) for t in answer.node_types] == [(t.node_type, t.verdict) for t in run.predictions]


@pytest.mark.parametrize(
    "model", [XLS_R, ON_VOLUME, UNLISTED], ids=["no formula", "no configuration", "a type that is not listed"]
)
def test_an_unknown_closed_form_tells_the_way(model: dict[str, Any]) -> None:
    spec = asked("ClosedForm", model=model)
    answer = for_check(spec, facts(spec.model, None), cluster(LARGE))
    assert answer.reason is Reason.NOT_ESTIMATED
    assert "set spec.method to Traced or Auto" in answer.message
    assert "spec.method" not in before(cluster(LARGE), model=model).message  # a BenchmarkJob has none


def test_what_the_runner_cannot_build_is_counted_but_neither_run_nor_traced() -> None:
    spec = asked("Traced", model=UNET)
    answer = for_check(spec, facts(spec.model, None), cluster(LARGE))
    assert (answer.refusal, answer.parameter_count, answer.reason) == (None, 859_520_964, Reason.NOT_ESTIMATED)
    assert "run it with diffusers" in answer.message and "spec.method" not in answer.message
    run = before(cluster(LARGE), model=UNET)
    assert run.refusal is not None and run.refusal.reason is Reason.UNSUPPORTED_MODEL
    assert "run it with diffusers" in run.refusal.message


@pytest.mark.parametrize(
    "model", [GPT2, ON_VOLUME, UNLISTED], ids=["known", "read by the Pod alone", "of a type that is not listed"]
)
def test_a_trace_answers_for_every_node_type(model: dict[str, Any]) -> None:
    spec = asked("Traced", model=model)
    answer = for_check(spec, facts(spec.model, None), cluster(LARGE, SMALL), TRACE)
    assert (answer.need, answer.resolved) == (traced(TRACE, spec.model.weights, Gpu()), TRACE.resolved)
    assert answer.parameter_count == TRACE.parameter_count
    needs = {kind.node_type.split("-")[1]: kind.need_bytes for kind in answer.node_types}
    for short, capability in (("A100", (8, 0)), ("T4", (7, 5))):
        assert needs[short] == traced(TRACE, spec.model.weights, Gpu(capability)).required_bytes
    assert {kind.source for kind in answer.node_types} == {Source.TRACED}
    assert all(kind.largest_batch_size_per_device is None for kind in answer.node_types)
    assert {u.reason for u in answer.unavailable} == {UnavailableReason.NOT_TRACED} and answer.fallbacks == ()


WEIGHTS = [
    pytest.param(GPT2 | {"weights": "Pretrained"}, None, ["weights"], id="a hub's, which nobody asked"),
    pytest.param(GPT2 | {"weights": "Pretrained"}, WeightsSeen(True), [], id="which are there"),
    pytest.param(ON_VOLUME | {"weights": "Pretrained"}, None, [], id="a volume's, which no hub knows of"),
    pytest.param(GPT2, None, [], id="random ones"),
]


@pytest.mark.parametrize(("model", "seen", "named"), WEIGHTS)
def test_weights_that_were_not_looked_for_are_named(
    model: dict[str, Any], seen: WeightsSeen | None, named: list[str]
) -> None:
    spec = asked("ClosedForm", model=model)
    known = facts(spec.model, None)
    assert isinstance(known, Facts)
    answer = for_check(spec, replace(known, weights=seen), cluster(LARGE))
    assert [u.field for u in answer.unavailable if u.reason is UnavailableReason.NOT_CHECKED] == named


def test_fallbacks_are_missed_only_where_it_surely_fits_nowhere() -> None:
    spec = asked("Traced")
    known = facts(spec.model, None)
    large = TRACE.model_copy(
        update={"memory": [one.model_copy(update={"least_reserved_bytes": 2**40}) for one in TRACE.memory]}
    )
    missed = [{u.field for u in for_check(spec, known, cluster(LARGE), found).unavailable} for found in (TRACE, large)]
    assert ["fallbacks" in fields for fields in missed] == [False, True]


def test_runs_of_the_same_question_speak_of_a_traced_one_and_the_like_do_not() -> None:
    same = asked("Traced", workload=finished.spec()["workload"])
    _, done = finished.finished(finished.spec())
    trace = TRACE.model_copy(update={"resolved": done.resolved})
    l4 = node(A100 | {"nvidia.com/gpu.product": "NVIDIA-L4", "nvidia.com/gpu.memory": "23034"}, EIGHT, "l4")
    experience = Experience([finished.run(finished.spec(), finished.on_gpu(3))])
    answer = for_check(same, facts(same.model, None), cluster(LARGE, l4), trace, experience)
    assert {a.node_type.split("-")[1]: a.source for a in answer.node_types} == {
        "A100": Source.TRACED,
        "L4": Source.MEASURED,
    }
    assert (answer.lesson.same, answer.lesson.alike) == (1, 0)
    alike = Experience([finished.run(finished.spec(batch=4), finished.on_gpu(3))])
    answer = for_check(same, facts(same.model, None), cluster(LARGE, l4), trace, alike)
    assert {a.source for a in answer.node_types} == {Source.TRACED}
    assert answer.lesson == NOTHING_LEARNT and answer.lesson.alike == 0


def test_what_would_be_the_most_is_told_where_it_is_asked_and_not_before_a_run() -> None:
    question = ModelCheckSpec.read({"model": GPT2})
    (told,) = for_check(question, facts(question.model, None), cluster(LARGE)).node_types
    assert told.largest_batch_size_per_device is not None and told.largest_batch_size_per_device > 8
    assert told.longest_input_tokens == 1024 - 128  # all that GPT-2 takes beside what it generates
    (before_a_run,) = before(cluster(LARGE)).predictions
    assert before_a_run.largest_batch_size_per_device is None and before_a_run.longest_input_tokens is None
