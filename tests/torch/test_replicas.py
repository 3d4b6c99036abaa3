"""The closed form of DDP and ZeRO-1 against PyTorch's own, on a CPU and as one rank of several that are not there."""

import pytest
from tests.torch import test_allocated_peak as single
from tests.torch.fake_group import ranks, reduced, states, stored
from tests.torch.live import Live
from tests.torch.small_models import MODELS, attention_of, built

from wattmark.api.answers import ComponentName
from wattmark.api.model import Weights
from wattmark.api.parallelism import ParallelismType
from wattmark.api.runtime import Precision
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Question, phases
from wattmark.estimate.interval import highest
from wattmark.models import Architecture, architecture, head_for

torch = pytest.importorskip("torch")
from torch.distributed.optim import ZeroRedundancyOptimizer  # noqa: E402
from torch.nn.parallel import DistributedDataParallel  # noqa: E402

NAMES = ["Llama with grouped heads", "GPT-2", "an encoder", "T5", "a vision transformer"]
DDP, ZERO1 = ParallelismType.DDP, ParallelismType.ZERO1


@pytest.mark.parametrize(("kind", "size"), [(DDP, 2), (ZERO1, 4), (ZERO1, 8)])
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_replicas(monkeypatch: pytest.MonkeyPatch, name: str, kind: ParallelismType, size: int) -> None:
    monkeypatch.setattr(single, "BATCH", 2)
    config = MODELS[name] | ({"vocab_size": single.VOCABULARY} if "vocab_size" in MODELS[name] else {})
    read = architecture(config)
    assert isinstance(read, Architecture)
    with ranks(size):
        head = head_for(read, WorkloadType.TRAINING)
        model = built(config, head, attention_of(name), torch.float32).train()
        inputs = single.batch(read, True, torch.float32, single.BATCH, single.TOKENS)
        replica = DistributedDataParallel(model)
        replica.register_comm_hook(None, reduced)
        parameters = list(model.parameters())
        if kind is ZERO1:
            divided = ZeroRedundancyOptimizer(parameters, torch.optim.AdamW)
            optimizer, own = divided, divided.optim
            parts = divided._partition_parameters()
            elements = [sum(p.numel() for group in rank for p in group["params"]) for rank in parts]
        else:
            optimizer = own = torch.optim.AdamW(parameters)
            elements = [sum(p.numel() for p in parameters)]

        def step() -> None:
            replica(**inputs).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        step()
        with Live([*parameters, *model.buffers(), *inputs.values(), *states(own)]) as live:
            step()
            step()  # buckets, which were laid out anew behind the first, are seen in the first of these
        kept = stored(states(own))
    resolved = single.asked(read, name, WorkloadType.TRAINING, Precision.FP32, {})
    shared = {"devices": size, "parallelism": kind}
    found = phases(Question(read, resolved.model_copy(update=shared), Weights.RANDOM, on_gpu=False))
    assert isinstance(found, tuple), found
    said = {part.name: part.size.likely for part in found[-1].parts}
    # Two states of four bytes. Rank 0 may not be the fullest, which is what is estimated.
    assert kept == 8 * elements[0]
    assert said[ComponentName.OPTIMIZER] == 8 * max(elements)
    assert said[ComponentName.COMMUNICATION] == said[ComponentName.GRADIENTS] == stored(parameters)
    predicted = highest([phase.allocated for phase in found])
    error = predicted.likely / live.peak - 1
    print(f"{name:25} {kind} {size} ranks: {live.peak} B, {error:+.1%}")
    assert predicted.low <= live.peak <= predicted.high
    assert abs(error) < 0.03
