"""What is known before a run, from the model's source to the verdict on the fleet."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit import finished
from tests.unit.test_fleet_nodes import A100, EIGHT, node
from tests.unit.test_fleet_slices import bare, body, seen
from tests.unit.traced import TRACE

from wattmark.api.answers import Source, Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import Reason
from wattmark.api.figures import UnavailableReason
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.estimate import Gpu
from wattmark.estimate.traced import traced
from wattmark.evidence import NOTHING_LEARNT, Experience
from wattmark.fit.checks import WeightsSeen
from wattmark.fleet.gpus import gpu_product
from wattmark.fleet.nodes import AssumedNodes, read_node
from wattmark.model_facts import Facts, facts
from wattmark.preflight import Fleet, Preflight, fleet, for_benchmark, for_check, needs_trace

GPT2 = {"id": "gpt2"}
VOLUME = {"type": "PersistentVolumeClaim", "persistentVolumeClaim": {"claimName": "models"}}


def cluster(*bodies: dict[str, Any]) -> Fleet:
    return fleet([read_node(body) for body in bodies], ())


T4 = {
    **A100,
    "nvidia.com/gpu.product": "Tesla-T4",
    "nvidia.com/gpu.memory": "15360",
    "nvidia.com/gpu.compute.major": "7",
    "nvidia.com/gpu.compute.minor": "5",
}
LARGE, SMALL = node(A100, EIGHT, "large"), node(T4, EIGHT, "small")
NO_GPU = node({"kubernetes.io/arch": "amd64"}, {"cpu": "4", "memory": "16Gi"}, "cpu")


def before(nodes: Fleet | None, **spec: Any) -> Preflight:
    read = BenchmarkJobSpec.read({"model": GPT2, **spec})
    return for_benchmark(read, facts(read.model, None), nodes)


LLAMA = {"id": "meta-llama/Llama-3.1-8B"}
ON_CPU = {"resources": {"gpusPerNode": 0}}
FP16 = {"runtime": {"precision": "fp16"}}
VERDICTS = [
    pytest.param(cluster(LARGE), {}, True, Reason.FITS_ALL, id="fits the only type"),
    pytest.param(cluster(LARGE, SMALL), {"model": LLAMA, **FP16}, True, Reason.FITS_SOME, id="fits one of two types"),
    pytest.param(cluster(SMALL), {"model": LLAMA, **FP16}, False, Reason.DOES_NOT_FIT, id="fits none"),
    pytest.param(cluster(NO_GPU), {}, None, Reason.NO_GPU_NODES, id="no GPU nodes now: they may come"),
    pytest.param(cluster(), {}, None, Reason.NO_GPU_NODES, id="no nodes at all"),
    pytest.param(None, {}, None, Reason.NODES_UNKNOWN, id="nodes may not be read"),
    pytest.param(cluster(LARGE), {"preflight": {"policy": "Off"}}, None, Reason.CHECK_OFF, id="not to be checked"),
    pytest.param(cluster(NO_GPU), ON_CPU, True, Reason.FITS_ALL, id="on the CPU"),
    pytest.param(
        cluster(LARGE), {"model": {"id": "m", "source": VOLUME}}, None, Reason.NOT_ESTIMATED, id="only the runner knows"
    ),
]


@pytest.mark.parametrize(("nodes", "spec", "fits", "reason"), VERDICTS)
def test_the_verdict(nodes: Fleet | None, spec: dict[str, Any], fits: bool | None, reason: Reason) -> None:
    found = before(nodes, **spec)
    assert (found.fits, found.reason) == (fits, reason), found.message
    assert found.refusal is None and found.message


def test_nodes_without_labels_of_which_gpus_can_only_be_claimed_do_not_open_others_to_a_run() -> None:
    spec = {"model": {"id": "meta-llama/Llama-3.1-8B"}, "runtime": {"precision": "fp16"}}
    nodes = [read_node(one) for one in (LARGE, SMALL, bare())]
    slices = [seen(body("nvidia"))]
    found = before(fleet(nodes, (), (), slices), **spec)
    assert "ClaimedGpu" in {answer.reason for answer in found.predictions}
    assert found.products == ("NVIDIA-A100-SXM4-80GB",)


LOST = [
    pytest.param(WeightsSeen(True), LARGE, True, False, id="weights that are there"),
    pytest.param(WeightsSeen(None, "the hub is silent"), LARGE, None, False, id="weights of a silent hub: not known"),
    pytest.param(WeightsSeen(False, "the hub has none"), LARGE, False, False, id="weights that nobody has"),
    pytest.param(WeightsSeen(None, "the hub is silent"), SMALL, False, True, id="too large, there or not"),
    pytest.param(WeightsSeen(False, "the hub has none"), SMALL, False, False, id="too large, and not there: no remedy"),
]


@pytest.mark.parametrize(("seen_of", "body_of", "fits", "remedies"), LOST)
def test_a_run_that_finds_no_weights_does_not_start_and_no_change_helps(
    seen_of: WeightsSeen, body_of: dict[str, Any], fits: bool | None, remedies: bool
) -> None:
    raw = {"model": {"id": "meta-llama/Llama-3.1-8B", "weights": "Pretrained"}, "runtime": {"precision": "fp16"}}
    spec = BenchmarkJobSpec.read(raw)
    known = facts(spec.model, None)
    assert isinstance(known, Facts)
    found = for_benchmark(spec, replace(known, weights=seen_of), cluster(body_of))
    assert (found.fits, bool(found.fallbacks)) == (fits, remedies)


def test_a_run_is_held_to_the_products_that_it_fits_only_where_there_are_others() -> None:
    spec = {"model": LLAMA, **FP16}
    assert before(cluster(LARGE, SMALL), **spec).products == ("NVIDIA-A100-SXM4-80GB",)
    assert before(cluster(LARGE), **spec).products is None
    wanted = {"resources": {"gpu": {"products": ["NVIDIA-A100-SXM4-80GB"]}}}
    assert before(cluster(LARGE), **spec, **wanted).products == ("NVIDIA-A100-SXM4-80GB",)


def test_an_impossible_workload_is_refused_before_any_node_is_looked_at() -> None:
    found = before(None, runtime={"precision": "fp16-mixed"})
    assert found.refusal is not None and found.refusal.reason is Reason.IMPOSSIBLE_PRECISION


def test_what_is_not_estimated_is_named() -> None:
    found = before(cluster(LARGE), model={"id": "m", "source": VOLUME})
    assert found.need is None
    assert [(u.field, u.reason.value) for u in found.unavailable] == [("need", "NotPredicted")]


def test_a_question_gets_the_same_verdict_as_a_run() -> None:
    run = before(cluster(LARGE, SMALL))
    question = ModelCheckSpec.read({"model": GPT2})
    answer = for_check(question, facts(question.model, None), cluster(LARGE, SMALL))
    assert answer.parameter_count == 124_439_808
    assert (answer.need, answer.resolved) == (run.need, run.resolved)
    assert [(t.node_type, t.verdict) for t in answer.node_types] == [(t.node_type, t.verdict) for t in run.predictions]


def asked(method: str, **fields: Any) -> ModelCheckSpec:
    return ModelCheckSpec.read({"model": GPT2, "method": method, **fields})


XLS_R = {"id": "facebook/wav2vec2-xls-r-300m"}
ON_VOLUME = {"id": "mine", "source": VOLUME}
UNLISTED = {"id": "mine", "source": {"type": "Inline", "inline": {"config": '{"model_type": "opt"}'}}}
UNET = {"id": "unet"}
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


def test_what_is_impossible_needs_no_trace_to_be_refused() -> None:
    spec = asked("Traced", runtime={"precision": "fp16-mixed"})
    known = facts(spec.model, None)
    assert isinstance(known, Facts) and not needs_trace(spec, known)
    answer = for_check(spec, known, cluster(LARGE))
    assert answer.refusal is not None and answer.refusal.reason is Reason.IMPOSSIBLE_PRECISION


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


SMALL_DISK = node(A100, {**EIGHT, "memory": "512Gi", "ephemeral-storage": "10Gi"}, "small-disk")
ON_DISK = [
    pytest.param({}, "Memory", id="random weights lie on no disk"),
    pytest.param({"weights": "Pretrained"}, "Disk", id="pretrained ones are downloaded to the node"),
]


@pytest.mark.parametrize(("model", "reason"), ON_DISK)
def test_weights_to_download_want_disk(model: dict[str, Any], reason: str) -> None:
    (found,) = before(cluster(SMALL_DISK), model={**LLAMA, **model}, **FP16).predictions
    assert found.reason == reason, found.message
    if reason == "Disk":
        assert "take 15.0 GiB, the largest node has 10.0 GiB" in found.message  # 8.03e9 parameters of two bytes


# Scores of 4,096 x 4,096 for each head and layer are most of the need; without them it fits by far.
EAGER = {
    "model": {"id": "HuggingFaceTB/SmolLM2-135M"},
    "workload": {
        "type": "Training",
        "training": {"batchSizePerDevice": 1, "input": {"text": {"inputTokens": 4096}}},
    },
    "runtime": {"attention": "Eager", "precision": "fp16-mixed"},
}
ADAPT = {**EAGER, "preflight": {"policy": "Adapt"}}
TOO_LARGE = {"model": LLAMA, "preflight": {"policy": "Adapt"}, **FP16}


def test_what_fits_is_not_adapted() -> None:
    found = before(cluster(LARGE), **ADAPT)
    assert (found.adaptation, found.spec, found.fits) == (None, None, True)


def test_a_run_is_adapted_by_what_changes_no_result() -> None:
    found = before(cluster(SMALL), **ADAPT)
    assert found.adaptation is not None and not found.adaptation.changes_result
    assert found.spec is not None and found.spec.runtime.attention.value == "Auto"
    assert found.resolved is not None and found.resolved.attention.value == "Auto"
    assert (found.fits, found.reason, found.fallbacks) == (True, Reason.FITS_ADAPTED, ())
    assert "fused attention" in found.message and found.need is not None


def test_what_was_decided_on_stands() -> None:
    first = before(cluster(SMALL), **ADAPT)
    read = BenchmarkJobSpec.read(ADAPT)
    later = for_benchmark(read, facts(read.model, None), cluster(LARGE, SMALL), first.adaptation)
    assert (later.adaptation, later.spec) == (first.adaptation, first.spec)


def test_without_such_a_change_a_run_is_not_adapted_but_told_of_others() -> None:
    found = before(cluster(SMALL), **TOO_LARGE)
    assert (found.adaptation, found.fits, found.reason) == (None, False, Reason.DOES_NOT_FIT)
    assert found.fallbacks and all(fallback.changes_result for fallback in found.fallbacks)


def test_only_the_policy_adapts() -> None:
    found = before(cluster(SMALL), **EAGER)
    assert found.adaptation is None and found.fits is False
    assert not found.fallbacks[0].changes_result  # it is only offered


def test_an_adaptation_that_cannot_be_applied_is_no_run() -> None:
    first = before(cluster(SMALL), **ADAPT).adaptation
    assert first is not None
    broken = first.model_copy(update={"patch": '{"spec":{"runtime":{"attention":"None"}}}'})
    read = BenchmarkJobSpec.read(ADAPT)
    found = for_benchmark(read, facts(read.model, None), cluster(SMALL), broken)
    assert found.refusal is not None and found.refusal.reason is Reason.INVALID_SPEC


def assumed(short: str, gpus: int = 8) -> AssumedNodes:
    product = gpu_product(short)
    assert product is not None
    return AssumedNodes(product, gpus)


SCALED = [
    pytest.param([SMALL], [], False, id="what is there alone: fits none"),
    pytest.param([SMALL], [assumed("H100-SXM")], True, id="an autoscaler would add what fits"),
    pytest.param([SMALL], [assumed("T4", 4)], False, id="an autoscaler would add nothing larger"),
    pytest.param([], [assumed("H100-SXM")], True, id="a cluster that is scaled to zero"),
]


@pytest.mark.parametrize(("nodes", "more", "fits"), SCALED)
def test_node_types_that_may_come_decide_as_well(nodes: list[Any], more: list[AssumedNodes], fits: bool) -> None:
    scaled = fleet([read_node(body) for body in nodes], (), more)
    found = before(scaled, model=LLAMA, **FP16)
    assert found.fits is fits
    for answer in found.predictions:
        assert answer.assumed is (answer.nodes == 0)
        assert not answer.assumed or (answer.fits_now, answer.free_gpus) == (Verdict.DOES_NOT_FIT, 0)
    if fits:
        assert found.predictions[0].node_type == "NVIDIA-H100-80GB-HBM3-80GiB-x8"
        assert found.predictions[0].offered_from == "the table of products"
        assert found.products == (("NVIDIA-H100-80GB-HBM3",) if nodes else None)


def test_what_would_be_the_most_is_told_where_it_is_asked_and_not_before_a_run() -> None:
    question = ModelCheckSpec.read({"model": GPT2})
    (told,) = for_check(question, facts(question.model, None), cluster(LARGE)).node_types
    assert told.largest_batch_size_per_device is not None and told.largest_batch_size_per_device > 8
    assert told.longest_input_tokens == 1024 - 128  # all that GPT-2 takes beside what it generates
    (before_a_run,) = before(cluster(LARGE)).predictions
    assert before_a_run.largest_batch_size_per_device is None and before_a_run.longest_input_tokens is None
