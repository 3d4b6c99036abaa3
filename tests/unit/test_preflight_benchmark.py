"""What is known before a BenchmarkJob runs, from the model's source to the verdict on the fleet."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.fleets import (
    FP16,
    LARGE,
    LLAMA,
    NO_GPU,
    SMALL,
    VOLUME,
    before,
    cluster,
)
from tests.unit.test_fleet_nodes import A100, EIGHT, node
from tests.unit.test_fleet_slices import bare, body, seen

from wattmark.api.answers import Verdict
from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.conditions import Reason
from wattmark.fit.checks import WeightsSeen
from wattmark.fleet.gpus import gpu_product
from wattmark.fleet.nodes import AssumedNodes, read_node
from wattmark.model_facts import Facts, facts
from wattmark.preflight import Fleet, fleet, for_benchmark

ON_CPU = {"resources": {"gpusPerNode": 0}}
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
