"""The largest batch and the longest input: found by search, and really the most."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattmark import models
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.api.order import Resolved
from wattmark.estimate import Gpu, Unknown, need, reckoned
from wattmark.estimate.answer import Reckoned
from wattmark.fit import most
from wattmark.fit.demand import Demand, demand
from wattmark.fit.most import (
    FIGURES,
    MOST_SAMPLES,
    Axis,
    largest,
    longest_input,
    most_that_fit,
    nearly_largest,
    resized,
)

SHAPES: list[Any] = [
    pytest.param(lambda n: 10 * n, id="evenly"),
    pytest.param(lambda n: n * n, id="by its square"),
    pytest.param(lambda n: max(5_000, 7 * n), id="not at first"),
    pytest.param(lambda n: max(100 + n, 3 * n * n - 10_000), id="in two phases"),
    pytest.param(lambda n: n // 512 * 512, id="in steps"),
    pytest.param(lambda n: 42, id="not at all"),
]


@pytest.mark.parametrize("size", SHAPES)
@given(room=st.integers(0, 10**6), most=st.integers(0, 2000))
def test_nothing_larger_fits(size: Callable[[int], int], room: int, most: int) -> None:
    assert largest(size, room, most) == max((n for n in range(1, most + 1) if size(n) <= room), default=0)


@pytest.mark.parametrize("size", SHAPES)
def test_few_sizes_are_looked_at(size: Callable[[int], int]) -> None:
    for room in (4_000, 300_000):
        looked: list[int] = []

        def counted(n: int, looked: list[int] = looked) -> int:
            looked.append(n)
            return size(n)

        largest(counted, room, MOST_SAMPLES)
        assert len(looked) <= 2 + 2 * 16


@pytest.mark.parametrize("size", SHAPES)
@given(room=st.integers(0, 10**6), most=st.integers(0, 2000), more=st.floats(0, 0.4))
def test_what_is_dear_is_looked_at_less(size: Callable[[int], int], room: int, most: int, more: float) -> None:
    looked: list[int] = []

    def dear(n: int) -> int:
        looked.append(n)
        return int(size(n) * (1 + more))

    found = nearly_largest(dear, size, room, most)
    best = max((n for n in range(1, most + 1) if int(size(n) * (1 + more)) <= room), default=0)
    assert found <= best <= found + found // 64
    assert len(looked) <= 2 * 11


def asked(model: str, **workload: Any) -> Demand:
    known = models.lookup(model)
    assert known is not None
    architecture = models.architecture(known.config)
    assert isinstance(architecture, models.Architecture)
    spec = ModelCheckSpec.read({"model": {"id": model}, **({"workload": workload} if workload else {})})
    found = demand(spec, architecture, json.dumps(dict(known.config)), only_asks=True)
    assert isinstance(found, Demand)
    return found


@pytest.mark.parametrize("model", ["gpt2", "bert-base-uncased", "llama-3.2-1b"])
@pytest.mark.parametrize("batch", [3, 50, 51, 52, 53, 200])
@pytest.mark.parametrize("gib", [2, 6, 20])
def test_the_most_that_fit_do_not_contradict_what_is_asked(model: str, batch: int, gib: int) -> None:
    text = {} if model.startswith("bert") else {"outputTokens": 0}
    shape = {"batchSizePerDevice": batch, "input": {"text": {"inputTokens": 128, **text}}}
    wanted = asked(model, type="Inference", inference=shape)
    size = need(wanted.architecture, wanted.resolved, wanted.spec.model.weights, GPU)
    assert not isinstance(size, Unknown) and size.required_bytes is not None
    found = most_that_fit(wanted, Axis.BATCH, GPU, gib << 30)
    assert found is not None
    assert (found >= batch) == (size.required_bytes.high <= gib << 30)


TRAINED = {"type": "Training", "training": {}}
GPU = Gpu((8, 0))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(
        [asked("gpt2"), asked("bert-base-uncased", **TRAINED), asked("t5-small"), asked("gpt2", **TRAINED)]
    ),
    st.sampled_from(Axis),
    st.integers(1 << 30, 200 << 30),
)
def test_it_fits_and_one_more_does_not(wanted: Demand, axis: Axis, room: int) -> None:
    found = most_that_fit(wanted, axis, GPU, room)
    limit = MOST_SAMPLES if axis is Axis.BATCH else longest_input(wanted)
    assert found is not None and limit is not None and 0 <= found <= limit
    step = 1 << max(0, found.bit_length() - FIGURES)  # what is dear is searched in steps
    for amount in (found, found + step):
        if 1 <= amount <= limit:
            sized = resized(wanted.resolved, axis, amount)
            size = need(wanted.architecture, sized, wanted.spec.model.weights, GPU)
            assert not isinstance(size, Unknown) and size.required_bytes is not None
            assert (size.required_bytes.high <= room) == (amount == found)


LIMITS = [
    pytest.param(asked("gpt2"), 1024 - 128, id="beside what a decoder generates"),
    pytest.param(asked("gpt2", **TRAINED), 1024, id="in training nothing is generated"),
    pytest.param(asked("bert-base-uncased"), 512, id="an encoder's positions"),
    pytest.param(asked("t5-small"), 1_048_576, id="no limit of the model's own"),
    pytest.param(asked("microsoft/resnet-50"), None, id="an image has no length"),
]


@pytest.mark.parametrize(("wanted", "limit"), LIMITS)
def test_the_longest_input_that_a_model_takes(wanted: Demand, limit: int | None) -> None:
    assert longest_input(wanted) == limit
    assert (most_that_fit(wanted, Axis.INPUT, GPU, 1 << 50) is None) == (limit is None)


def test_what_is_cheaply_seen_not_to_fit_is_not_simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    simulated = []

    def counted(of: models.Architecture, resolved: Resolved, *args: Any, simulate: bool) -> Reckoned | Unknown:
        if simulate:
            simulated.append(resolved.batch_size_per_device)
        return reckoned(of, resolved, *args, simulate=simulate)

    monkeypatch.setattr(most, "reckoned", counted)
    wanted = asked("gpt2", type="Training", training={"batchSizePerDevice": 1000, "input": {"text": {}}})
    found = most_that_fit(wanted, Axis.BATCH, GPU, 7_777_777_777)
    assert found and simulated and max(simulated) < 2 * found


def test_without_an_estimate_nothing_fits() -> None:
    assert most_that_fit(asked("gpt2"), Axis.BATCH, GPU, 0) == 0
