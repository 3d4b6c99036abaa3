"""What the caching allocator takes from the device: a workload's allocations, simulated one after another.

Described are those whose order has been compared with a trace's, on one device: `_described` says which forward passes
and generations, `training_step.followed` which steps of training. Of everything else (quantized matrices, several
devices, static caches, analyses, convolutions, sounds, positions that are attended to apart, other optimizers, more
layers than any model has) reserved memory stays a share of what is allocated.
"""

from dataclasses import dataclass

from wattmark.api.workload import WorkloadType
from wattmark.estimate.parts import Unknown
from wattmark.estimate.question import Question
from wattmark.estimate.simulation.allocator import DeviceFullError
from wattmark.estimate.simulation.forward_pair import pair
from wattmark.estimate.simulation.forward_pass import forward
from wattmark.estimate.simulation.loading import loaded
from wattmark.estimate.simulation.sequence import ACTIVATIONS, MOST_LAYERS, Memory
from wattmark.estimate.simulation.training_step import followed, steps
from wattmark.estimate.tensors import units
from wattmark.estimate.transformer import Pass
from wattmark.models import Stack

PARTS = 32  # to one part in so many of what is reserved the least is looked for: each look is a simulation more


@dataclass(frozen=True, slots=True)
class Simulated:
    """The allocator's peaks in bytes: what it takes where there is room, what of that is in use at once, and what of
    this was asked for.

    What it must have lies between the first two: under pressure it gives back what is not used, and then places the
    rest otherwise than it did where there was room. See `least`.
    """

    reserved_bytes: int
    in_use_bytes: int
    asked_bytes: int


def reserved(question: Question, scratch: int) -> Simulated | None:
    """The peaks, `scratch` bytes of a library's workspace included; None where no order is known."""
    memory = simulated(question, scratch)
    if memory is None:
        return None
    found = memory.allocator
    return Simulated(found.reserved_peak, found.in_use_peak, found.asked_peak)


def least(question: Question, scratch: int, found: Simulated) -> int:
    """The fewest bytes of a device on which it comes to its end, of a question with such peaks, to one part in PARTS.

    Mostly next to nothing but the segments in use is needed: that is tried first.
    """
    low, enough, grain = found.in_use_bytes, found.reserved_bytes, found.reserved_bytes // PARTS
    at = low + grain
    while enough - low > grain:
        try:
            simulated(question, scratch, at)
            enough = at
        except DeviceFullError:
            low = at
        at = (low + enough) // 2
    return (low + enough) // 2


def order_is_known(question: Question) -> bool:
    """Whether there is a simulation of this."""
    return followed(question) or _described(question)


def simulated(question: Question, scratch: int, limit: int | None = None) -> Memory | None:
    """The allocator at the end, with what it held at most; DeviceFullError on a device with fewer bytes than it needs.

    Loaded it is on any device: that takes what is there at the end, and a tied projection for a moment.
    """
    if not order_is_known(question):
        return None
    found = units(question, shared=True)
    if isinstance(found, Unknown):
        return None
    memory = Memory(loaded(question, found, limit))
    if question.training:
        steps(question, found).run(memory, scratch)
    elif len(question.passes) > 1:
        pair(question, memory, scratch)
    else:
        forward(question, memory, scratch)
    return memory


def _described(question: Question) -> bool:
    resolved, architecture = question.resolved, question.architecture
    if resolved.workload_type is not WorkloadType.INFERENCE or resolved.quantization or resolved.parallelism:
        return False
    if architecture.audio or question.static_tokens or not question.passes:
        return False
    return all(_known(stack, run, run.tokens + question.output_tokens) for stack, run in question.passes)


def _known(stack: Stack, run: Pass, tokens: int) -> bool:
    """Whether the order of such layers' allocations is known, of so many tokens in the end."""
    # A cache that slides holds one token less than the window. Which layers' do is known of Gemma 2 and where all do.
    short = stack.window_tokens is not None and stack.window_tokens - 1 <= tokens
    some = short and not run.eager and stack.window_layers < stack.layers
    apart = stack.relative_span or (stack.position_bias and run.eager)
    return not (some or apart) and stack.activation in ACTIVATIONS and stack.layers <= MOST_LAYERS
