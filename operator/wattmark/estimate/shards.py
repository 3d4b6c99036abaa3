"""What one GPU of several keeps of an optimizer's states, in the form that the optimizers' formulas read."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from wattmark.api.training import Optimizer
from wattmark.estimate.parts import UNDIVIDED, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.stored import Stored
from wattmark.models import Kind, Weights

# Whose states are as the parameters, element by element, so that a part of these has that part of those.
_ELEMENTWISE = (Optimizer.ADAMW, Optimizer.ADAMW_FUSED, Optimizer.SGD, Optimizer.SGD_MOMENTUM)


@dataclass(frozen=True, eq=False)
class _Divided(Stored):
    """What is stored where only tensors of these `sizes` are trained."""

    sizes: tuple[tuple[int, int], ...]

    @cached_property
    def trained(self) -> tuple[Weights, ...]:
        """The parts of tensors that this GPU updates, as vectors."""
        return tuple(Weights("shard", Kind.OTHER, size, count=count) for size, count in self.sizes)


@dataclass(frozen=True)
class Shard(Question):
    """A question of which only some elements are trained here: `sizes` of tensors, each with how many there are."""

    sizes: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, question: Question, sizes: Iterable[tuple[int, int]]) -> Self:
        """The same question, for these sizes of tensors."""
        return cls(question.architecture, question.resolved, question.weights, question.on_gpu, tuple(sizes))

    @cached_property
    def fixed(self) -> Stored:
        """What is stored, of which these parts are trained."""
        return _Divided(self.architecture, self.head, self.pretrained, self.adapters, self.sizes)


def elementwise(question: Question) -> Unknown | None:
    """Why a part of the parameters may not have that part of the states."""
    chosen = question.resolved.optimizer
    if chosen is None or chosen in _ELEMENTWISE:
        return None
    why = f"the closed form does not know how {chosen.value} keeps its states of divided parameters"
    return Unknown(f"{why}; use training.optimizer AdamW, or {UNDIVIDED}")
