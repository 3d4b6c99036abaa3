"""Memory of a training step: forward, backward, optimizer step. Steps after the first: states are there."""

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate import optimizer, quantized
from wattmark.estimate.inference import weights_part
from wattmark.estimate.interval import Interval, exact
from wattmark.estimate.moments import Moments, of_convolutions, of_layers
from wattmark.estimate.parts import Part, PhaseParts
from wattmark.estimate.question import Question
from wattmark.models import Family, Modality, Stack


def phases(question: Question, optimized: Question | None = None) -> tuple[PhaseParts, ...]:
    """Every phase of a training step with what the allocator holds at its fullest; workspaces apart.

    `optimized` is the question with what the optimizer updates here, where that is not all that is trained.

    With gradient accumulation the step is its second pass or a later one: the gradients of the first are there.
    """
    weights, states, copies = weights_part(question), optimizer.states(optimized or question), _copies(question)
    # Where the loss of two sides is most, autocast is over: no copies are held but by the graph.
    at_loss = _kept_copies(question) if question.architecture.family is Family.ENCODER_DECODER else copies
    moments = of_convolutions(question) if question.architecture.convolutions else of_layers(question)
    size = question.trained_elements * question.formats.weight
    every = gradients_part(size)
    before = every if question.accumulates else gradients_part(0)
    # The output projection's gradient comes when those of the logits are gone, but for the one that it is made of.
    first = 0 if question.projection else moments.gradients
    # Of convolutions whose gradients are there the copies are gone.
    behind = moments.gradients // question.formats.weight if question.architecture.convolutions else 0
    there = _copies(question, without=behind) if behind else _kept_copies(question)
    # A convolution's gradient is made in autocast's format and cast.
    narrow = question.fixed.largest_tensor * question.formats.compute if behind and question.formats.mixed else 0
    started = weights, states, before, there, moments.part(moments.early)
    # A new gradient is added to the old one, and gone then.
    largest = question.fixed.largest_tensor * question.formats.weight
    late = every if question.accumulates else gradients_part(size - moments.missing)
    last = gradients_part(size + (largest if question.accumulates else 0))
    return (
        PhaseParts(Phase.LOAD, (weights, quantized.loading(question))),
        PhaseParts(
            Phase.FORWARD,
            (weights, states, at_loss, moments.part(moments.forward), logits_part(question, backward=False), before),
        ),
        *_recomputed(question, moments, (weights, states, before)),
        PhaseParts(Phase.BACKWARD, (*started, gradients_part(first + narrow), logits_part(question, backward=True))),
        *projected(
            question, moments, (weights, states, before, _copies_of_layers(question), moments.part(moments.early))
        ),
        *_last_layer(question, moments, (weights, states, before)),
        *_products(question, moments, (weights, states, before)),
        *_used_again(question, moments, (weights, states, before)),
        *_embedded_twice(question, moments, (weights, states, before)),
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
        PhaseParts(
            Phase.OPTIMIZER_STEP,
            (weights, states, every, optimizer.step_temporaries(optimized or question), moments.part(_given(question))),
        ),
    )


def _given(question: Question) -> int:
    """Bytes of what embeddings gave to frozen layers that are computed again, and of its gradient, which nobody reads:
    they are there until the step is over."""
    if question.adapters is None or not question.checkpoints or question.architecture.modality is not Modality.TEXT:
        return 0
    hidden = sum(run.tokens for _, run in question.passes) * question.architecture.hidden
    return 2 * question.batch * hidden * question.formats.stream


def projected(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """The moment in which the output projection's gradient is made, in the compute format first, of the logits' one.

    It is brought into the weights' format when its product, and with that the projection's copy, is gone.
    """
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
    before = gradients_part(0 if question.accumulates else moments.gradients)
    norm = *there, before, _copies(question, without=moments.gradients // question.formats.weight)
    return (
        PhaseParts(Phase.BACKWARD, (*norm, moments.part(moments.normed))),
        PhaseParts(Phase.BACKWARD, (*there, made, copies, moments.part(moments.within))),
    )


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
    shared = [weight for weight in question.fixed.layers if weight.passes > weight.count]
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


def _embedded_twice(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """Between the sides of a model that embeds the words of both, and projects on them, with one matrix.

    The projection's gradient has waited; the decoder's embedding adds its own, and both are there beside their sum. The
    encoder's copies are not gone yet, and gradients of the decoder's matrices have come.
    """
    encoder, decoder = question.architecture.encoder, question.architecture.decoder
    if encoder is None or decoder is None or not question.tied or question.adapters:
        return ()
    formats = question.formats
    kept = 0 if question.checkpoints or not formats.mixed else encoder.layers * _matrices(encoder) * formats.compute
    copies = Part(ComponentName.AUTOCAST_COPIES, exact(kept), "matrices of the encoder")
    made = 0 if question.accumulates else decoder.layers * _matrices(decoder) * formats.weight
    gradients = gradients_part(made + 3 * question.projection * formats.weight)
    return (PhaseParts(Phase.BACKWARD, (*there, copies, moments.part(moments.encoded), gradients)),)


def _recomputed(question: Question, moments: Moments, there: tuple[Part, ...]) -> tuple[PhaseParts, ...]:
    """The two moments that only checkpointing has: a layer that runs and saves nothing, and one that is run again."""
    if moments.running is None or moments.again is None:
        return ()
    ahead, back = quantized.forward(question, question.rows), quantized.backward(question, question.rows)
    running = (*there, _copies(question), moments.part(moments.running), ahead)
    gradients = gradients_part(moments.gradients + _more_behind(question))
    again = (*there, _layer_copies(question), moments.part(moments.again), back, gradients)
    return PhaseParts(Phase.FORWARD, running), PhaseParts(Phase.BACKWARD, again)


def _more_behind(question: Question) -> int:
    """Bytes by which another layer of a decoder is fuller than its last one, when it is computed again behind that.

    Gradients of the layers behind it are there, and those of what the encoder gave and of position biases, while the
    inputs of the layers behind are gone: of the second last, or of the first one, whichever is more.
    """
    decoder, encoder = question.architecture.decoder, question.architecture.encoder
    if decoder is None or encoder is None or decoder.layers < 2:
        return 0
    formats, tokens = question.formats, question.input_tokens
    states = question.batch * tokens * decoder.hidden * formats.stream
    there = question.adapters or question.accumulates
    matrices = 0 if there else _matrices(decoder) * formats.weight
    # The zeros that stand for a bias of cross-attention have a gradient, which transformers sees to.
    biases = decoder.heads * tokens**2 * formats.compute if decoder.position_bias else 0
    if question.adapters is None:
        biases += biases // formats.compute * formats.stream
    behind = (number * (matrices - states) for number in (1, decoder.layers - 1))
    return max(0, states + biases + max(behind))


def _matrices(stack: Stack) -> int:
    """Elements of the matrices of one layer."""
    attention = 2 * stack.hidden * (stack.query_width + stack.kv_width)
    feed_forward = stack.mlp_matrices * stack.hidden * stack.intermediate
    return attention * (2 if stack.cross_attention else 1) + feed_forward


def _copies(question: Question, *, without: int = 0) -> Part:
    """16-bit copies of matrices, all but so many elements: autocast caches them until the forward pass is over.

    Not those of frozen ones: the graph holds them, and none of layers that are computed again.
    """
    count, formats = question.count, question.formats
    if not formats.mixed:
        return Part(ComponentName.AUTOCAST_COPIES, exact(0), "no autocast: matrices are used as stored")
    if question.adapters and question.checkpoints:
        return _projections_copy(question)
    # The output projection is a matrix too, and tied it is counted with the embeddings.
    matrices = count.linear + count.convolution + (question.projection if question.tied else 0)
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
    return _projections_copy(question)


def _copies_of_layers(question: Question) -> Part:
    """Copies that the graph still holds when it is past the output projection."""
    if question.checkpoints and question.formats.mixed:
        return Part(ComponentName.AUTOCAST_COPIES, exact(0), "layers make theirs again")
    return _copies(question, without=question.projection)


def _projections_copy(question: Question) -> Part:
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
        if architecture.family is Family.ENCODER_DECODER and loss != size:
            likely -= size  # whose log-softmax was taken in 16 bits
    else:
        least, likely, most = size + loss, size + loss + (loss if loss != size else 0), size + 2 * loss
        if architecture.family is Family.ENCODER_DECODER and loss != size:
            likely, most = likely + size, most + size  # the log-softmax is taken in 16 bits, and raised
    if architecture.capped_logits:
        least, likely, most = least + size, likely + size, most + size
    return Part(
        ComponentName.LOGITS,
        Interval(elements * least, elements * likely, elements * most),
        f"batch x tokens x vocabulary x {likely} B: logits, fp32 copy, log-softmax"
        + (", gradients" if backward else ""),
    )
