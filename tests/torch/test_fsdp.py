"""The closed form of FSDP against PyTorch's fully_shard, on a CPU and as one rank of several that are not there."""

from typing import Any

import pytest
from tests.torch import test_allocated_peak as single
from tests.torch.fake_group import local, ranks, states, stored
from tests.torch.live import Live
from tests.torch.small_models import MODELS, attention_of, built

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.model import Weights
from wattmark.api.parallelism import FsdpStrategy, ParallelismType
from wattmark.api.runtime import Precision
from wattmark.api.training import GradientCheckpointing
from wattmark.api.workload import WorkloadType
from wattmark.estimate import PhaseParts, Question, phases
from wattmark.estimate.interval import highest
from wattmark.models import Architecture, architecture, head_for

torch = pytest.importorskip("torch")
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard  # noqa: E402

NAMES = ["Llama with grouped heads", "GPT-2", "an encoder", "T5", "a vision transformer"]
FULL, GRADIENTS = FsdpStrategy.FULL_SHARD, FsdpStrategy.SHARD_GRAD_OP
CHECKPOINTED = {"gradientCheckpointing": "Full"}


def sharded(model: Any, mesh: Any, precision: Precision, strategy: FsdpStrategy) -> None:
    """Each layer on its own, and the rest; what a mixed precision means."""
    mixed = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    policy = mixed if precision is Precision.BF16_MIXED else MixedPrecisionPolicy()
    for part in list(model.modules()):
        if isinstance(part, torch.nn.ModuleList) and type(part[0]).__name__.endswith(("Layer", "Block")):
            for layer in part:
                if "attention" not in type(layer).__name__.lower() and "LayerSelf" not in type(layer).__name__:
                    fully_shard(layer, mesh=mesh, mp_policy=policy, reshard_after_forward=strategy is FULL)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def closed_form(
    read: Architecture, name: str, precision: Precision, size: int, strategy: FsdpStrategy, options: dict[str, Any]
) -> tuple[PhaseParts, ...]:
    """What is said of the same step."""
    resolved = single.asked(read, name, WorkloadType.TRAINING, precision, options)
    shared = {"devices": size, "parallelism": ParallelismType.FSDP, "fsdp_strategy": strategy}
    found = phases(Question(read, resolved.model_copy(update=shared), Weights.RANDOM, on_gpu=False))
    assert isinstance(found, tuple), found
    return found


class Step:
    """A model of which this rank holds its shards, and a step of it."""

    def __init__(self, name: str, mesh: Any, precision: Precision, strategy: FsdpStrategy, options: Any) -> None:
        self.config = MODELS[name] | ({"vocab_size": single.VOCABULARY} if "vocab_size" in MODELS[name] else {})
        read = architecture(self.config)
        assert isinstance(read, Architecture)
        self.read = read
        dtype = torch.bfloat16 if precision is Precision.BF16 else torch.float32
        self.model = built(self.config, head_for(read, WorkloadType.TRAINING), attention_of(name), dtype).train()
        if options.get("gradientCheckpointing") == GradientCheckpointing.FULL:
            self.model.activation_checkpointing_enable({"use_reentrant": False})
        sharded(self.model, mesh, precision, strategy)
        self.optimizer = torch.optim.AdamW(self.model.parameters())
        self.inputs = single.batch(read, True, dtype, single.BATCH, single.TOKENS)

    def backward(self) -> None:
        """Forward and backward pass."""
        self.model(**self.inputs).loss.backward()

    def update(self) -> None:
        """The rest of the step."""
        self.optimizer.step()
        self.optimizer.zero_grad()

    def held(self) -> list[Any]:
        """All that lives before a step."""
        parameters = map(local, self.model.parameters())
        return [*parameters, *self.model.buffers(), *self.inputs.values(), *map(local, states(self.optimizer))]


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize("name", NAMES)
def test_shards_gradients_and_states_to_the_byte(monkeypatch: pytest.MonkeyPatch, name: str, size: int) -> None:
    """Rank 0 is the fullest one: of a tensor whose rows do not divide evenly, the last ranks have fewer, or none.

    What is compared are storages, padding included: of 2 labels, each of 8 ranks has room for one row.
    """
    monkeypatch.setattr(single, "BATCH", 1)
    monkeypatch.setattr(single, "TOKENS", 8)
    with ranks(size) as mesh:
        step = Step(name, mesh, Precision.FP32, FULL, {})
        parameters = stored(step.model.parameters())
        step.backward()
        gradients = stored(parameter.grad for parameter in step.model.parameters())
        step.update()
        kept = stored(states(step.optimizer))
    found = closed_form(step.read, name, Precision.FP32, size, FULL, {})
    last = next(phase for phase in found if phase.phase is Phase.OPTIMIZER_STEP)
    said = {part.name: part.size.likely for part in last.parts}
    assert said[ComponentName.WEIGHTS] == parameters
    assert said[ComponentName.GRADIENTS] == gradients
    assert said[ComponentName.OPTIMIZER] == kept


PEAKS = [
    pytest.param(8, 2, Precision.FP32, FULL, {}, id="2 ranks, much saved"),
    pytest.param(1, 8, Precision.BF16_MIXED, FULL, {}, id="8 ranks, little saved, gathered in 16 bit"),
    pytest.param(2, 4, Precision.FP32, GRADIENTS, {}, id="4 ranks, parameters kept for the backward pass"),
    pytest.param(4, 4, Precision.BF16_MIXED, FULL, CHECKPOINTED, id="4 ranks, layers computed again"),
]


@pytest.mark.parametrize(("batch", "size", "precision", "strategy", "options"), PEAKS)
@pytest.mark.parametrize("name", NAMES)
def test_the_peak(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    batch: int,
    size: int,
    precision: Precision,
    strategy: FsdpStrategy,
    options: dict[str, Any],
) -> None:
    monkeypatch.setattr(single, "BATCH", batch)
    with ranks(size) as mesh:
        step = Step(name, mesh, precision, strategy, options)
        step.backward()
        step.update()
        with Live(step.held(), resized=True) as live:
            step.backward()
            step.update()
    predicted = highest([p.allocated for p in closed_form(step.read, name, precision, size, strategy, options)])
    error = predicted.likely / live.peak - 1
    print(f"{name:25} {size} ranks, batch {batch}, {precision}, {strategy} {options}: {live.peak} B, {error:+.1%}")
    assert predicted.low <= live.peak <= predicted.high
    assert abs(error) < 0.07
