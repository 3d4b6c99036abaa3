"""Whole replicas, and states that are divided tensor by tensor; tests/torch/test_replicas.py compares them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.shared_runs import on_each
from tests.unit.test_estimate_need import part

from wattmark.api.answers import ComponentName, Need
from wattmark.estimate import Unknown
from wattmark.estimate.replicas import fullest

DDP, ZERO1 = {"type": "DDP"}, {"type": "ZeRO1"}


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(1, 5)), min_size=1, max_size=20), st.integers(2, 16))
def test_the_fullest_gpu_has_its_share_and_at_most_one_tensor_more(sizes: list[tuple[int, int]], gpus: int) -> None:
    total, own = sum(size * count for size, count in sizes), sum(fullest(tuple(sizes), gpus))
    assert total / gpus <= own <= total / gpus + max(size for size, _ in sizes)


def test_what_each_keeps() -> None:
    alone, divided = on_each("gpt2", 4, DDP), on_each("gpt2", 4, ZERO1)
    assert isinstance(alone, Need) and isinstance(divided, Need)
    gradients = 4 * 124_439_808
    assert part(alone, ComponentName.COMMUNICATION) == part(divided, ComponentName.COMMUNICATION) == gradients
    assert part(alone, ComponentName.OPTIMIZER) == 2 * gradients
    # The embedding alone is a third of the model: no four equal parts can be made.
    assert part(divided, ComponentName.OPTIMIZER) == 8 * 50257 * 768


def test_replicas_know_every_model_that_one_gpu_does_and_divided_states_do_not() -> None:
    assert isinstance(on_each("microsoft/resnet-50", 2, DDP), Need)
    assert isinstance(on_each("microsoft/resnet-50", 2, ZERO1), Unknown)
    answer = on_each("gpt2", 2, ZERO1, optimizer="Adafactor")
    assert isinstance(answer, Unknown) and "Adafactor" in answer.reason


@pytest.mark.parametrize("how", [DDP, ZERO1], ids=str)
def test_host_memory_is_a_processs_for_each_gpu(how: dict[str, str]) -> None:
    two, four = on_each("gpt2", 2, how), on_each("gpt2", 4, how)
    assert isinstance(two, Need) and isinstance(four, Need) and two.host_bytes and four.host_bytes
    assert four.host_bytes.high == 2 * two.host_bytes.high
