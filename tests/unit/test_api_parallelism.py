"""How several GPUs share a workload: what goes with what is told by api_cases, here is what a default means."""

from typing import Any

import pytest

from wattmark.api.parallelism import FsdpStrategy, ParallelismSpec


@pytest.mark.parametrize(
    ("raw", "strategy"),
    [
        pytest.param({}, None, id="nothing is shared"),
        pytest.param({"type": "DDP"}, None, id="nothing is divided"),
        pytest.param({"type": "FSDP"}, FsdpStrategy.FULL_SHARD, id="everything is divided unless said otherwise"),
        pytest.param({"type": "FSDP", "fsdp": {"strategy": "ShardGradOp"}}, FsdpStrategy.SHARD_GRAD_OP, id="said"),
    ],
)
def test_what_stays_sharded(raw: dict[str, Any], strategy: FsdpStrategy | None) -> None:
    assert ParallelismSpec.read(raw).strategy is strategy
