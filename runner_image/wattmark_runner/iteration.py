"""One unit of measured work, and what it takes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """One iteration, in seconds, synchronised at both edges; the last two only where tokens are generated."""

    latency: float
    first_token: float | None = None
    per_output_token: float | None = None


@dataclass(frozen=True, slots=True)
class Iteration:
    """A callable that does one iteration, and how much work that is, over all samples of the batch.

    Token counts are None where the model reads or generates no text.
    """

    run: Callable[[], Timing]
    samples: int
    input_tokens: int | None = None
    output_tokens: int | None = None
