"""More GPUs of a node, before anything is checked."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.test_fit_most import TRAINED, asked
from tests.unit.test_fit_verdicts import OFFER

from wattmark.api.benchmarkjob import BenchmarkJobSpec
from wattmark.api.modelcheck import ModelCheckSpec
from wattmark.fit.checks import Ground
from wattmark.fit.sharing import several_gpus

GIB = 1 << 30
PLACE = Ground("l4", OFFER, None, 64 * GIB, 100 * GIB)
NODES_OF = [
    pytest.param({}, (8,), [2, 4, 8], id="powers of two"),
    pytest.param({}, (6,), [2, 3, 4, 6], id="what leaves no odd ones"),
    pytest.param({}, (1, 2), [2], id="no more than a node has"),
    pytest.param({}, (1,), [], id="one GPU a node"),
    pytest.param({"shared": True}, (4,), [], id="shared ones may be one"),
    pytest.param({"product": "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb"}, (7,), [], id="slices do not add up"),
]


@pytest.mark.parametrize(("offer", "counts", "gpus"), NODES_OF)
def test_as_few_gpus_as_there_may_be(offer: dict[str, Any], counts: tuple[int, ...], gpus: list[int]) -> None:
    places = tuple(replace(PLACE, offer=replace(OFFER, count=count, **offer)) for count in counts)
    patches = [p.patch for p in several_gpus(asked("gpt2", **TRAINED), places)]
    assert patches == [{"resources": {"gpusPerNode": n}, "parallelism": {"type": "FSDP"}} for n in gpus]
    patches = [p.patch for p in several_gpus(asked("gpt2"), places)]
    assert patches == [{"resources": {"gpusPerNode": n}, "parallelism": {"type": "TensorParallel"}} for n in gpus]


def test_a_benchmark_is_not_told_to_take_more_gpus() -> None:
    wanted = asked("gpt2", **TRAINED)
    job = BenchmarkJobSpec.read({"model": {"id": "gpt2"}, "workload": TRAINED})
    places = (replace(PLACE, offer=replace(OFFER, count=8)),)
    assert list(several_gpus(replace(wanted, spec=job), places)) == []


def test_what_is_divided_less_is_divided_more_on_as_many_gpus() -> None:
    places = (replace(PLACE, offer=replace(OFFER, count=8)),)
    wanted = asked("gpt2", **TRAINED)
    for shared, options in (
        ({"type": "DDP"}, {}),
        ({"type": "FSDP", "fsdp": {"strategy": "ShardGradOp"}}, {"fsdp": None}),
    ):
        now = {"model": {"id": "gpt2"}, "workload": TRAINED, "resources": {"gpusPerNode": 4}, "parallelism": shared}
        first = next(several_gpus(replace(wanted, spec=ModelCheckSpec.read(now)), places))
        assert first.patch == {"resources": {"gpusPerNode": 4}, "parallelism": {"type": "FSDP", **options}}
