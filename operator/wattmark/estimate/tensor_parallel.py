"""Memory of inference whose matrices, heads and caches are divided among GPUs: transformers' tensor parallelism.

By the plan that transformers (5.23) has for the model: embeddings, query, key, value, gate, up and the output
projection give each GPU a part of their rows, attention's and the feed-forward part's last matrix a part of their
columns; norms are whole on each. So each GPU runs a narrower model of the same depth. Compared with the real one:
tests/torch/test_tensor_parallel.py.
"""

from dataclasses import replace

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate import inference
from wattmark.estimate.interval import spread
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.models import Architecture, Weights

KNOWN = ("llama", "mistral", "qwen2", "qwen3")
_ROWS = {"word", "query", "key", "value", "up", "lm_head"}
_COLUMNS = {"output", "down"}


def phases(question: Question, devices: int) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase of an inference run on one of the GPUs; the samples are the same on all of them."""
    architecture = question.architecture
    if architecture.model_type not in KNOWN:
        known = ", ".join(KNOWN)
        return Unknown(f"tensor parallelism is known of {known}, not of a model of type {architecture.model_type}")
    if architecture.tied:
        return Unknown("the closed form does not know how a projection that is tied to the embeddings is divided")
    found = inference.phases(replace(question, architecture=local(architecture, devices)))
    return *found, *(_normalizing(question, phase) for phase in found if phase.phase is Phase.PREFILL)


def _normalizing(question: Question, phase: PhaseParts) -> PhaseParts:
    """The moment of a norm, which is whole on each GPU: what is left as the fullest one when the rest is divided.

    The layer's input, attention's result and their sum are there, and, of 16-bit ones, two fp32 versions of that.
    """
    size = question.formats.compute
    elements = question.batch * question.input_tokens * question.architecture.hidden
    part = Part(
        ComponentName.ACTIVATIONS,
        spread(elements * (3 * size + (8 if size < 4 else size)), *inference.TEMPORARIES, inference.SMALL_TENSORS),
        "batch x tokens x hidden x (3 B, and 8 in fp32) around an undivided norm",
    )
    kept = (ComponentName.WEIGHTS, ComponentName.KV_CACHE)
    return PhaseParts(phase.phase, (*(one for one in phase.parts if one.name in kept), part))


def local(architecture: Architecture, devices: int) -> Architecture:
    """What the fullest GPU has of a model whose heads can be divided."""
    decoder = architecture.decoder
    assert decoder is not None  # of a known type
    narrow = replace(
        decoder,
        heads=decoder.heads // devices,
        kv_heads=decoder.kv_heads // devices,
        intermediate=-(-decoder.intermediate // devices),
    )
    return replace(
        architecture,
        decoder=narrow,
        body=tuple(_part(weight, devices) for weight in architecture.body),
        heads=tuple((head, tuple(_part(weight, devices) for weight in own)) for head, own in architecture.heads),
    )


def _part(weight: Weights, devices: int) -> Weights:
    last = weight.name.rpartition(".")[2]
    if last in _ROWS:
        return replace(weight, outputs=-(-weight.outputs // devices))
    return replace(weight, inputs=-(-weight.inputs // devices)) if last in _COLUMNS else weight
