"""The closed form of tensor parallelism against transformers' own plan, on a CPU and as one rank of several."""

from typing import Any

import pytest
from tests.torch import test_allocated_peak as single
from tests.torch.fake_group import local, ranks, stored
from tests.torch.live import Live
from tests.torch.small_models import SIZES, attention_of, built

from wattmark.api.model import Weights
from wattmark.api.parallelism import ParallelismType
from wattmark.api.runtime import Precision
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Question, phases
from wattmark.estimate.interval import highest
from wattmark.estimate.tensor_parallel import KNOWN
from wattmark.models import Architecture, architecture, head_for, known_ids, lookup

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
from transformers.distributed.configuration_utils import DistributedConfig  # noqa: E402
from transformers.distributed.tensor_parallel import apply_tensor_parallelism  # noqa: E402

HEADS = {"num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 8}
WIDE = {**SIZES, **HEADS, "vocab_size": single.VOCABULARY, "tie_word_embeddings": False}


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.BF16])
@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_shards_to_the_byte_and_the_peak(
    monkeypatch: pytest.MonkeyPatch, kind: str, size: int, precision: Precision
) -> None:
    config = {"model_type": kind, **WIDE}
    read = architecture(config)
    assert isinstance(read, Architecture)
    dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
    with ranks(size) as mesh:
        head = head_for(read, WorkloadType.INFERENCE)
        model = built(config, head, attention_of(kind), dtype).eval()
        plan, _, _ = model._resolve_parallel_plans(DistributedConfig(tp_size=size, tp_plan="auto"))
        apply_tensor_parallelism(model, mesh, plan)
        weights = stored(model.parameters())
        ids = torch.zeros(single.BATCH, single.TOKENS, dtype=torch.long)
        with torch.no_grad(), Live([*map(local, model.parameters()), *model.buffers(), ids]) as live:
            model(input_ids=ids, use_cache=True, logits_to_keep=1)
    resolved = single.asked(read, kind, WorkloadType.INFERENCE, precision, {})
    shared: dict[str, Any] = {"devices": size, "parallelism": ParallelismType.TENSOR_PARALLEL}
    found = phases(Question(read, resolved.model_copy(update=shared), Weights.RANDOM, on_gpu=False))
    assert isinstance(found, tuple), found
    assert found[0].allocated.likely == weights
    predicted = highest([phase.allocated for phase in found])
    error = predicted.likely / live.peak - 1
    print(f"{kind:8} {size} ranks {precision}: {live.peak} B, of it weights {weights} B, {error:+.1%}")
    assert predicted.low <= live.peak <= predicted.high
    assert abs(error) < 0.06


@pytest.mark.parametrize(
    "name", [name for name in known_ids() if (found := lookup(name)) and found.config.get("model_type") in KNOWN]
)
def test_transformers_has_a_plan_for_what_is_estimated(name: str) -> None:
    known = lookup(name)
    assert known is not None
    plan = transformers.AutoConfig.for_model(known.config["model_type"]).base_model_tp_plan
    assert {"layers.*.self_attn.q_proj", "layers.*.self_attn.o_proj", "layers.*.mlp.down_proj"} <= set(plan)
