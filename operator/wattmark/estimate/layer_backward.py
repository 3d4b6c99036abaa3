"""Activations of transformer layers on the way back: the fullest moment of one layer. Forms as in `transformer`."""

from wattmark.estimate.formats import Formats
from wattmark.estimate.transformer import Pass, mask_bytes, mlp_saved, norm_saved, raises, routes, saved, softmax_bytes
from wattmark.models import Norm, Stack

# By how many widths of the feed-forward part an activation's backward pass, at its fullest, exceeds what the forward
# pass has saved; else 1.
BACKWARD_WIDTHS = {"gelu_new": 2, "gelu_fast": 2}


def fullest_backward(stack: Stack, run: Pass, formats: Formats, *, post: bool, again: bool) -> int:
    """Bytes that one layer holds at the fullest moment of its backward pass, of what it saved and of gradients.

    That is within the feed-forward part: the gradient of the activation's result and of its input (of both factors
    behind a gate) in place of the result, and the gradient of the residual stream; `post` tells that the norm behind is
    done by then. Or it is the end of the forward pass, when the layer's result is there as well; and, where the forward
    pass is run `again`, the gradient of that result. Eager attention's scores come when the feed-forward part is gone:
    their gradient before and after softmax. Of a mixture see `mixture_backward`.
    """
    if stack.experts:
        return max(mixture_backward(stack, run, formats, again=again))
    everything, size = saved(stack, run, formats), formats.compute
    width, hidden = run.tokens * stack.intermediate, run.tokens * stack.hidden
    widths = 2 if stack.gated else BACKWARD_WIDTHS.get(stack.activation, 1)
    if raises(stack, run, formats) and not stack.gated:
        # Three gradients in fp32, and one in 16 bits in place of the result. Where a layer is run again that is gone;
        # of a frozen matrix it is not saved.
        widths = 5 if again and not run.adapters else 6
    if run.adapters:
        widths = _beside_adapters(stack, run, formats, widths, again=again)
    residual = hidden * formats.stream
    behind = residual if post else 0
    ending = everything + (2 if again else 1) * residual + hidden * size
    if post and formats.stream != size:
        # What is saved are copies: of the layer's input, unless that is kept to run it again, and of what attention's
        # norm gave. Both themselves are held until the layer ends.
        ending += (1 if again else 2) * residual
    dropped = _dropped_scores(stack, run, formats)
    ending += _cast(stack, run, formats)
    if run.adapters and formats.result == size:
        beside = _beside_last_matrix(stack, run, formats, post=post, again=again)
        ending = max(
            ending + (_unsaved_input(stack, run, formats) if stack.holds_activated else 0), everything + beside
        )
    # The gradient of what the last matrix gave, where it is not that of the residual stream: in another format, or
    # behind dropout, whose mask is gone then.
    apart = hidden * size if formats.mixed or stack.hidden_dropout > 0 else 0
    mask = hidden * mask_bytes(run, formats) if stack.hidden_dropout > 0 else 0
    early = _early_backward(run, formats, widths, width, apart) - mask
    within = max(widths * width * formats.result - (0 if post else mask), early)
    if raises(stack, run, formats) and stack.gated and not run.adapters:
        # In fp32 those of the product and its two factors; what the last matrix read, and dropout's mask, are gone.
        within = (12 - size - (mask_bytes(run, formats) if stack.hidden_dropout > 0 else 0)) * width
    if stack.norms_behind:  # the one behind the feed-forward part is gone with its input
        behind += norm_saved(stack, run, formats)
    forward = max(ending + dropped, everything + within + residual - behind)
    if again and stack.fused_gate and run.adapters and run.adapters.mlp:
        # Gate and up of one matrix, its adapter's part, and that scaled, before there is what is made of them; beside
        # them, what the second norm was given.
        forward = max(forward, everything + 2 * width * formats.result + residual + (residual if size < 4 else 0))
    return max(forward, everything + residual + _eager_backward(stack, run, formats)) if run.eager else forward


def _early_backward(run: Pass, formats: Formats, widths: int, width: int, apart: int) -> int:
    """Bytes of gradients when that of the last matrix's input has come, made of one that takes `apart` bytes.

    With an adapter there are several as wide, its own, the matrix's and their sum: where nothing is cast, what they are
    made of is gone when these are added.
    """
    if run.adapters is None or not run.adapters.mlp:
        return width * formats.result + apart
    several = widths * width * formats.result
    if formats.mixed or formats.result != formats.compute:
        return several + apart
    return max(several, several - width * formats.result + apart)


def _beside_adapters(stack: Stack, run: Pass, formats: Formats, widths: int, *, again: bool) -> int:
    """The widths by which gradients exceed what was saved, where matrices are frozen and some have adapters.

    Of the last matrix's input, which is not saved, the gradient takes no place that another leaves. With an adapter
    that has saved its own: its gradient comes first, in autocast's format, in fp32 and back, then the matrix's, then
    their sum. Of a quantized matrix, and of an input in fp32, all three are in fp32.
    """
    wide = formats.mixed and formats.result != formats.compute
    raised = raises(stack, run, formats) and not stack.gated
    if run.adapters and run.adapters.mlp:
        added = 5 if _raised_input(stack, run, formats) else 3 if wide else 2
        return max(0 if raised else widths, added)
    # What was saved by a layer that is run again goes as it is read; else only after the gradient has been cast to the
    # format of what gelu_new was given.
    return widths + (0 if raised and again else 1)


def _eager_backward(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of scores' gradients before and after softmax, less what the feed-forward part had saved, which is gone."""
    size, softmax = formats.compute, softmax_bytes(stack, run, formats)
    gone = run.tokens * mlp_saved(stack, run, formats) + norm_saved(stack, run, formats)
    scores = stack.heads * run.tokens * max(run.keys, run.memory)
    # What values were weighted with, dropped or narrower than what softmax gave, is gone.
    unread = size if stack.attention_dropout > 0 or softmax != size else 0
    return scores * (2 * max(size, softmax) - unread) - gone


def behind_backward(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes that one layer holds while the norm behind its feed-forward part goes back, first of all; 0 without one."""
    if not stack.norms_behind:
        return 0
    hidden = run.tokens * stack.hidden
    gradients = norm_backward(stack, run, formats) - 4 * hidden  # its input is saved
    return saved(stack, run, formats) + hidden * formats.stream + gradients


def mixture_backward(stack: Stack, run: Pass, formats: Formats, *, again: bool) -> tuple[int, int, int]:
    """Bytes that a mixture's layer holds around its experts; within them; and when all of their gradients are there.

    Around: the gradient of the sum of a token's experts, for each of them; that with zeros to be put in order in, and
    in order; and the gradient of the residual stream. Frozen experts save not what they read, and the forward pass is
    fuller at its end: what the experts were given, what they gave times its factor, and that in order (or, where it
    runs `again` and ends before, the gradient for each expert), beside what the second norm gave and was given, and
    what the layer and the first one were given or, again, the gradient of the result.

    Within, when the last matrices' gradient is there: gradients of what these read, of gate and up, in place of what
    they read and gave; and the stream's. At the end: that of gate and up as one, and of what the experts were given, in
    place of all that they saved but this.
    """
    everything, residual = saved(stack, run, formats), run.tokens * stack.hidden * formats.stream
    routed = run.tokens * stack.experts_per_token * stack.hidden * formats.weight
    width = run.tokens * stack.experts_per_token * stack.intermediate * formats.weight
    weighted = routes(stack, run.tokens, formats.weight)
    around = everything + residual + (routed + 2 * weighted if run.adapters else 3 * weighted)
    if run.adapters:
        apart = residual if formats.stream < 4 else 0  # where a norm saves an fp32 version, what it read is held itself
        around += residual + (1 if again else 2) * apart
    within = everything - routed + (3 if run.adapters else 2) * width + residual
    return around, within, everything - 2 * width + residual


def _cast(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of what T5 casts to the format of its last matrix's weights, under autocast: fp32, and then 16 bits again.

    The latter are saved, unless the matrix is frozen; with an adapter see `_beside_last_matrix`. A CPU does so, too,
    but its unfused attention takes as much less than is counted.
    """
    elsewhere = not run.on_gpu or (run.adapters is not None and run.adapters.mlp)
    if stack.norm is not Norm.T5 or not formats.mixed or formats.result != formats.compute or elsewhere:
        return 0
    return run.tokens * stack.intermediate * (4 + (formats.compute if run.adapters else 0))


def _dropped_scores(stack: Stack, run: Pass, formats: Formats) -> int:
    """What dropout gives of eager attention's scores in fp32: of that a copy is saved, itself is held till the end."""
    if not run.eager or stack.attention_dropout == 0 or stack.fp32_softmax:
        return 0
    if softmax_bytes(stack, run, formats) == formats.compute:
        return 0
    return stack.heads * run.tokens * max(run.keys, run.memory) * 4


def _beside_last_matrix(stack: Stack, run: Pass, formats: Formats, *, post: bool, again: bool) -> int:
    """Beyond all that a layer saves, what is there when its last matrix's adapter adds its part, 0 where it has none.

    The input, which the frozen matrix does not save, and under autocast what the adapter makes of it: in fp32, the
    format of its own weights, and of that the copy that is saved. The matrix's result, the adapter's and that scaled;
    a layer that is run again stops once it has saved everything, before the adapter's if nothing stands behind. What
    the norm before the feed-forward part gave, of which copies are saved; the layer's input behind norms at the end, or
    the gradient of the result where it is run again. What is saved only behind all that is not there yet.
    """
    if run.adapters is None or not run.adapters.mlp:
        return 0
    size, hidden, dropout = formats.compute, run.tokens * stack.hidden, stack.hidden_dropout > 0
    stopped = again and not post and not dropout
    beside = (1 if stopped else 3) * hidden * size
    if not _raised_input(stack, run, formats):
        beside += _unsaved_input(stack, run, formats)
    if stopped:  # the gradient has come as far as the adapter: in the format of its result, and scaled
        beside += (2 if formats.mixed else 1) * hidden * size
    if stack.parallel:  # what attention gave waits to be added
        beside += hidden * size
    if formats.mixed:
        beside += 4 * run.tokens * stack.intermediate
        beside += (2 if post and not again else 1) * hidden * formats.stream
    beside += hidden * formats.stream if again else 0
    beside -= hidden * formats.stream if post else 0
    beside -= hidden * mask_bytes(run, formats) if dropout else 0
    return beside


def _unsaved_input(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes of what the frozen last matrix reads, unless an activation or an adapter saves that itself."""
    if run.adapters is None or run.adapters.saves_inputs or (stack.activation == "relu" and not stack.gated):
        return 0
    if run.adapters.mlp and not formats.mixed:
        return 0
    return run.tokens * stack.intermediate * formats.compute


def _raised_input(stack: Stack, run: Pass, formats: Formats) -> bool:
    """Whether the last matrix is given fp32 under autocast: what gelu_new gives; T5 casts to the weights' format."""
    return formats.mixed and (stack.norm is Norm.T5 or (raises(stack, run, formats) and not stack.gated))


def norm_backward(stack: Stack, run: Pass, formats: Formats) -> int:
    """Bytes per sample that a norm holds at the fullest moment of its backward pass, written out in Python, 0 if not.

    In fp32: its input; gradients of its result and of the normalized version; and the steps through the root of the
    mean square. T5 normalizes the 16-bit input itself, whose place its gradient takes.
    """
    if stack.norm is Norm.LAYER:
        return 0
    return (5 if stack.norm is Norm.T5 and formats.stream < 4 else 6) * 4 * run.tokens * stack.hidden
