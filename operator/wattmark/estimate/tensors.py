"""The parameters as the framework's model has them, one by one: what is divided among GPUs is divided by their rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from wattmark.estimate.parts import UNDIVIDED, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.stored import Stored
from wattmark.models import Architecture, Family, Kind, Stack, Weights

# What of a weight's name tells that each layer has its own.
_OF_LAYERS = {"attention", "cross", "mlp", "norms", "norms_behind"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """`count` parameters of `rows` (their first dimension) x `columns` elements (of the others, multiplied)."""

    rows: int
    columns: int
    count: int = 1
    trained: bool = True

    @property
    def elements(self) -> int:
        """Elements of one."""
        return self.rows * self.columns

    def shard(self, devices: int) -> int:
        """Elements that a GPU holds of one where rows are divided: as many as the GPU that holds most."""
        return -(-self.rows // devices) * self.columns


@dataclass(frozen=True, slots=True)
class Units:
    """Parameters by what is gathered together: each layer of each stack, in order, and the `rest`.

    `layers` holds, for each stack, how many layers it has and the parameters of one of them.
    """

    layers: tuple[tuple[int, tuple[Tensor, ...]], ...]
    rest: tuple[Tensor, ...]

    @property
    def every(self) -> tuple[Tensor, ...]:
        """All parameters."""
        inner = (
            Tensor(tensor.rows, tensor.columns, tensor.count * count, tensor.trained)
            for count, tensors in self.layers
            for tensor in tensors
        )
        return (*inner, *self.rest)


def units(question: Question, *, shared: bool = False) -> Units | Unknown:
    """The model's parameters, with its adapters, or why they are not known one by one.

    Of layers that share their parameters, which nothing divides, those that are stored if they may be `shared`.
    """
    return _units(question.fixed, shared)


# Asked for each batch and length. Of one search, some kilobytes each.
@lru_cache(32)
def _units(fixed: Stored, shared: bool) -> Units | Unknown:
    architecture, frozen = fixed.architecture, fixed.adapters is not None
    kind = architecture.model_type
    if not architecture.stacks or architecture.audio is not None:
        return Unknown(f"the closed form does not know how a model of type {kind} is divided; use {UNDIVIDED}")
    weights = [weight for weight in fixed.weights if _of_layers(weight)]
    rest = tuple(tensor for weight in fixed.weights if not _of_layers(weight) for tensor in _outside(weight))
    adapters = fixed.trained if frozen else ()
    layers = []
    for stack in architecture.stacks:
        own = [weight for weight in weights if _belongs(weight, stack, architecture)]
        copies = min(weight.count for weight in own)
        if copies < stack.layers and not shared:
            return Unknown(f"the closed form does not know how shared layers ({kind}) are divided; use {UNDIVIDED}")
        inner = tuple(_within(own, stack, architecture, copies))
        added = tuple(
            Tensor(weight.outputs, weight.inputs, weight.count // copies)
            for weight in adapters
            if _belongs(weight, stack, architecture)
        )
        layers.append((copies, (*(replace(tensor, trained=not frozen) for tensor in inner), *added)))
    return Units(tuple(layers), tuple(replace(tensor, trained=not frozen) for tensor in rest))


def _of_layers(weight: Weights) -> bool:
    return not _OF_LAYERS.isdisjoint(weight.name.split("."))


def _belongs(weight: Weights, stack: Stack, architecture: Architecture) -> bool:
    if architecture.family is not Family.ENCODER_DECODER:
        return True
    return weight.name.startswith("decoder.") == (stack is architecture.decoder)


def _outside(weight: Weights) -> Iterator[Tensor]:
    """What stands before and behind the layers."""
    if weight.kind is Kind.OTHER:  # of a vision transformer: 1 x positions x hidden
        yield Tensor(1, weight.outputs * weight.inputs, weight.count)
    else:
        yield from _plain(weight, weight.count)


def _plain(weight: Weights, count: int) -> Iterator[Tensor]:
    yield Tensor(weight.outputs, weight.inputs, count)
    if weight.bias:
        yield Tensor(weight.outputs, 1, count)


def _within(weights: list[Weights], stack: Stack, architecture: Architecture, copies: int) -> Iterator[Tensor]:
    """One layer's parameters: some matrices are one, a mixture's experts are, and GPT-2's stand on their side."""
    sideways = architecture.model_type == "gpt2"
    joined: list[Weights] = []
    for weight in weights:
        count = weight.count // copies
        part = weight.name.rpartition(".")[2]
        if weight.kind is Kind.EXPERT and part != "router":
            experts = count if part == "down" else count // (2 if stack.gated else 1)
            yield Tensor(experts, count // experts * weight.outputs * weight.inputs)
        elif stack.fused_projections and part in ("query", "key", "value"):
            joined.append(weight)
        elif stack.fused_gate and part == "up":
            yield Tensor(count * weight.outputs, weight.inputs)
        elif sideways and weight.kind is Kind.LINEAR:
            yield Tensor(weight.inputs, weight.outputs, count)
            yield Tensor(weight.outputs, 1, count)
        else:
            yield from _plain(weight, count)
    if joined:
        outputs = sum(weight.outputs for weight in joined)
        first = joined[0]
        yield Tensor(first.inputs, outputs) if sideways else Tensor(outputs, first.inputs)
        if first.bias:
            yield Tensor(outputs, 1)
