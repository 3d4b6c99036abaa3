"""A need from a replayed trace."""

import pytest

from wattmark.api.answers import ComponentName, Need, Phase, Source
from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.api.trace import Trace
from wattmark.estimate import Gpu
from wattmark.estimate.interval import GIB, MIB
from wattmark.estimate.simulation.replay import Fullest
from wattmark.estimate.traced import KINDS, complete, kind_of, memory, traced

LOADED = Fullest(Phase.LOAD, {ComponentName.WEIGHTS: 2 * GIB}, 8 * GIB)
FORWARD = Fullest(
    Phase.FORWARD,
    {ComponentName.WEIGHTS: 2 * GIB, ComponentName.ACTIVATIONS: 3 * GIB, ComponentName.WORKSPACE: 16 * MIB},
    7 * GIB,
)
STEP = Fullest(Phase.OPTIMIZER_STEP, {ComponentName.WEIGHTS: 2 * GIB, ComponentName.OPTIMIZER: 2 * GIB}, 7 * GIB)
LEAST = 6 * GIB

RESOLVED = Resolved.read(
    {
        "workloadType": "Training",
        "batchSizePerDevice": 1,
        "input": {"inputTokens": 8},
        "precision": "fp32",
        "attention": "Auto",
    }
)
TRACE = Trace(
    resolved=RESOLVED,
    parameter_count=GIB // 2,
    convolutional=False,
    memory=[memory(kind, (LOADED, FORWARD, STEP), LEAST) for kind in KINDS],
)


def told(capability: tuple[int, int] | None = (8, 0), weights: Weights = Weights.RANDOM) -> Need:
    return traced(TRACE, weights, Gpu(capability))


def test_the_fullest_phase_is_the_peak() -> None:
    found = told()
    assert found.peak_phase is Phase.FORWARD
    assert found.allocated_bytes.likely == FORWARD.allocated
    assert found.allocated_bytes.source is Source.TRACED


def test_each_phase_is_told_and_loading_by_the_weights_that_are_there_then() -> None:
    found = told()
    weights, forward, step = (one.likely_bytes for one in found.phases)
    assert [one.phase for one in found.phases] == [Phase.LOAD, Phase.FORWARD, Phase.OPTIMIZER_STEP]
    assert (weights, forward, step) == (LOADED.allocated, FORWARD.allocated, STEP.allocated)
    assert forward == found.allocated_bytes.likely


def test_loading_counts_for_what_is_reserved_only() -> None:
    found = told()
    assert found.reserved_bytes is not None
    assert found.reserved_bytes.likely == LOADED.reserved


def test_a_gpu_need_not_offer_what_is_given_back_before_memory_runs_out() -> None:
    found = told()
    assert found.device_bytes is not None and found.required_bytes is not None
    assert found.device_bytes.likely - found.required_bytes.likely == LOADED.reserved - LEAST


def test_of_an_older_trace_all_that_was_reserved_must_be_there() -> None:
    older = [one.model_copy(update={"least_reserved_bytes": None}) for one in TRACE.memory]
    found = traced(TRACE.model_copy(update={"memory": older}), Weights.RANDOM, Gpu((8, 0)))
    now = told().device_bytes
    assert now is not None and found.device_bytes == found.required_bytes is not None
    assert found.required_bytes.likely == now.likely


@pytest.mark.parametrize("capability", [None, (7, 5), (8, 0), (9, 0)])
def test_the_parts_are_the_whole(capability: tuple[int, int] | None) -> None:
    found = told(capability)
    assert found.device_bytes is not None
    assert sum(part.likely_bytes for part in found.components) == found.device_bytes.likely
    assert sum(part.low_bytes for part in found.components) == found.device_bytes.low
    assert sum(part.high_bytes for part in found.components) == found.device_bytes.high


def test_what_is_held_is_certain_and_what_comes_and_goes_is_not() -> None:
    parts = {part.name: part for part in told().components}
    weights, activations = parts[ComponentName.WEIGHTS], parts[ComponentName.ACTIVATIONS]
    assert weights.low_bytes == weights.likely_bytes == weights.high_bytes == 2 * GIB
    assert activations.low_bytes < activations.likely_bytes == 3 * GIB < activations.high_bytes


def test_a_checkpoint_that_is_read_lies_in_host_memory_too() -> None:
    read, made = told(weights=Weights.PRETRAINED).host_bytes, told().host_bytes
    assert read is not None and made is not None
    assert read.high - made.high == 2 * GIB


@pytest.mark.parametrize(
    ("capability", "kind"),
    [
        pytest.param(None, (8, 0), id="one that is not known"),
        pytest.param((7, 0), (7, 5), id="Volta chooses as Turing does"),
        pytest.param((7, 5), (7, 5), id="Turing"),
        pytest.param((8, 9), (8, 0), id="Ada chooses as Ampere does"),
        pytest.param((9, 0), (9, 0), id="Hopper"),
        pytest.param((12, 0), (9, 0), id="Blackwell has Hopper's workspace"),
    ],
)
def test_each_gpu_is_of_a_kind_that_was_traced(capability: tuple[int, int] | None, kind: tuple[int, int]) -> None:
    assert kind_of(Gpu(capability)) == kind


def test_a_trace_is_complete_with_every_kind_once() -> None:
    assert complete(TRACE)
    assert not complete(TRACE.model_copy(update={"memory": TRACE.memory[:2]}))
    assert not complete(TRACE.model_copy(update={"memory": [*TRACE.memory[:2], TRACE.memory[0]]}))
