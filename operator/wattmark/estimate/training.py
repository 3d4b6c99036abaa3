"""Memory of a training step: forward, backward, optimizer step. Steps after the first: states are there."""

from dataclasses import dataclass

from wattmark.api.answers import ComponentName, Phase
from wattmark.api.workload import Optimizer
from wattmark.estimate import convolution, transformer
from wattmark.estimate.inference import weights_part
from wattmark.estimate.interval import MIB, Interval, exact, spread
from wattmark.estimate.parts import Part, PhaseParts
from wattmark.estimate.question import Question
from wattmark.models import Family, Norm

SAVED = (0.85, 1.2)
UNFUSED = (0.85, 1.7)  # a CPU's unfused attention computes 16-bit scores in fp32, which the form does not follow
CONVOLUTIONS = (0.7, 1.5)
SMALL_TENSORS = 64 * MIB  # masks, indices, embeddings' temporaries, what the libraries keep between kernels


@dataclass(frozen=True, slots=True)
class _Moments:
    """Bytes of activations in a training step, and how sure their form is.

    `forward` is what the forward pass has saved at its end; `early` what is there at the fullest moment while most of
    that is still there, when `gradients` bytes of parameters' gradients are; `late` what is left at the very end of the
    backward pass, when all gradients are.
    """

    forward: int
    early: int
    gradients: int
    late: int
    bounds: tuple[float, float]
    formula: str

    def part(self, size: int) -> Part:
        """A size as the activations of a phase."""
        return Part(ComponentName.ACTIVATIONS, spread(size, *self.bounds, SMALL_TENSORS), self.formula)


def phases(question: Question) -> tuple[PhaseParts, ...]:
    """Every phase of a training step with what the allocator holds at its fullest; workspaces apart."""
    weights, states, copies = weights_part(question), _states(question), _copies(question)
    moments = _convolutions(question) if question.architecture.convolutions else _layers(question)
    every = _gradients(question, question.count.total * question.formats.weight)
    forward = (weights, states, copies, moments.part(moments.forward), _logits(question, backward=False))
    early = (
        weights,
        states,
        copies,
        moments.part(moments.early),
        _logits(question, backward=True),
        _gradients(question, moments.gradients),
    )
    late = (weights, states, moments.part(moments.late), every)
    return (
        PhaseParts(Phase.LOAD, (weights,)),
        PhaseParts(Phase.FORWARD, forward),
        PhaseParts(Phase.BACKWARD, early),
        PhaseParts(Phase.BACKWARD, late),
        PhaseParts(Phase.OPTIMIZER_STEP, (weights, states, every, _step_temporaries(question))),
    )


def _states(question: Question) -> Part:
    count, size = question.count.total, question.formats.weight
    if question.resolved.optimizer is Optimizer.SGD:
        return Part(ComponentName.OPTIMIZER, exact(0), "SGD without momentum keeps no states")
    return Part(ComponentName.OPTIMIZER, exact(2 * count * size), f"AdamW: 2 states x {count} parameters x {size} B")


def _copies(question: Question) -> Part:
    count, formats = question.count, question.formats
    if not formats.mixed:
        return Part(ComponentName.AUTOCAST_COPIES, exact(0), "no autocast: matrices are used as stored")
    vocab = question.architecture.vocab or 0
    generates = question.architecture.family in (Family.DECODER, Family.ENCODER_DECODER)
    # The output projection is a matrix too, and tied it is counted with the embeddings.
    tied = vocab * question.architecture.hidden if question.architecture.tied and generates else 0
    matrices = count.linear + count.convolution + tied
    return Part(
        ComponentName.AUTOCAST_COPIES,
        exact(matrices * formats.compute),
        f"{matrices} elements of matrices x {formats.compute} B, kept from forward to backward",
    )


def _gradients(question: Question, size: int) -> Part:
    return Part(
        ComponentName.GRADIENTS,
        exact(size),
        f"one for each parameter there so far x {question.formats.weight} B; freed before the next forward pass",
    )


def _step_temporaries(question: Question) -> Part:
    size = question.count.total * question.formats.weight
    if question.resolved.optimizer is Optimizer.SGD:
        return Part(ComponentName.WORKSPACE, exact(0), "SGD updates in place")
    if not question.on_gpu:
        largest = max(weight.outputs * weight.inputs for weight in question.architecture.body)
        return Part(
            ComponentName.WORKSPACE,
            spread(2 * largest * question.formats.weight, 0.5, 1),
            "AdamW on a CPU goes parameter by parameter: two temporaries of the largest",
        )
    # A fused step needs none; PyTorch's default on a GPU makes a list as large as the parameters.
    return Part(
        ComponentName.WORKSPACE, Interval(0, size, size), "AdamW's default (foreach): one list of all parameters"
    )


def _layers(question: Question) -> _Moments:
    formats, batch, architecture = question.formats, question.batch, question.architecture
    size = layer = backward = 0
    unfused = not question.on_gpu and formats.compute < 4 and any(run.eager for _, run in question.passes())
    for stack, run in question.passes():
        one = batch * transformer.saved(stack, run, formats)
        final = 0 if stack.norm is Norm.LAYER and architecture.family is Family.ENCODER else 1
        mask = transformer.mask_bytes(run, formats) if stack.hidden_dropout else 0
        edges = batch * run.tokens * architecture.hidden * ((2 + final) * formats.stream + mask)
        size += stack.layers * one + transformer.shared(stack, run, formats) + edges
        layer = max(layer, one)
        backward = max(backward, batch * transformer.backward_temporaries(stack, run, formats))
    projection = (architecture.vocab or 0) * architecture.hidden * formats.weight
    generates = architecture.family in (Family.DECODER, Family.ENCODER_DECODER)
    return _Moments(
        forward=size,
        # With a vocabulary to project on, the gradients of logits are what the first moment of the way back holds.
        early=size if generates else size + backward,
        gradients=projection if generates else 0,
        # A tied embedding's gradient comes in two halves, the output's first, and the sum needs both.
        late=layer + backward + (projection if architecture.tied else 0),
        bounds=UNFUSED if unfused else SAVED,
        formula="layers x batch x tokens x what a layer saves (arXiv 2205.05198, extended by activation and norm)",
    )


def _convolutions(question: Question) -> _Moments:
    architecture, formats, batch = question.architecture, question.formats, question.batch
    early, gradients = convolution.fullest_backward(architecture, question.pixels, formats, batch)
    return _Moments(
        forward=batch * convolution.saved(architecture, question.pixels, formats.compute),
        early=early,
        gradients=gradients,
        late=batch * convolution.held(architecture, question.pixels, formats.compute),
        bounds=CONVOLUTIONS,
        formula="batch x (outputs of convolutions and activations) x B, from the plan of layers",
    )


def _logits(question: Question, *, backward: bool) -> Part:
    """Logits with their loss.

    They come in the compute format and are raised to fp32 for the loss, whose log-softmax is saved. The backward pass
    holds that, its gradient and the gradient of the raised logits; the logits themselves are gone by then unless the
    caller keeps them. Without autocast T5 computes its loss in the format of the logits. A cap's tanh is saved too.
    """
    architecture, size = question.architecture, question.formats.compute
    elements = question.batch * question.input_tokens * (architecture.vocab or 0)
    loss = size if architecture.family is Family.ENCODER_DECODER and not question.formats.mixed else 4
    if architecture.family not in (Family.DECODER, Family.ENCODER_DECODER):
        elements = question.batch * (architecture.labels or 0)
    if backward:
        least, likely, most = 2 * loss, 3 * loss, 3 * loss + size
    else:
        least, likely, most = size + loss, size + loss + (loss if loss != size else 0), size + 2 * loss
    if architecture.capped_logits:
        least, likely, most = least + size, likely + size, most + size
    return Part(
        ComponentName.LOGITS,
        Interval(elements * least, elements * likely, elements * most),
        f"batch x tokens x vocabulary x {likely} B: logits, fp32 copy, log-softmax"
        + (", gradients" if backward else ""),
    )
