"""Activations of one transformer layer against the forms of the literature and reckoning by hand."""

from dataclasses import replace
from typing import Any

import pytest

from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import Interval, exact, spread
from wattmark.estimate.transformer import Pass, held, saved
from wattmark.models import Norm, Stack

HALF, FULL, MIXED = Formats(2, 2), Formats(4, 4), Formats(4, 2)
H, S, A = 64, 16, 4
LAYER = Stack(
    layers=1, hidden=H, heads=A, kv_heads=A, head_dim=16, intermediate=4 * H, norm=Norm.LAYER, causal=False,
    activation="gelu", hidden_dropout=0.1, attention_dropout=0.1,
)  # fmt: skip
GATED = replace(
    LAYER, norm=Norm.RMS, causal=True, gated=True, activation="silu", hidden_dropout=0.0, attention_dropout=0.0
)
LOG_SUM_EXP = 4 * A * S


@pytest.mark.parametrize(
    ("stack", "eager", "formats", "expected"),
    [
        pytest.param(LAYER, False, HALF, 34 * S * H + LOG_SUM_EXP, id="fused attention: 34 s h, and a log-sum-exp"),
        pytest.param(LAYER, True, HALF, 34 * S * H + 5 * A * S * S, id="eager attention: s h (34 + 5 a s / h)"),
        pytest.param(LAYER, False, FULL, (16 * 4 + 2) * S * H + LOG_SUM_EXP, id="fp32: all but the masks doubles"),
        pytest.param(LAYER, False, MIXED, 42 * S * H + LOG_SUM_EXP, id="autocast: fp32 norms, copies for each matrix"),
        pytest.param(
            GATED, False, HALF, S * (7 * 2 * H + 2 * 6 * H + 4 * 4 * H * 2) + LOG_SUM_EXP, id="gate and RMSNorm"
        ),
        pytest.param(
            replace(GATED, kv_heads=1),
            False,
            HALF,
            S * (7 * 2 * H + 2 * 6 * H + 4 * 4 * H * 2) + LOG_SUM_EXP - 2 * 2 * S * (H - 16),
            id="grouped heads save fewer keys and values",
        ),
    ],
)
def test_what_a_layer_saves(stack: Stack, eager: bool, formats: Formats, expected: int) -> None:
    assert saved(stack, Pass(S, S, eager=eager), formats) == expected + (-S * H * 2 if stack.gated else 0)


def test_what_a_layer_holds_is_its_widest_moment() -> None:
    assert held(LAYER, Pass(S, S), HALF) == S * (4 * H + 2 * 4 * H) * 2
    assert held(GATED, Pass(S, S), HALF) == S * (4 * H + 3 * 4 * H) * 2


@pytest.mark.parametrize(
    ("changes", "run", "hidden", "widths"),
    [
        pytest.param({"post_norms": True}, Pass(S, S), 3, 2 * 4, id="behind norms at the end there is none before"),
        pytest.param({"post_norms": True}, Pass(S, S, embedded=0), 2, 2 * 4, id="nor embeddings that were widened"),
        pytest.param({"holds_attended": True}, Pass(S, S), 5, 2 * 4, id="what attention gave, where it is held"),
        pytest.param(
            {"experts": 8, "experts_per_token": 4, "intermediate": 2}, Pass(S, S), 4, 4 * 4, id="four times routed"
        ),
        pytest.param({"intermediate": 2}, Pass(S, S), 3, 7, id="attention, where that is the widest"),
        pytest.param({"intermediate": 2}, Pass(S, S, cached=True), 3, 5, id="whose keys and values a cache holds"),
    ],
)
def test_what_a_layer_holds_beside_its_activation(changes: dict[str, Any], run: Pass, hidden: int, widths: int) -> None:
    assert held(replace(LAYER, **changes), run, HALF) == S * (hidden + widths) * H * 2


def test_a_longer_cache_costs_a_new_token_nothing_but_scores() -> None:
    assert held(GATED, Pass(1, 9000), HALF) == held(GATED, Pass(1, 10), HALF)
    assert held(GATED, Pass(1, 9000, eager=True), HALF) > held(GATED, Pass(1, 10, eager=True), HALF)


def test_intervals_add_end_by_end_and_stay_in_order() -> None:
    assert spread(100, 0.5, 1.5, 7) + exact(1) == Interval(51, 101, 158)
    with pytest.raises(ValueError, match="not in order"):
        Interval(2, 1, 3)
