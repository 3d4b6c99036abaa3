"""What a training step holds of activations, moment by moment: saved on the way there, and made on the way back."""

from dataclasses import dataclass

from wattmark.api.answers import ComponentName
from wattmark.api.parallelism import ParallelismType
from wattmark.estimate import convolution, layer_backward, quantized, transformer
from wattmark.estimate.formats import Formats
from wattmark.estimate.interval import MIB, spread
from wattmark.estimate.parts import Part
from wattmark.estimate.question import Question
from wattmark.estimate.transformer import Pass
from wattmark.models import Family, Modality, Norm, Stack

SAVED = (0.85, 1.2)
UNFUSED = (0.85, 1.7)  # a CPU's unfused attention computes 16-bit scores in fp32, which the form does not follow
CONVOLUTIONS = (0.7, 1.5)
SMALL_TENSORS = 64 * MIB  # masks, indices, embeddings' temporaries, what the libraries keep between kernels


@dataclass(frozen=True, slots=True)
class Moments:
    """Bytes of activations in a training step, and how sure their form is.

    `forward` is what the forward pass has saved at its end; `early` what is there at the fullest moment while most of
    that is still there, when `gradients` bytes of parameters' gradients are; `late` what the first layer holds at the
    end of the backward pass, when all gradients are but `missing` bytes of its own and the embeddings'; `last` what is
    there when the embeddings' come. `normed` is what there is in the backward pass of the norm behind the layers,
    `within` at the fullest moment of the last layer's, and `behind` what is left when that is over; `encoded` what a
    model of two sides has left when its decoder's way back is over. With checkpointing, `running` is what a layer of
    the forward pass holds beside what is saved, and `again` what is there when the last layer has been computed again;
    else both are None.
    """

    forward: int
    early: int
    gradients: int
    late: int
    missing: int
    last: int
    normed: int
    within: int
    behind: int
    encoded: int
    bounds: tuple[float, float]
    formula: str
    running: int | None = None
    again: int | None = None

    def part(self, size: int) -> Part:
        """A size as the activations of a phase."""
        return Part(ComponentName.ACTIVATIONS, spread(size, *self.bounds, SMALL_TENSORS), self.formula)


def of_layers(question: Question) -> Moments:
    """The moments of a step through transformer layers."""
    formats, batch, architecture = question.formats, question.batch, question.architecture
    edges = pixels = _images(question)
    ended = size = first = inputs = backward = normed = again = late = held = behind = encoded = 0
    unfused = not question.on_gpu and formats.compute < 4 and any(run.eager for _, run in question.passes)
    for stack, run in question.passes:
        one = batch * transformer.saved(stack, run, formats)
        post = stack.post_norms
        hidden = batch * run.tokens * architecture.hidden
        mask = transformer.mask_bytes(run, formats) if stack.hidden_dropout else 0
        edges += ended + batch * _before(question, stack, run, mask)  # an encoder's end is there while a decoder runs
        ended = batch * _end(question, stack, run, mask)
        size += stack.layers * one + transformer.shared(stack, run, formats)
        size -= batch * transformer.unreached(stack, run, formats)
        inputs += (stack.layers - 1) * hidden * formats.stream  # the first layer's is counted with the edges
        inputs += _biases(stack, run, formats)
        if run.eager:  # every layer is given the mask again
            inputs += batch * transformer.masks(stack, run, formats)
        inputs += stack.layers * batch * quantized.uncheckpointed(question, stack, run, post=post)
        fullest = _fullest_backward(question, stack, run)
        backward = max(backward, fullest - one)
        normed = batch * layer_backward.norm_backward(stack, run, formats)
        # What a layer saves holds its input as well, but where a copy of another width is saved in its place.
        apart = formats.mixed if post else formats.stream < 4 and stack.norm not in (Norm.LAYER, Norm.T5)
        twice = 0 if apart else hidden * formats.stream
        again = max(again, fullest - twice + _made_again(stack, run, formats))
        # The embeddings keep their dropout's mask, and their norm its input.
        before = mask + (formats.stream if post else 0) + (formats.stream if apart else 0)
        behind = 0 if question.checkpoints else one
        late = max(late, fullest + pixels + hidden * before)
        first += hidden * (formats.stream * (2 if post else 1) + mask)
        held = max(held, batch * transformer.held(stack, run, formats))
        encoded = encoded or edges + ended + (inputs if question.checkpoints else size)
    projection = 0 if question.adapters else question.projection * formats.weight  # frozen weights have no gradients
    layers = edges + (inputs if question.checkpoints else size)
    kept = layers + ended
    # The projection saves a copy of what it reads, or nothing; the model holds that itself while the loss is computed.
    read = formats.mixed or question.adapters
    reads = read and architecture.family is Family.DECODER
    return Moments(
        forward=kept + (batch * run.tokens * architecture.hidden * formats.stream if reads else 0),
        # With a vocabulary to project on, the gradients of logits are what the first moment of the way back holds.
        early=kept if question.projection else layers + max(backward, normed),
        gradients=projection or _classifier_gradients(question),
        late=late,
        missing=_missing(question, projection),
        normed=layers + normed,
        within=layers + (again if question.checkpoints else backward),
        behind=kept - behind,
        encoded=encoded,
        # A tied embedding's gradient comes in two halves, the output's first; their sum is a third of their size.
        last=first + (2 * projection if question.tied else 0),
        bounds=UNFUSED if unfused else SAVED,
        formula="layers x batch x tokens x what a layer saves (arXiv 2205.05198, extended by activation and norm)"
        if not question.checkpoints
        else "layers x batch x tokens x hidden x B, and one layer in full (arXiv 2205.05198, extended)",
        running=layers + held if question.checkpoints else None,
        again=layers + again if question.checkpoints else None,
    )


def _missing(question: Question, projection: int) -> int:
    """Bytes of the gradients that come after the first layer's fullest moment: its other matrices', and embeddings'.

    A mixture's fullest moment is before those of attention come, and counts those of its experts itself.
    """
    if question.adapters:
        return 0
    weight, mixture = question.formats.weight, any(stack.experts for stack in question.stacks)
    own = (question.layer_matrices - (0 if mixture else question.fixed.largest_matrix)) * weight
    own += sum(stack.expert_elements for stack in question.stacks) * weight
    return own + question.count.embedding * weight - (projection if question.tied else 0)


def _classifier_gradients(question: Question) -> int:
    """Bytes of the gradients of a classifier, and of the last layer's last matrix, which is made as it is computed."""
    if question.adapters or question.projection:
        return 0
    head = sum(weight.elements * weight.count for weight in question.architecture.head_weights(question.head))
    return head * question.formats.weight + question.fixed.largest_matrix * question.formats.compute


def _biases(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of position biases that every layer is given to run again, and of the zeros that cross-attention adds."""
    if not stack.position_bias:
        return 0
    cross = run.memory * formats.compute if stack.cross_attention else 0
    return stack.heads * run.tokens * (run.keys * formats.stream + cross)


def _made_again(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that a layer makes of what does not grow with the batch: fused attention's copy of the bias."""
    if not stack.position_bias:
        return transformer.held_once(stack, run, formats)
    return 0 if run.eager else stack.heads * run.tokens * run.keys * formats.compute


def _fullest_backward(question: Question, stack: Stack, run: Pass) -> int:
    """Bytes of one layer at the fullest moment of its backward pass, whole batch.

    Of a mixture with the gradients of its experts' matrices, which may be more than all activations.
    """
    batch, formats, again = question.batch, question.formats, question.checkpoints
    trained = question.adapters is None and not question.accumulates
    if not stack.experts:
        fullest = layer_backward.fullest_backward(stack, run, formats, post=stack.post_norms, again=again)
        # Before the last matrix's gradient, which is counted beside.
        behind = batch * layer_backward.behind_backward(stack, run, formats)
        return max(batch * fullest, behind - (question.fixed.largest_matrix * formats.weight if trained else 0))
    around, within, ending = layer_backward.mixture_backward(stack, run, formats, again=again)
    # With FullyShardedDataParallel a layer's gradients are counted where they are divided.
    divided = question.resolved.parallelism is ParallelismType.FSDP
    made = stack.expert_elements * formats.weight if trained and not divided else 0
    return max(batch * around, batch * within + made // stack.mlp_matrices, batch * ending + made)


def _images(question: Question) -> int:
    """Bytes of the images, which the caller holds, and of autocast's copy, saved unless what reads it is frozen."""
    formats = question.formats
    copied = formats.compute if formats.mixed and not question.adapters else 0
    return question.pixel_bytes + question.pixel_bytes // formats.weight * copied


def _before(question: Question, stack: Stack, run: Pass, mask: int) -> int:
    """Bytes per sample that stay saved before the layers; `mask` are those of a dropout's mask, if any.

    What the first layer is given is counted with what its norm saves, but where it is kept to run the layer again.
    Before norms at the end stands another one, with its input and result; frozen, and under autocast, it saves nothing,
    but what it gave is held itself, for only copies are saved. To compute frozen layers again their input must need a
    gradient: transformers sees to that for models that read text, at the embedding, whose result is kept to be given
    it, apart from what is made of it.
    """
    formats, post = question.formats, stack.post_norms
    hidden, stream = run.tokens * stack.hidden, run.tokens * stack.hidden * formats.stream
    if question.adapters and not question.checkpoints:
        return stream if post and formats.mixed else 0
    apart = post or mask or question.architecture.position_table
    text = question.architecture.modality is Modality.TEXT
    leaf = stream if question.adapters and apart and text else 0
    given = (2 if post else 1) * stream if post or question.checkpoints else 0
    return leaf + given + hidden * mask


def _end(question: Question, stack: Stack, run: Pass, mask: int) -> int:
    """Bytes per sample that stay saved behind the layers: by the last norm, and by what reads its result.

    A frozen projection does not. T5 has a dropout behind that norm, and its decoder reads, and holds, what its encoder
    gave.
    """
    formats = question.formats
    if stack.post_norms:
        return 0
    encodes = question.architecture.family is Family.ENCODER_DECODER
    result = 0 if question.adapters else formats.compute
    if encodes and not stack.causal:
        result = formats.stream
    behind = mask if encodes else 0
    return transformer.norm_saved(stack, run, formats) + run.tokens * stack.hidden * (result + behind)


def of_convolutions(question: Question) -> Moments:
    """The moments of a step through convolutions."""
    architecture, formats, batch = question.architecture, question.formats, question.batch
    # The form counts the images once: autocast saves a copy of them, and the caller holds them themselves.
    images = question.pixel_bytes if formats.mixed else 0
    early, gradients = convolution.fullest_backward(architecture, question.pixels, formats, batch)
    return Moments(
        forward=images + batch * convolution.saved(architecture, question.pixels, formats.compute),
        early=images + early,
        gradients=gradients,
        late=images + batch * convolution.held(architecture, question.pixels, formats.compute),
        missing=0,
        last=0,
        normed=0,
        within=images + early,
        behind=0,
        encoded=0,
        bounds=CONVOLUTIONS,
        formula="batch x (outputs of convolutions and activations) x B, from the plan of layers",
    )
