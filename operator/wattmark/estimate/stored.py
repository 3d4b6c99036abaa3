"""What is stored of a model, and what of it is trained: the same for every batch and length.

It goes over all weights, of which a model may have thousands, while what fits is sought among many batches and lengths.
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise

from wattmark.estimate.transformer import Adapters
from wattmark.models import Architecture, Head, Kind, ParameterCount, Weights, parameters, stored_weights


class Itself:
    """An architecture that is equal to itself alone: to compare two takes longer than to estimate."""

    __slots__ = ("architecture",)

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture

    def __hash__(self) -> int:
        return id(self.architecture)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Itself) and self.architecture is other.architecture


@dataclass(frozen=True, eq=False)
class Stored:
    """A model with a head; `adapters` are trained in place of all that is stored."""

    architecture: Architecture
    head: Head
    pretrained: bool
    adapters: Adapters | None

    @cached_property
    def weights(self) -> tuple[Weights, ...]:
        """The tensors that are stored, tied ones once."""
        return stored_weights(self.architecture, self.head, pretrained=self.pretrained)

    @cached_property
    def count(self) -> ParameterCount:
        """The model's parameters, with the head."""
        return parameters(self.architecture, self.head, pretrained=self.pretrained)

    @cached_property
    def linear(self) -> tuple[Weights, ...]:
        """The linear layers that are stored; those that are joint in the class, as query, key and value, are one."""
        stacks = self.architecture.stacks
        fused = any(stack.fused_projections for stack in stacks)
        gates = any(stack.fused_gate for stack in stacks)
        found: list[Weights] = []
        for weight in self.weights:
            part = weight.name.rpartition(".")[2]
            if weight.kind is not Kind.LINEAR:
                continue
            if fused and part in ("key", "value") and found:
                found[-1] = replace(found[-1], outputs=found[-1].outputs + weight.outputs)
            elif gates and part == "up":
                found.append(replace(weight, outputs=2 * weight.outputs, count=weight.count // 2))
            else:
                found.append(weight)
        return tuple(found)

    @cached_property
    def layers(self) -> tuple[Weights, ...]:
        """The matrices of the transformer layers."""
        parts = (".attention.", ".cross.", ".mlp.")
        linear = (weight for weight in self.architecture.body if weight.kind is Kind.LINEAR)
        return tuple(weight for weight in linear if any(part in weight.name for part in parts))

    @cached_property
    def largest_matrix(self) -> int:
        """Elements of the largest matrix within a layer."""
        # A layer that is run again and again has no share of its own in a question's `layer_matrices`.
        return max((weight.outputs * weight.inputs for weight in self.layers if weight.count > 1), default=0)

    @cached_property
    def trained(self) -> tuple[Weights, ...]:
        """The tensors that a training step updates: all that are stored, or the adapters' two matrices each.

        Fused matrices have one adapter; query, key and value are counted as three where one matrix gives them, and so
        are gate and up: too much by 2 (or 1) times rank x hidden in such a layer.
        """
        if self.adapters is None:
            return self.weights
        names = ("attention", "cross", "mlp") if self.adapters.mlp else ("attention", "cross")
        return tuple(
            adapter
            for weight in self.layers
            if any(f".{name}." in weight.name for name in names)
            for adapter in (
                Weights(f"{weight.name}.a", Kind.LINEAR, self.adapters.rank, weight.inputs, count=weight.count),
                Weights(f"{weight.name}.b", Kind.LINEAR, weight.outputs, self.adapters.rank, count=weight.count),
            )
        )

    @cached_property
    def trained_elements(self) -> int:
        """Elements of all tensors that a training step updates."""
        return sum(weight.elements * weight.count for weight in self.trained)

    @cached_property
    def largest_tensor(self) -> int:
        """Elements of the largest single tensor that is trained."""
        return max(self._elements(weight) for weight in self.trained)

    @cached_property
    def largest_neighbours(self) -> int:
        """Elements of the two largest trained tensors that follow one another; behind a matrix comes its bias."""
        sizes: list[int] = []
        stacks = self.architecture.stacks
        for weight in self.trained:
            # Gate and up follow one another in a layer; what each layer has once does not follow its like.
            layers = stacks[-1].layers if stacks and weight.kind is Kind.LINEAR else weight.count
            for _ in range(min(2, max(1, weight.count // layers))):
                sizes += [self._elements(weight), *([weight.outputs] if weight.bias else [])]
            if self.adapters is None and weight.name.endswith(".up") and any(stack.fused_gate for stack in stacks):
                sizes[-2:] = [sum(sizes[-2:])]  # gate and up are one
        return max((one + other for one, other in pairwise(sizes)), default=self.largest_tensor)

    def experts_together(self, weight: Weights) -> int:
        """How many of the equal matrices are one tensor: the experts of a layer, else each is one."""
        return weight.count // self.architecture.stacks[-1].layers if weight.kind is Kind.EXPERT else 1

    def _elements(self, weight: Weights) -> int:
        """Elements of one tensor."""
        return self.experts_together(weight) * weight.outputs * weight.inputs


# Those of one search: the model and its siblings, with and without adapters, some kilobytes each.
@lru_cache(32)
def stored(of: Itself, head: Head, pretrained: bool, adapters: Adapters | None) -> Stored:
    """What is stored of a model, worked out once."""
    return Stored(of.architecture, head, pretrained, adapters)
