"""Memory of a training step whose parameters, gradients and optimizer states are divided (PyTorch's fully_shard).

Each layer is a unit that is gathered for its own passes; the rest (embeddings, last norm, head) is the root unit, which
stays gathered from forward to backward. Read in torch.distributed.fsdp._fully_shard (2.15) and compared with it:
tests/torch/test_fsdp.py.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.parallelism import FsdpStrategy
from wattmark.api.runtime import Precision
from wattmark.estimate import optimizer, training
from wattmark.estimate.interval import exact
from wattmark.estimate.moments import Moments, of_layers
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.shards import Shard, elementwise
from wattmark.estimate.tensors import Tensor, Units, units

_NARROW = {Precision.BF16_MIXED: Precision.BF16, Precision.FP16_MIXED: Precision.FP16}


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Bytes. `shard` is what one GPU keeps of all parameters, `gradients` of all gradients.

    `layer` and `rest` are the largest layer and the root unit as gathered; `every` all layers; `layer_gradients` and
    `rest_gradients` their gradients before they are reduced, `layer_reduced` and `rest_reduced` the copies that the
    reduction takes in.
    """

    shard: int
    gradients: int
    layer: int
    every: int
    rest: int
    layer_gradients: int
    rest_gradients: int
    layer_reduced: int
    rest_reduced: int


def phases(question: Question, devices: int) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase of a step on one of the GPUs, in the order in which the CPU allocates.

    Activations are those of one GPU's samples; with a mixed precision all arithmetic is in 16 bit, norms as well.
    """
    found = units(question)
    if isinstance(found, Unknown):
        return found
    odd = elementwise(question)
    if odd:
        return odd
    resolved = question.resolved
    narrow = _NARROW.get(resolved.precision, resolved.precision)
    computing = replace(question, resolved=resolved.model_copy(update={"precision": narrow}))
    shard = Shard.of(question, ((t.shard(devices), t.count) for t in found.every if t.trained))
    size = _sizes(question, computing, found, devices)
    weights = Part(ComponentName.WEIGHTS, exact(size.shard), f"1/{devices} of each parameter's rows, rounded up")
    step = _Step(computing, of_layers(computing), size, (weights, optimizer.states(shard)), devices)
    # PyTorch's foreach forms are no default for DTensors: tensor by tensor.
    updating = optimizer.step_temporaries(replace(shard, on_gpu=False))
    return (
        PhaseParts(Phase.LOAD, (weights,)),
        *step.forward(),
        *step.backward(),
        PhaseParts(Phase.OPTIMIZER_STEP, (*step.kept, step.gradients, updating)),
    )


@dataclass(frozen=True, slots=True)
class _Step:
    """One step in the formats of its arithmetic; `kept` are the shards of parameters and states."""

    question: Question
    moments: Moments
    size: _Sizes
    kept: tuple[Part, Part]
    devices: int

    @property
    def gradients(self) -> Part:
        """All gradients, reduced."""
        return training.gradients_part(self.size.gradients)

    @property
    def before(self) -> Part:
        """Gradients that are there from an earlier pass."""
        return self.gradients if self.question.accumulates else training.gradients_part(0)

    @property
    def stays(self) -> int:
        """Bytes of all layers where they stay gathered for the backward pass, else 0."""
        return self.size.every if self.question.resolved.fsdp_strategy is FsdpStrategy.SHARD_GRAD_OP else 0

    @property
    def head(self) -> int:
        """Bytes of the output projection's gradient, which stays whole till the end of the backward pass."""
        return 0 if self.question.adapters else self.question.projection * self.question.formats.compute

    @property
    def matrix(self) -> int:
        """Bytes of the gradient that a layer has at its fullest: that of its largest matrix."""
        return 0 if self.question.adapters else self.question.fixed.largest_matrix * self.question.formats.compute

    def forward(self) -> Iterator[PhaseParts]:
        """The root unit's gathering, the last layer, and the loss; the last gathering's result outlives its use."""
        size, moments, stays = self.size, self.moments, self.stays
        within = moments.part(moments.running or moments.forward)
        logits = training.logits_part(self.question, backward=False)
        yield self._there(Phase.FORWARD, self.before, gathered=(2 * size.rest, size.layer))
        yield self._there(Phase.FORWARD, within, self.before, gathered=(size.rest, stays or size.layer, size.layer))
        ended = moments.part(moments.forward)
        yield self._there(Phase.FORWARD, ended, logits, self.before, gathered=(size.rest, stays, size.layer))

    def backward(self) -> Iterator[PhaseParts]:
        """The loss; the last two layers, the first, and the rest.

        A layer's backward pass has the next one's gathering underway, unless that has stayed, and the reduction of the
        one before not yet done.
        """
        size, moments, stays = self.size, self.moments, self.stays
        early, logits = moments.part(moments.early), training.logits_part(self.question, backward=True)
        yield self._there(Phase.BACKWARD, early, logits, self.before, gathered=(size.rest, stays))
        for projected in training.projected(self.question, moments, (early,)):
            yield self._there(projected.phase, *projected.parts, self.before, gathered=(size.rest, stays))
        next_one, saved = 0 if stays else size.layer, moments.forward - moments.behind
        yield from self._layer(moments.within, stays or size.layer, next_one)
        yield from self._layer(moments.within - saved, stays or size.layer, next_one, size.layer_reduced)
        # The first layer's own gradients are not there yet: at most a 64th of all.
        done = self.gradients if self.question.accumulates else training.gradients_part(size.gradients * 63 // 64)
        first = (size.rest, self.head, size.layer, size.layer_reduced)
        yield self._there(Phase.BACKWARD, moments.part(moments.late), done, gathered=(*first, self.matrix))
        yield self._there(Phase.BACKWARD, moments.part(moments.last), done, gathered=(*first, size.layer_gradients))
        yield self._there(Phase.BACKWARD, self.gradients, gathered=(size.rest_gradients, size.rest_reduced))

    def _layer(self, activations: int, *gathered: int) -> Iterator[PhaseParts]:
        """A layer's backward pass at its fullest, and when all its gradients are there."""
        after = activations - self.moments.within + self.moments.behind
        for held, own in ((activations, self.matrix), (after, self.size.layer_gradients)):
            part = self.moments.part(max(0, held))
            everything = (self.size.rest, self.head, own, *gathered)
            yield self._there(Phase.BACKWARD, part, self.before, gathered=everything)

    def _there(self, phase: Phase, *parts: Part, gathered: Iterable[int]) -> PhaseParts:
        words = f"layers and the rest as gathered; gradients on their way to 1/{self.devices}"
        communication = Part(ComponentName.COMMUNICATION, exact(sum(gathered)), words)
        return PhaseParts(phase, (*self.kept, *parts, communication))


def _sizes(question: Question, computing: Question, found: Units, devices: int) -> _Sizes:
    layers, rest = found.layers, found.rest
    weight, compute = question.formats.weight, computing.formats.compute
    reduced = 4 if question.formats.mixed else compute

    def whole(tensors: Iterable[Tensor]) -> int:
        return sum(tensor.shard(devices) * devices * tensor.count for tensor in tensors)

    def trained(tensors: Iterable[Tensor]) -> int:
        return whole(tensor for tensor in tensors if tensor.trained)

    every = sum(count * whole(tensors) for count, tensors in layers)
    every_trained = sum(count * trained(tensors) for count, tensors in layers) + trained(rest)
    largest = max((tensors for _, tensors in layers), key=whole)
    return _Sizes(
        shard=(every + whole(rest)) // devices * weight,
        gradients=every_trained // devices * weight,
        layer=whole(largest) * compute,
        every=every * compute,
        rest=whole(rest) * compute,
        layer_gradients=trained(largest) * compute,
        rest_gradients=trained(rest) * compute,
        layer_reduced=trained(largest) * reduced,
        rest_reduced=trained(rest) * reduced,
    )
