"""Changes of a spec that may make it fit, each as a merge patch with its cost in words; not yet checked. Pure."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from functools import cache

from wattmark import models
from wattmark.api.analysis import AnalysisKind
from wattmark.api.fallback import Change
from wattmark.api.model import SourceType
from wattmark.api.runtime import Attention, Precision
from wattmark.api.training import GradientCheckpointing, Optimizer
from wattmark.api.workload import WorkloadType
from wattmark.estimate import Unknown
from wattmark.fit.checks import AMPERE, HOST_MEMORY, NEEDS_AMPERE, Ground
from wattmark.fit.compression import adapters, lighter_optimizer, narrower_states, quantized, quantized_adapters
from wattmark.fit.demand import Demand
from wattmark.fit.most import Axis, most_that_fit
from wattmark.fit.proposal import Move, Proposal, of_workload
from wattmark.fit.sharing import several_gpus
from wattmark.fit.verdicts import gpu_of, judgements, roomiest
from wattmark.fleet.offers import MIB
from wattmark.models import Architecture
from wattmark.observe import quantity

MOST_STEPS = 1024  # the bound of gradientAccumulationSteps


def fused_attention(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Never hold attention scores as a whole."""
    if wanted.resolved.analysis is AnalysisKind.ATTENTION_VISUALIZATION:
        return  # the scores are what is asked for
    if wanted.resolved.attention is Attention.EAGER and (wanted.architecture.encoder or wanted.architecture.decoder):
        said = "fused attention (SDPA) instead of eager: scores are not kept; as fast or faster"
        yield Proposal((Change.ATTENTION,), (said,), {"runtime": {"attention": "Auto"}}, changes_result=False)


def more_host_memory(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """As much host memory as the estimate's high end, where what is asked for is too little."""
    old = wanted.spec.resources.memory
    if old is None or all(judged.reason != HOST_MEMORY for judged in judgements(wanted.asked(simulate=False), grounds)):
        return
    needs = (wanted.need_on(gpu_of(ground), simulate=False) for ground in grounds)
    sizes = [need.host_bytes.high for need in needs if not isinstance(need, Unknown) and need.host_bytes is not None]
    new = max(sizes, default=0)
    if new > (quantity(old) or 0):
        text = f"{-(-new // MIB)}Mi"
        said = f"resources.memory {text} instead of {old}: the Pod waits for a node with that much free"
        yield Proposal((Change.HOST_MEMORY,), (said,), {"resources": {"memory": text}}, changes_result=False)


def fused_optimizer(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """The optimizer without temporaries as large as the parameters."""
    if wanted.resolved.optimizer is Optimizer.ADAMW and wanted.spec.resources.gpus_per_node:
        said = "fused AdamW: the same update without temporaries; as fast or faster"
        patch = of_workload(wanted.resolved, {"optimizer": "AdamWFused"})
        yield Proposal((Change.FUSED_OPTIMIZER,), (said,), patch, changes_result=False)


def checkpointing(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Keep each layer's input alone, and compute the rest again."""
    if wanted.resolved.gradient_checkpointing is GradientCheckpointing.NONE and wanted.architecture.checkpointable:
        said = "gradient checkpointing: each layer is computed again in the backward pass, about a third more work"
        patch = of_workload(wanted.resolved, {"gradientCheckpointing": "Full"})
        yield Proposal((Change.GRADIENT_CHECKPOINTING,), (said,), patch, changes_result=False)


def accumulation(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """The same samples of a step in several passes, the fewest that fit the roomiest node type.

    One sample at a time, to be combined, where none fits.
    """
    batch, steps = wanted.resolved.batch_size_per_device, wanted.resolved.gradient_accumulation_steps
    if steps is None:
        return
    found = roomiest(wanted.asked(simulate=False), grounds)

    def fits(parts: int) -> bool:
        # What is looked at is what will be proposed, so that its simulation is there when that is checked.
        sizes = {"batch_size_per_device": batch // parts, "gradient_accumulation_steps": parts * steps}
        divided = replace(wanted, resolved=wanted.resolved.model_copy(update=sizes))
        return found is not None and _fits(divided, *found)

    parts = (n for n in range(2, min(batch, MOST_STEPS // steps) + 1) if batch % n == 0)
    divided = next((n for n in parts if n == batch or fits(n)), None)
    if divided is None:
        return
    batch_norm = "; batch norm sees fewer samples at a time" if wanted.architecture.convolutions else ""
    samples = "1 sample" if batch == divided else f"{batch // divided} samples"
    said = f"{divided * steps} passes of {samples} instead of {steps} of {batch}: slower{batch_norm}"
    sizes = {"batchSizePerDevice": batch // divided, "gradientAccumulationSteps": divided * steps}
    patch = of_workload(wanted.resolved, sizes)
    yield Proposal((Change.GRADIENT_ACCUMULATION,), (said,), patch, changes_result=bool(batch_norm))


def another_gpu(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Products and resources that the spec leaves out, but the cluster has."""
    gpu = wanted.spec.resources.gpu
    if wanted.spec.resources.gpus_per_node == 0:
        return
    for name in sorted({ground.offer.resource for ground in grounds if ground.offer is not None}):
        differs = {} if name == wanted.asked().resource else {"resourceName": name}
        freed = {"products": None} if gpu is not None and gpu.products is not None else {}
        if differs or freed:
            said = f"any GPU that offers {name}, instead of those asked for; speed and energy are of another GPU"
            yield Proposal(
                (Change.NODE_TYPE,), (said,), {"resources": {"gpu": {**differs, **freed}}}, changes_result=True
            )


def smaller_batch(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """The largest batch that fits the roomiest node type; one sample, to be combined, where none does."""
    old = wanted.resolved.batch_size_per_device
    new = max(1, _most(wanted, Axis.BATCH, grounds) or 0)
    if new < old:
        said = f"batch of {new} instead of {old}, the largest that fits: fewer samples at a time, so less throughput"
        patch = of_workload(wanted.resolved, {"batchSizePerDevice": new})
        yield Proposal((Change.BATCH_SIZE,), (said,), patch, changes_result=True)


# In order of preference; bf16 has fp32's range, fp16 runs on older GPUs.
_OF_A_PASS = {
    Precision.FP32: (Precision.BF16, Precision.FP16),
    Precision.TF32: (Precision.BF16, Precision.FP16),
    Precision.BF16: (Precision.FP16,),
}
_NARROWER = {
    WorkloadType.INFERENCE: _OF_A_PASS,
    WorkloadType.ANALYSIS: _OF_A_PASS,
    WorkloadType.TRAINING: {
        Precision.FP32: (Precision.BF16_MIXED, Precision.FP16_MIXED, Precision.BF16),
        Precision.TF32: (Precision.BF16_MIXED, Precision.FP16_MIXED, Precision.BF16),
        Precision.BF16: (Precision.FP16_MIXED,),
        Precision.BF16_MIXED: (Precision.FP16_MIXED, Precision.BF16),
        Precision.FP16_MIXED: (Precision.BF16,),
    },
}
_PRECISION_COSTS = {
    Precision.FP32: "as exact or more, on any GPU",
    Precision.BF16: "7 bits of fraction; faster where the GPU has it",
    Precision.FP16: "10 bits of fraction, a narrow range; faster",
    Precision.BF16_MIXED: "weights stay fp32, arithmetic has 7 bits of fraction; faster",
    Precision.FP16_MIXED: "weights stay fp32, losses are scaled; faster",
}
_SIXTEEN = (Precision.BF16, Precision.FP16)


def another_precision(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """A narrower format, or one that the GPUs have."""
    old = wanted.resolved.precision
    known = [ground.offer.capability for ground in grounds if ground.offer is not None]
    older = bool(known) and all(capability is not None and capability < AMPERE for capability in known)
    # What tf32 is where the GPUs do not have it.
    wider = (Precision.FP32,) if older and old is Precision.TF32 else ()
    for new in (*wider, *_NARROWER[wanted.resolved.workload_type].get(old, ())):
        if older and new in NEEDS_AMPERE:
            continue
        # Of two formats of 16 bits none is the faster one.
        cost = _PRECISION_COSTS[new] if old not in _SIXTEEN else _PRECISION_COSTS[new].partition("; ")[0]
        said = f"{new.value} instead of {old.value}: {cost}"
        yield Proposal((Change.PRECISION,), (said,), {"runtime": {"precision": new.value}}, changes_result=True)


def shorter_input(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """The longest input that fits the roomiest node type."""
    old, new = wanted.resolved.input.input_tokens, _most(wanted, Axis.INPUT, grounds)
    if old is None or not new or new >= old:
        return
    # What is generated stays as it is: its default may depend on the input's length.
    generated = wanted.resolved.input.output_tokens
    text = {"inputTokens": new, **({"outputTokens": generated} if generated else {})}
    said = f"{new} input tokens instead of {old}, the most that fit: what lies beyond is not read"
    yield Proposal(
        (Change.INPUT_LENGTH,), (said,), of_workload(wanted.resolved, {"input": {"text": text}}), changes_result=True
    )


def smaller_sibling(wanted: Demand, grounds: tuple[Ground, ...]) -> Iterator[Proposal]:
    """Smaller models of the same publisher, kind and vocabulary from the registry, the largest first."""
    source, own = wanted.spec.model.source, models.lookup(wanted.spec.model.id)
    if own is None or (source is not None and source.type is not SourceType.REGISTRY):
        return
    known = _registered()
    me = known[own.id]
    smaller = [one for one in known.values() if one.kin == me.kin and one.parameters < me.parameters]
    # Of equally large ones that whose name is most alike: the same generation, the same training.
    smaller.sort(key=lambda one: (-one.parameters, -SequenceMatcher(None, one.id, own.id).ratio(), one.id))
    for one in smaller:
        said = f"{one.id} instead of {own.id}: {one.parameters / me.parameters:.0%} of its parameters; another model"
        model = (one.architecture, one.config)
        yield Proposal((Change.MODEL,), (said,), {"model": {"id": one.id}}, changes_result=True, model=model)


# From what leaves most as it is to what leaves least.
MOVES: tuple[Move, ...] = (
    fused_attention,
    fused_optimizer,
    more_host_memory,
    checkpointing,
    accumulation,
    another_gpu,
    several_gpus,
    narrower_states,
    smaller_batch,
    another_precision,
    lighter_optimizer,
    quantized,
    adapters,
    quantized_adapters,
    shorter_input,
    smaller_sibling,
)
# Those that change no result and need no search: they are offered together as well. The last costs time.
FREE: tuple[Move, ...] = (fused_attention, fused_optimizer, more_host_memory)
PRESERVING: tuple[Move, ...] = (*FREE, checkpointing)
# Those not tried on what is free alone: of some the amount is sought, of which other changes leave more; beside the
# others it saves nothing, or little.
ON_ALL: tuple[Move, ...] = (
    accumulation,
    smaller_batch,
    shorter_input,
    narrower_states,
    quantized,
    adapters,
    quantized_adapters,
)
# Those of whose proposals a later one costs more: the first that helps is the one to take.
RISING: tuple[Move, ...] = (several_gpus,)
# Tried together where too little helps alone.
PAIRS: tuple[tuple[Move, Move], ...] = (
    (several_gpus, smaller_batch),
    (several_gpus, another_precision),
    (another_precision, accumulation),
    (another_precision, smaller_batch),
    (another_precision, lighter_optimizer),
    (lighter_optimizer, smaller_batch),
    (narrower_states, another_precision),
    (quantized, smaller_batch),
    (another_precision, quantized),
    (adapters, smaller_batch),
    (another_precision, adapters),
    (quantized_adapters, smaller_batch),
    (smaller_batch, shorter_input),
    (another_precision, shorter_input),
    (another_precision, smaller_sibling),
    (smaller_batch, smaller_sibling),
)


def _most(wanted: Demand, axis: Axis, grounds: tuple[Ground, ...]) -> int | None:
    """The most that fits the roomiest ground, of those that nothing but memory speaks against; None where none is."""
    found = roomiest(wanted.asked(simulate=False), grounds)
    if found is None:
        return None
    ground, room = found
    return most_that_fit(wanted, axis, gpu_of(ground), room)


def _fits(wanted: Demand, ground: Ground, room: int) -> bool:
    """Whether the high end is at most so many bytes: of what is cheap, and only then of what is simulated."""
    return all(wanted.offer_on(gpu_of(ground), simulate=simulate) <= room for simulate in (False, True))


@dataclass(frozen=True, slots=True)
class _Registered:
    """A model of the registry. `kin` is what siblings have in common."""

    id: str
    kin: tuple[str, str, object]
    parameters: int
    architecture: Architecture
    config: str


@cache
def _registered() -> Mapping[str, _Registered]:
    """All models of the registry that can be read, by id; read at first use."""
    found = {}
    for name in models.known_ids():
        known = models.lookup(name)
        architecture = None if known is None else models.architecture(known.config)
        if known is None or not isinstance(architecture, Architecture):
            continue
        count = models.parameters(architecture, models.head_for(architecture, WorkloadType.INFERENCE)).total
        kin = (name.rpartition("/")[0], architecture.model_type, architecture.vocab)
        config = json.dumps(dict(known.config), separators=(",", ":"))
        found[name] = _Registered(name, kin, count, architecture, config)
    return found
