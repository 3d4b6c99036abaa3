"""What is proposed, before anything is checked."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.test_fit_most import asked
from tests.unit.test_fit_verdicts import OFFER

from wattmark.fit.checks import Ground
from wattmark.fit.moves import (
    FREE,
    MOVES,
    ON_ALL,
    PAIRS,
    PRESERVING,
    RISING,
    another_gpu,
    smaller_batch,
    smaller_sibling,
)
from wattmark.fit.proposal import Move

GIB = 1 << 30
PLACE = Ground("l4", OFFER, None, 64 * GIB, 100 * GIB)
TRAINED = {"type": "Training", "training": {}}


def proposed(model: str, **workload: Any) -> dict[str, list[Any]]:
    wanted = asked(model, **workload)
    return {move.__name__: [p.patch for p in move(wanted, (PLACE,))] for move in MOVES}


PROPOSALS = [
    pytest.param("gpt2", {}, "another_precision", [{"runtime": {"precision": "fp16"}}], id="bf16 -> fp16"),
    pytest.param(
        "gpt2",
        TRAINED,
        "another_precision",
        [{"runtime": {"precision": "fp16-mixed"}}, {"runtime": {"precision": "bf16"}}],
        id="autocast -> an older GPU's, or no fp32 weights",
    ),
    pytest.param(
        "gpt2",
        TRAINED,
        "fused_optimizer",
        [{"workload": {"training": {"optimizer": "AdamWFused"}}}],
        id="AdamW -> without temporaries",
    ),
    pytest.param(
        "gpt2",
        TRAINED,
        "checkpointing",
        [{"workload": {"training": {"gradientCheckpointing": "Full"}}}],
        id="activations that need not be kept",
    ),
    pytest.param("gpt2", {}, "checkpointing", [], id="inference keeps none"),
    pytest.param("microsoft/resnet-50", TRAINED, "checkpointing", [], id="transformers cannot checkpoint convolutions"),
    pytest.param(
        "gpt2",
        TRAINED,
        "accumulation",
        [{"workload": {"training": {"batchSizePerDevice": 4, "gradientAccumulationSteps": 2}}}],
        id="half a batch at a time",
    ),
    pytest.param("gpt2", {}, "another_gpu", [], id="nothing was left out"),
    pytest.param("gpt2", {}, "smaller_batch", [], id="the batch is not what does not fit"),
    pytest.param("gpt2", {}, "fused_attention", [], id="attention is fused by default"),
    pytest.param("gpt2", {}, "smaller_sibling", [], id="the smallest has no smaller sibling"),
    pytest.param(
        "gpt2-large",
        {},
        "smaller_sibling",
        [{"model": {"id": name}} for name in ("openai-community/gpt2-medium", "openai-community/gpt2")],
        id="siblings, the largest first",
    ),
    pytest.param(
        "bert-large-uncased",
        {},
        "smaller_sibling",
        [{"model": {"id": "google-bert/bert-base-uncased"}}],
        id="another vocabulary is no sibling",
    ),
]


@pytest.mark.parametrize(("model", "workload", "move", "patches"), PROPOSALS)
def test_proposals(model: str, workload: Any, move: str, patches: list[Any]) -> None:
    assert proposed(model, **workload)[move] == patches


def test_a_batch_is_proposed_that_fits_and_one_sample_where_none_does() -> None:
    large = {"type": "Inference", "inference": {"batchSizePerDevice": 4096}}
    (found,) = smaller_batch(asked("gpt2", **large), (PLACE,))
    assert 1 < found.patch["workload"]["inference"]["batchSizePerDevice"] < 4096
    (least,) = smaller_batch(asked("meta-llama/Llama-3.1-70B", **large), (PLACE,))
    assert least.patch == {"workload": {"inference": {"batchSizePerDevice": 1}}}


def test_a_model_that_the_spec_brings_itself_has_no_siblings() -> None:
    wanted = asked("gpt2-large")
    own = wanted.spec.model_copy(update={"model": wanted.spec.model.model_copy(update={"id": "mine/own"})})
    assert list(smaller_sibling(replace(wanted, spec=own), (PLACE,))) == []


def test_another_gpu_is_one_that_the_cluster_has() -> None:
    slices = replace(PLACE, offer=replace(OFFER, resource="nvidia.com/mig-1g.10gb"))
    patches = [p.patch for p in another_gpu(asked("gpt2"), (PLACE, slices))]
    assert patches == [{"resources": {"gpu": {"resourceName": "nvidia.com/mig-1g.10gb"}}}]


def test_every_move_that_is_combined_is_a_move() -> None:
    named: set[Move] = {move for pair in PAIRS for move in pair} | {*FREE, *PRESERVING, *ON_ALL, *RISING}
    assert named <= set(MOVES)
