"""Memory of an analysis: a forward pass with what it keeps, and a backward pass where there is one."""

from collections.abc import Iterator
from dataclasses import replace

from wattmark.api.analysis import AnalysisKind
from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate import convolution, frozen, layer_backward, quantized, transformer
from wattmark.estimate.inference import CONVOLUTIONS, SMALL_TENSORS, TEMPORARIES, weights_part
from wattmark.estimate.interval import Interval, exact, spread
from wattmark.estimate.parts import Part, PhaseParts, Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.transformer import Pass
from wattmark.models import Family, Norm, Stack

SAVED = (0.85, 1.2)  # as in training, whose forms these are


def phases(question: Question) -> tuple[PhaseParts, ...] | Unknown:
    """Every phase of an analysis with what the allocator holds at its fullest; workspaces apart."""
    weights = weights_part(question)
    loaded = PhaseParts(Phase.LOAD, (weights, quantized.loading(question)))
    products = quantized.forward(question, question.rows)
    kind = question.resolved.analysis
    assert kind is not None  # the caller asked
    if kind is AnalysisKind.GRADIENT_ANALYSIS:
        if any(stack.experts for stack in question.stacks):
            return Unknown("the closed form does not describe what a mixture of experts with frozen weights saves")
        if question.kept_wide and quantized.takes_int8(question):
            model = question.architecture.model_type
            return Unknown(f"the closed form does not describe what LLM.int8() saves of a model of type {model}")
        saved, backward = _convolutional(question) if question.architecture.convolutions else _saved(question)
        return (
            loaded,
            PhaseParts(Phase.FORWARD, (weights, saved, products)),
            PhaseParts(Phase.BACKWARD, (weights, backward, _logits(question))),
            PhaseParts(Phase.BACKWARD, (weights, saved, quantized.backward(question, question.rows))),
        )
    if question.architecture.convolutions:  # of those, a forward pass reads no more than the stages
        return loaded, PhaseParts(Phase.FORWARD, (weights, *_stages(question)))
    match kind:
        case AnalysisKind.ACTIVATION_EXTRACTION:
            moments = _states(question)
        case AnalysisKind.ATTENTION_VISUALIZATION:
            moments = _attention(question)
        case AnalysisKind.LAYER_ANALYSIS:
            moments = _passing(question)
        case AnalysisKind.CONCEPT_ANALYSIS:
            moments = _probe(question)
    return loaded, *(PhaseParts(Phase.FORWARD, (weights, *parts, products)) for parts in moments)


def _hidden(question: Question, run: Pass) -> int:
    """Bytes of the hidden states of one layer, whole batch."""
    return question.batch * run.tokens * question.architecture.hidden * question.formats.stream


def _held(question: Question, stack: Stack, run: Pass) -> int:
    """Bytes of temporaries at the widest moment of a layer, whole batch, and of the images."""
    once = transformer.held_once(stack, run, question.formats) + question.pixel_bytes
    return once + question.batch * transformer.held(stack, run, question.formats)


def _temporaries(size: int, formula: str = transformer.HELD_FORMULA) -> Part:
    return Part(ComponentName.ACTIVATIONS, spread(size, *TEMPORARIES, SMALL_TENSORS), formula)


def _states(question: Question) -> Iterator[tuple[Part, ...]]:
    """In the last layer of each side: the states of all before it, the embeddings included; one of them is its own."""
    before = 0
    for stack, run in question.passes:
        one = _hidden(question, run)
        kept = exact(before + stack.layers * one)
        formula = "(layers + 1) x batch x tokens x hidden x B; the last layer's comes when its temporaries are gone"
        yield (
            Part(ComponentName.HIDDEN_STATES, kept, formula),
            _temporaries(max(one, _held(question, stack, run) - 2 * one)),
        )
        before += (stack.layers + 1) * one


def _attention(question: Question) -> Iterator[tuple[Part, ...]]:
    """In the last layer of each side: the attention weights of all layers, its own included."""
    before = memory = 0
    for stack, run in question.passes:
        one = question.batch * stack.heads * run.tokens * (run.keys + run.memory) * question.formats.compute
        # That a layer's weights outlive it is what is counted here.
        held = _held(question, replace(stack, returns_scores=False), run)
        kept = exact(before + stack.layers * one)
        formula = "layers x batch x heads x tokens x tokens x B; cross-attention: tokens of both sides"
        yield Part(ComponentName.ATTENTION_WEIGHTS, kept, formula), _temporaries(memory + max(0, held - one))
        before += stack.layers * one
        memory = _hidden(question, run)


def _passing(question: Question) -> Iterator[tuple[Part, ...]]:
    """The widest layer, or the moment behind it: what it was given and gave, in fp32 as well, and their product."""
    memory = 0
    for stack, run in question.passes:
        one, copies = _hidden(question, run), 0 if question.formats.stream == 4 else 2
        read = 2 * one + (copies + 1) * one // question.formats.stream * 4
        yield (_temporaries(memory + max(read, _held(question, stack, run))),)
        memory = one


def _probe(question: Question) -> Iterator[tuple[Part, ...]]:
    """The widest layer of the side that reads the input, where the pass ends, and the means of both sets.

    Where that is the first one, what it is given is what the embeddings gave, unless those of positions are added.
    """
    stack, run = question.passes[0]
    if question.resolved.layer == 1 and (stack.post_norms or not question.architecture.position_table):
        run = replace(run, embedded=0)
    if question.resolved.layer == 1:  # no layer before has scores to hold
        stack = replace(stack, returns_scores=False)
    means = 2 * question.batch * question.architecture.hidden * 4
    kept = Part(ComponentName.HIDDEN_STATES, exact(means), "2 sets x batch x hidden x 4 B: means over tokens")
    yield kept, _temporaries(_held(question, stack, run) + question.pixel_bytes)  # the other set's images


def _saved(question: Question) -> tuple[Part, Part]:
    """What a forward pass saves for a gradient to its input, and that with the fullest layer on the way back."""
    architecture, formats, batch = question.architecture, question.formats, question.batch
    kept, fullest = question.pixel_bytes, 0
    for stack, run in question.passes:
        if architecture.family is Family.ENCODER_DECODER and stack.causal:  # the first token alone
            run = replace(run, tokens=1, keys=1)
        int8 = quantized.takes_int8(question)
        frozen_run = replace(run, adapters=frozen.adapters(int8=int8))
        one, norm = _hidden(question, run), batch * transformer.norm_saved(stack, frozen_run, formats)
        last = 0 if stack.post_norms else norm
        kept += stack.layers * batch * frozen.saved(stack, run, formats, int8=int8) + transformer.shared(
            stack, run, formats
        )
        kept += _edges(question, stack) * one * _narrower(question) // architecture.hidden + last
        # The last norm comes first on the way back, and then is gone; gradients of what cross-attention reads come
        # first of all, with all of the encoder there, and that norm's input.
        crossed = 2 * run.memory * stack.kv_width * formats.compute
        within = max(frozen.fullest_backward(stack, run, formats, int8=int8) - last // batch, crossed)
        normed = layer_backward.norm_backward(stack, run, formats) - 4 * run.tokens * stack.hidden  # its input is kept
        fullest = max(fullest, kept + batch * max(within, normed))
    formula = "layers x batch x tokens x what a layer with frozen weights saves (arXiv 2205.05198, extended)"
    return (
        Part(ComponentName.ACTIVATIONS, spread(kept, *SAVED, SMALL_TENSORS), formula),
        Part(ComponentName.ACTIVATIONS, spread(fullest, *SAVED, SMALL_TENSORS), f"{formula}; gradients in one"),
    )


def _narrower(question: Question) -> int:
    """The width of embeddings, which ALBERT's have for themselves: a frozen matrix that widens them saves nothing."""
    words = next((one.inputs for one in question.architecture.body if one.name == "embeddings.word"), 0)
    return words if question.architecture.projected_embeddings else question.architecture.hidden


def _edges(question: Question, stack: Stack) -> int:
    """Hidden states that stay saved before the layers: what a gradient is taken to, unless the first norm saves that.

    Norms at the end have another before them, behind the embeddings. LayerNorm saves its own input, and so do T5's norm
    and RMSNorm in fp32: of what is narrower RMSNorm saves an fp32 version. Embeddings of positions are added first.
    """
    if stack.post_norms:
        return 2
    itself = stack.norm in (Norm.LAYER, Norm.T5) or question.formats.stream == 4
    return 1 if question.architecture.position_table or not itself else 0


def _logits(question: Question) -> Part:
    """The logits and their gradient, of one position."""
    width = question.architecture.vocab or question.architecture.labels or 0
    if question.architecture.family in (Family.ENCODER, Family.VISION_TRANSFORMER, Family.CONVOLUTIONAL):
        width = question.architecture.labels or 0
    one = question.batch * width * question.formats.compute
    return Part(ComponentName.LOGITS, Interval(one, 2 * one, 3 * one), "batch x vocabulary x B, and its gradient")


def _convolutional(question: Question) -> tuple[Part, Part]:
    """What convolutions, normalizations and activations save, and that with the gradients at the fullest of them."""
    architecture, formats, batch = question.architecture, question.formats, question.batch
    saved = batch * convolution.saved(architecture, question.pixels, formats.compute)
    # Frozen weights have no gradients: of that size they take nothing.
    back, _ = convolution.fullest_backward(architecture, question.pixels, replace(formats, weight=0), batch)
    formula = "batch x (outputs of convolutions and activations) x B, from the plan of layers"
    return (
        Part(ComponentName.ACTIVATIONS, spread(saved, *CONVOLUTIONS, SMALL_TENSORS), formula),
        Part(ComponentName.ACTIVATIONS, spread(back, *CONVOLUTIONS, SMALL_TENSORS), formula),
    )


def _stages(question: Question) -> tuple[Part, Part]:
    """At the fullest convolution: what the stem and the stages before it gave, and what it holds itself."""
    architecture, pixels = question.architecture, question.pixels
    size = question.batch * question.formats.compute
    steps = tuple(convolution.placed(architecture))
    stem = architecture.convolutions[0]
    image = stem.channels_in * convolution.area(pixels, 1)
    pooled = convolution.pooling(architecture, pixels, question.formats.compute) // question.formats.compute
    kept, best = 0, (0, image + pooled)
    for number, (step, before) in enumerate(steps):
        arriving = step.channels_in * convolution.area(pixels, before)
        leaving = step.channels_out * convolution.area(pixels, step.downscale)
        held = max(arriving, leaving) + leaving + (0 if number == 0 or _opens(step.name) else arriving)
        here = kept, image + held
        best = max(best, here, key=sum)
        if number == 0:
            kept += stem.channels_out * convolution.area(pixels, convolution.STEM_POOLING)
        elif step.joins and (number + 1 == len(steps) or _stage(steps[number + 1][0].name) != _stage(step.name)):
            kept += leaving
    states, held = best
    return (
        Part(ComponentName.HIDDEN_STATES, exact(states * size), "batch x channels x pixels x B of stem and stages"),
        Part(ComponentName.ACTIVATIONS, spread(held * size, *CONVOLUTIONS, SMALL_TENSORS), "the fullest convolution"),
    )


def _stage(name: str) -> str:
    return name.partition(".")[0]


def _opens(name: str) -> bool:
    """Whether a step reads what the stem or the stage before gave, which is kept already."""
    return name.endswith((".0.1", ".0.shortcut"))
