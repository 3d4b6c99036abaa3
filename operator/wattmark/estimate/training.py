"""Memory of a training step: forward, backward, optimizer step. Steps after the first: states are there."""

from dataclasses import dataclass

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate import convolution, layer_backward, optimizer, quantized, transformer
from wattmark.estimate.inference import weights_part
from wattmark.estimate.interval import MIB, Interval, exact, spread
from wattmark.estimate.parts import Part, PhaseParts
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
    there when the embeddings' come. `within` is what there is at the fullest moment of the last layer's backward pass,
    and `behind` what is left when that is over. With checkpointing, `running` is what a layer of the forward pass holds
    beside what is saved, and `again` what is there when the last layer has been computed again; else both are None.
    """

    forward: int
    early: int
    gradients: int
    late: int
    missing: int
    last: int
    within: int
    behind: int
    bounds: tuple[float, float]
    formula: str
    running: int | None = None
    again: int | None = None

    def part(self, size: int) -> Part:
        """A size as the activations of a phase."""
        return Part(ComponentName.ACTIVATIONS, spread(size, *self.bounds, SMALL_TENSORS), self.formula)


def phases(question: Question, optimized: Question | None = None) -> tuple[PhaseParts, ...]:
    """Every phase of a training step with what the allocator holds at its fullest; workspaces apart.

    `optimized` is the question with what the optimizer updates here, where that is not all that is trained.

    With gradient accumulation the step is its second pass or a later one: the gradients of the first are there.
    """
    weights, states, copies = weights_part(question), optimizer.states(optimized or question), _copies(question)
    moments = _convolutions(question) if question.architecture.convolutions else of_layers(question)
    size = question.trained_elements * question.formats.weight
    every = gradients_part(size)
    before = every if question.accumulates else gradients_part(0)
    # The output projection's gradient comes when those of the logits are gone, but for the one that it is made of.
    first = 0 if question.projection else moments.gradients
    # Of convolutions whose gradients are there the copies are gone.
    behind = moments.gradients // question.formats.weight if question.architecture.convolutions else 0
    there = _copies(question, without=behind) if behind else _kept_copies(question)
    # A convolution's gradient is made in autocast's format and cast.
    narrow = question.largest_tensor * question.formats.compute if behind and question.formats.mixed else 0
    started = weights, states, before, there, moments.part(moments.early)
    # A new gradient is added to the old one, and gone then.
    largest = question.largest_tensor * question.formats.weight
    late = every if question.accumulates else gradients_part(size - moments.missing)
    last = gradients_part(size + (largest if question.accumulates else 0))
    return (
        PhaseParts(Phase.LOAD, (weights, quantized.loading(question))),
        PhaseParts(
            Phase.FORWARD,
            (weights, states, copies, moments.part(moments.forward), logits_part(question, backward=False), before),
        ),
        *_recomputed(question, moments, (weights, states, before)),
        PhaseParts(Phase.BACKWARD, (*started, gradients_part(first + narrow), logits_part(question, backward=True))),
        *projected(question, moments, started),
        *_last_layer(question, moments, (weights, states, before)),
        *_products(question, moments, (weights, states, before)),
        *_used_again(question, moments, (weights, states, before)),
        PhaseParts(
            Phase.BACKWARD,
            (
                weights,
                states,
                moments.part(moments.late),
                late,
                _layer_copies(question),
                quantized.backward(question, question.rows),
            ),
        ),
        PhaseParts(Phase.BACKWARD, (weights, states, moments.part(moments.last), last)),
        PhaseParts(Phase.OPTIMIZER_STEP, (weights, states, every, optimizer.step_temporaries(optimized or question))),
    )


def projected(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """The moment in which the output projection's gradient is made, in the compute format first, of the logits' one."""
    if not question.projection or question.adapters:
        return ()
    formats = question.formats
    logits = question.batch * question.input_tokens * (question.architecture.vocab or 0) * formats.compute
    made = question.projection * (formats.weight + (formats.compute if formats.mixed else 0))
    part = Part(ComponentName.LOGITS, exact(logits), f"gradient of batch x tokens x vocabulary x {formats.compute} B")
    return (PhaseParts(Phase.BACKWARD, (*there, part, gradients_part(made))),)


def _last_layer(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """The way back through the last layer, behind the logits, where nothing is computed again.

    Gradients of the projection and of the layer's last matrix are there; their copies for the arithmetic are gone.
    """
    decoder = question.architecture.decoder
    if not question.projection or decoder is None or question.checkpoints:
        return ()
    matrix = 0 if question.adapters or decoder.experts else decoder.hidden * decoder.intermediate
    done = 0 if question.adapters else question.projection + matrix
    made = gradients_part(0 if question.accumulates else moments.gradients + matrix * question.formats.weight)
    copies = _copies(question, without=done)
    return (PhaseParts(Phase.BACKWARD, (*there, made, copies, moments.part(moments.within))),)


def _products(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """Products with quantized matrices in the last layer, on the way there and back: before and after the logits."""
    if question.resolved.quantization is None:
        return ()
    ahead = (_copies(question), moments.part(moments.forward), quantized.forward(question, question.rows))
    back = (_kept_copies(question), moments.part(moments.early), quantized.backward(question, question.rows))
    return PhaseParts(Phase.FORWARD, (*there, *ahead)), PhaseParts(Phase.BACKWARD, (*there, *back))


def _used_again(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """On the way back through the last layer but one, where all layers are one: sums of gradients wait for the others.

    A gradient is the parameter's only when its last use has been passed; till then there are the sum so far, what the
    layer adds and the new sum, in the format in which matrices are multiplied. The head's gradients are there, its
    copies gone.
    """
    shared = [weight for weight in question.layers if weight.passes > weight.count]
    if not shared or question.adapters:
        return ()
    formats = question.formats
    sizes = [weight.outputs * weight.inputs for weight in shared]
    every = sum(weight.outputs * weight.inputs * weight.count for weight in shared)
    sums = (every + 2 * max(sizes)) * formats.compute
    head = max(0, question.count.linear - every)
    made = gradients_part(sums + (0 if question.accumulates else head * formats.weight))
    copies = _copies(question, without=head)
    return (PhaseParts(Phase.BACKWARD, (*there, copies, made, moments.part(moments.behind))),)


def _recomputed(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """The two moments that only checkpointing has: a layer that runs and saves nothing, and one that is run again."""
    if moments.running is None or moments.again is None:
        return ()
    ahead, back = quantized.forward(question, question.rows), quantized.backward(question, question.rows)
    running = (*there, _copies(question), moments.part(moments.running), ahead)
    decoder = question.architecture.decoder
    # The decoder's first layer may be fuller than its last, with the encoder's inputs still there: gradients of the
    # other layers are, and may be more than the inputs that are gone.
    done = 0
    if decoder and question.architecture.encoder:
        gone = question.batch * question.input_tokens * decoder.hidden * question.formats.stream
        matrices = 0 if question.adapters else question.layer_matrices
        done = (decoder.layers - 1) * max(0, matrices * question.formats.weight - gone)
    gradients = gradients_part(moments.gradients + done)
    again = (*there, _layer_copies(question), moments.part(moments.again), back, gradients)
    return PhaseParts(Phase.FORWARD, running), PhaseParts(Phase.BACKWARD, again)


def _copies(question: Question, *, without: int = 0) -> Part:
    """16-bit copies of matrices, all but so many elements: autocast caches them until the forward pass is over."""
    count, formats = question.count, question.formats
    if not formats.mixed:
        return Part(ComponentName.AUTOCAST_COPIES, exact(0), "no autocast: matrices are used as stored")
    # The output projection is a matrix too, and tied it is counted with the embeddings.
    matrices = count.linear + count.convolution + (question.projection if question.architecture.tied else 0)
    matrices = max(0, matrices - quantized.elements(question) - without - _uncopied(question))
    return Part(
        ComponentName.AUTOCAST_COPIES,
        exact(matrices * formats.compute),
        f"{matrices} elements of matrices x {formats.compute} B, kept from forward to backward",
    )


def _uncopied(question: Question) -> int:
    """Elements of frozen matrices of which no copy stays: autocast caches none, and the graph needs none.

    It holds those that a gradient passes on its way to an adapter. To the first layer's input there is none: of what
    reads that, and of what makes it.
    """
    if question.adapters is None or question.resolved.quantization:
        return 0
    elements = question.count.convolution
    for stack in question.stacks:
        elements += stack.hidden * (stack.query_width + 2 * stack.kv_width)
        if stack.parallel:
            elements += stack.hidden * stack.intermediate * (1 if question.adapters.mlp else 2)
    return elements


def _kept_copies(question: Question) -> Part:
    """Copies that the graph still holds when the backward pass begins: with checkpointing, those outside of layers."""
    if not question.checkpoints or not question.formats.mixed:
        return _copies(question)
    size = question.projection * question.formats.compute
    return Part(ComponentName.AUTOCAST_COPIES, exact(size), "the output projection's; layers make theirs again")


def _layer_copies(question: Question) -> Part:
    """Copies of the layer that is computed again."""
    if not question.formats.mixed:
        return _copies(question)
    layers = sum(stack.layers for stack in question.stacks)
    matrices = question.layer_matrices - (quantized.elements(question) // layers if layers else 0)
    size = max(0, matrices) * question.formats.compute
    return Part(ComponentName.AUTOCAST_COPIES, exact(size), "matrices of the layer that is computed again")


def gradients_part(size: int) -> Part:
    """Gradients of so many bytes."""
    return Part(ComponentName.GRADIENTS, exact(size), "one for each parameter there so far, as wide as the weights")


def of_layers(question: Question) -> Moments:
    """The moments of a step through transformer layers."""
    formats, batch, architecture = question.formats, question.batch, question.architecture
    edges = pixels = _images(question)
    size = first = inputs = backward = again = late = held = behind = 0
    unfused = not question.on_gpu and formats.compute < 4 and any(run.eager for _, run in question.passes)
    for stack, run in question.passes:
        one = batch * transformer.saved(stack, run, formats)
        post = stack.post_norms
        hidden = batch * run.tokens * architecture.hidden
        mask = transformer.mask_bytes(run, formats) if stack.hidden_dropout else 0
        edges += batch * _edges(question, stack, run, mask)
        size += stack.layers * one + transformer.shared(stack, run, formats)
        size -= batch * transformer.unreached(stack, run, formats)
        inputs += (stack.layers - 1) * hidden * formats.stream  # the first layer's is counted with the edges
        if run.eager:  # every layer is given the mask again
            inputs += batch * transformer.masks(stack, run, formats)
        inputs += stack.layers * batch * quantized.uncheckpointed(question, stack, run, post=post)
        fullest = batch * layer_backward.fullest_backward(stack, run, formats, post=post, again=question.checkpoints)
        # The norm behind the last layer is gone; or it is what takes most.
        norm = batch * transformer.norm_saved(stack, run, formats) if question.adapters else hidden * formats.stream
        backward = max(backward, fullest - one - (0 if post else norm))
        backward = max(backward, batch * layer_backward.norm_backward(stack, run, formats))
        # What a layer saves holds its input as well, but where a copy of another width is saved in its place.
        apart = formats.mixed if post else formats.stream < 4 and stack.norm is not Norm.LAYER
        twice = 0 if apart else hidden * formats.stream
        # Behind the last layer the norm is gone, with its input and its result.
        done = 0 if post else (1 if question.adapters else 2) * hidden * formats.stream
        again = max(again, fullest - twice - done + transformer.held_once(stack, run, formats))
        # The embeddings keep their dropout's mask, and their norm its input.
        before = mask + (formats.stream if post else 0) + (formats.stream if apart else 0)
        behind = 0 if question.checkpoints else one
        late = max(late, fullest + pixels + hidden * before)
        first += hidden * (formats.stream * (2 if post else 1) + mask)
        held = max(held, batch * transformer.held(stack, run, formats))
    projection = embeddings = own = 0
    if question.adapters is None:  # frozen weights have no gradients
        projection = question.projection * formats.weight
        embeddings = question.count.embedding * formats.weight - (projection if architecture.tied else 0)
        own = (question.layer_matrices - question.largest_matrix) * formats.weight
    kept = edges + (inputs if question.checkpoints else size)
    return Moments(
        forward=kept,
        # With a vocabulary to project on, the gradients of logits are what the first moment of the way back holds.
        early=kept if question.projection else kept + backward,
        gradients=projection,
        late=late,
        missing=own + embeddings,
        # A tied embedding's gradient comes in two halves, the output's first; their sum is a third of their size.
        within=kept + (again if question.checkpoints else backward),
        behind=kept - behind,
        last=first + (2 * projection if architecture.tied else 0),
        bounds=UNFUSED if unfused else SAVED,
        formula="layers x batch x tokens x what a layer saves (arXiv 2205.05198, extended by activation and norm)"
        if not question.checkpoints
        else "layers x batch x tokens x hidden x B, and one layer in full (arXiv 2205.05198, extended)",
        running=kept + held if question.checkpoints else None,
        again=kept + again if question.checkpoints else None,
    )


def _images(question: Question) -> int:
    """Bytes of the images, which the caller holds, and of autocast's copy, saved unless what reads it is frozen."""
    formats = question.formats
    copied = formats.compute if formats.mixed and not question.adapters else 0
    return question.pixel_bytes + question.pixel_bytes // formats.weight * copied


def _edges(question: Question, stack: Stack, run: Pass, mask: int) -> int:
    """Bytes per sample that stay saved outside of the layers; `mask` are those of a dropout's mask, if any.

    The embeddings' norm's input and result, or the first layer's input and the last norm's input and result; masks of
    dropout, of which T5 has another behind its last norm. Frozen embeddings save nothing, nor does a projection that
    is: only the last norm its input; but behind norms at the end, where only copies are saved, what the embeddings
    gave is held itself. To compute layers again their input must need a gradient: transformers sees to that for models
    that read text, at the embedding, whose result is kept to be given it, apart from what is made of it.
    """
    formats, hidden, post = question.formats, run.tokens * stack.hidden, stack.post_norms
    encodes = question.architecture.family is Family.ENCODER_DECODER
    if question.adapters and not question.checkpoints:
        held = hidden * formats.stream if formats.mixed and (post or encodes) else 0
        if encodes:
            held += hidden * mask
        return held if post else held + transformer.norm_saved(stack, run, formats)
    apart = post or mask or question.architecture.position_table
    text = question.architecture.modality is Modality.TEXT
    leaf = hidden * formats.stream if question.adapters and apart and text else 0
    if encodes and mask:
        return leaf + hidden * (4 * formats.stream + 2 * mask)
    read = 2 if post or question.adapters else 3
    return leaf + hidden * (read * formats.stream + mask)


def _convolutions(question: Question) -> Moments:
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
        within=images + early,
        behind=0,
        bounds=CONVOLUTIONS,
        formula="batch x (outputs of convolutions and activations) x B, from the plan of layers",
    )


def logits_part(question: Question, *, backward: bool) -> Part:
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
