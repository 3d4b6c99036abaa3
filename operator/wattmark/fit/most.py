"""How large a batch and how long an input fit: by search over the estimate, not by division. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache, partial
from math import isqrt

from wattmark.api.model import Weights
from wattmark.api.order import Resolved
from wattmark.estimate import Gpu, Unknown, reckoned
from wattmark.evidence import NOTHING_LEARNT, Lesson, must_be_offered
from wattmark.fit.demand import BEYOND, Demand
from wattmark.models import Architecture, Family, Modality

MOST_SAMPLES = 65_536  # the bounds of the API's fields
MOST_TOKENS = 1_048_576
FIGURES = 7  # binary ones, of a search in which each look takes milliseconds: to one part in 64


class Axis(StrEnum):
    """What grows."""

    BATCH = "Batch"
    INPUT = "Input"


@dataclass(frozen=True, slots=True)
class _Subject:
    """What the answer depends on; the architecture is what `config` says, and too large to be compared each time.

    `lesson` is what earlier runs say of the model with whatever batch and length.
    """

    config: str
    weights: Weights
    resolved: Resolved
    lesson: Lesson
    architecture: Architecture = field(compare=False)


def largest(size: Callable[[int], int], room: int, most: int) -> int:
    """The largest n of 1 to `most` with size(n) <= room, 0 where there is none; `size` never falls.

    Steps along the chord: where the size grows evenly, the first finds the largest, and the second that the next one
    does not fit. Then in turn with halving the ratio of the ends, for most sizes stand still at first and then grow.
    """
    if most < 1 or (below := size(1)) > room:
        return 0
    if (above := size(most)) <= room:
        return most
    low, high, steps = 1, most, 0
    while high - low > 1:
        halve = steps > 0 and steps % 2 == 0
        at = isqrt(low * high) if halve else low + int((high - low) * ((room - below) / (above - below)))
        at = min(high - 1, max(low + 1, at))
        found = size(at)
        if found <= room:
            low, below = at, found
        else:
            high, above = at, found
        steps += 1
    return low


def most_that_fit(demand: Demand, axis: Axis, gpu: Gpu | None, room: int) -> int | None:
    """The largest batch, or the longest input in tokens, whose need's high end is at most `room` bytes.

    0 where not even one fits; None where the model reads no text, so that there is no length. On a GPU it is
    what that must offer, without one the host's. What else the workload says stays as it is.
    """
    most = MOST_SAMPLES if axis is Axis.BATCH else longest_input(demand)
    if most is None:
        return None
    weights, lesson = demand.spec.model.weights, demand.lesson_elsewhere(gpu)
    subject = _Subject(demand.config, weights, demand.resolved, lesson, demand.architecture)
    return _most(subject, axis, gpu, room, most)


def most_of_both(demand: Demand) -> Callable[[Gpu | None, int], tuple[int | None, int | None]]:
    """The largest batch and the longest input for a GPU with so many bytes."""
    return lambda gpu, room: (
        most_that_fit(demand, Axis.BATCH, gpu, room),
        most_that_fit(demand, Axis.INPUT, gpu, room),
    )


def longest_input(demand: Demand) -> int | None:
    """The most tokens that the model takes beside those it is to generate; None for a model that reads no text."""
    architecture, sample = demand.architecture, demand.resolved.input
    if architecture.modality is not Modality.TEXT:
        return None
    limit = min(architecture.max_positions or MOST_TOKENS, MOST_TOKENS)
    return limit - (sample.output_tokens or 0) if architecture.family is Family.DECODER else limit


def resized(resolved: Resolved, axis: Axis, amount: int) -> Resolved:
    """The same workload with another batch or input length."""
    if axis is Axis.BATCH:
        return resolved.model_copy(update={"batch_size_per_device": amount})
    return resolved.model_copy(update={"input": resolved.input.model_copy(update={"input_tokens": amount})})


def nearly_largest(size: Callable[[int], int], least: Callable[[int], int], room: int, most: int) -> int:
    """The largest n of FIGURES binary figures with size(n) <= room; 0 where there is none.

    `size` is dear, and may fall here and there by a little; `least` is cheap, never falls and is never above it. What
    lies between the two grows evenly from one end to the other, as far as is known; where the same end moves again it
    does not, and twice as far is gone each time. Few n are looked at, and the same ones where the room or the size is a
    little different: what was found out for them is remembered.
    """
    most = largest(least, room, most)
    low, high, at, fitted, again = 0, most + 1, _rounded(most), None, 0
    more = {0: 0}
    while low < at:
        more[at] = size(at) - least(at)
        fits = least(at) + more[at] <= room
        low, high = (at, high) if fits else (low, at)
        again, fitted = again + 1 if fits is fitted else 0, fits
        guess = largest(partial(_expected, least, more, low, high), room, most)
        if again:
            reach = max(2 * abs(guess - at), _step(at)) << again - 1
            guess = at + reach if fits else at - reach
        at = min(max(_rounded(guess), low + _step(low)), _rounded(high - 1))
    return low


def _expected(least: Callable[[int], int], more: Mapping[int, int], low: int, high: int, n: int) -> int:
    """The size of n between two ends: the cheap one, and how much `more` the dear one is at the ends that are known."""
    below, above = more[low], more.get(high)
    if above is None:
        return least(n) + below
    return least(n) + below + (above - below) * (n - low) // (high - low)


def _step(number: int) -> int:
    """To the next number of as few binary figures."""
    return 1 << max(0, number.bit_length() - FIGURES)


def _rounded(number: int) -> int:
    """Down to one of FIGURES binary figures."""
    return number // _step(number) * _step(number)


# Asked again at each change of the fleet, and the answers are numbers.
@lru_cache(8192)
def _most(subject: _Subject, axis: Axis, gpu: Gpu | None, room: int, most: int) -> int:
    # What is cheap is asked again and again at the same few.
    @cache
    def size(amount: int, simulate: bool = True) -> int:
        sized = resized(subject.resolved, axis, amount)
        found = reckoned(subject.architecture, sized, subject.weights, gpu, simulate=simulate)
        return BEYOND if isinstance(found, Unknown) else must_be_offered(found, subject.lesson)

    def search(most: int) -> int:
        return nearly_largest(size, partial(size, simulate=False), room, most)

    def fits(amount: int) -> bool:
        # What earlier runs say may move the cheap size above the other one.
        bounded = subject.lesson == NOTHING_LEARNT
        return not (bounded and size(amount, simulate=False) > room) and size(amount) <= room

    found, asked = search(most), min(most, _amount(subject.resolved, axis))
    # Reserved memory may fall a little where the batch grows: the answer must not contradict the verdict for all that.
    if found < asked:
        return asked if fits(asked) else found
    return found if fits(asked) else search(asked - 1)


def _amount(resolved: Resolved, axis: Axis) -> int:
    """What is asked along this axis."""
    return resolved.batch_size_per_device if axis is Axis.BATCH else resolved.input.input_tokens or 1
