"""Activations of transformer layers whose weights are frozen and that drop nothing: what a gradient to the input takes.

A frozen matrix saves no input: its own gradient, which would read it, is not taken; but LLM.int8()'s do all the same.
Forms as in `transformer`, of which those for frozen layers with adapters are used, with adapters of rank 0 in
attention.
"""

from dataclasses import replace

from wattmark.estimate import layer_backward, transformer
from wattmark.estimate.formats import Formats
from wattmark.estimate.transformer import Adapters, Pass
from wattmark.models import Stack


def adapters(*, int8: bool) -> Adapters:
    """None, beside matrices that save what they read or not."""
    return Adapters(rank=0, mlp=False, saves_inputs=int8)


def saved(stack: Stack, run: Pass, formats: Formats, *, int8: bool = False) -> int:
    """Bytes that one layer keeps from its forward to its backward pass, per sample."""
    everything = transformer.saved(_quiet(stack), replace(run, adapters=adapters(int8=int8)), formats)
    if int8:
        return everything
    size, attentions = formats.compute, 2 if stack.cross_attention else 1
    unread = attentions * run.tokens * stack.hidden * size  # what query, key and value are projected from
    # The output projection's input, which fused attention saves for itself, unless a copy orders it.
    if run.eager or (stack.fused_projections and stack.rotary):
        unread += attentions * run.tokens * stack.query_width * size
    return everything - unread


def fullest_backward(stack: Stack, run: Pass, formats: Formats, *, int8: bool = False) -> int:
    """Bytes beyond what all layers saved at the fullest moment of one layer's backward pass, per sample.

    Within the feed-forward part: gradients of the activation's result (which is not saved) and input, or of a gate's
    product and both its factors, and of the residual stream. Or, in eager attention, when the feed-forward part's are
    gone: of the scores before and after softmax.
    """
    quiet, frozen = _quiet(stack), replace(run, adapters=adapters(int8=int8))
    everything = transformer.saved(quiet, frozen, formats)
    return max(0, layer_backward.fullest_backward(quiet, frozen, formats, post=False, again=False) - everything)


def _quiet(stack: Stack) -> Stack:
    """The same layers without dropout."""
    return replace(stack, hidden_dropout=0.0, attention_dropout=0.0)
