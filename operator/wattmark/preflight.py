"""What is known before a run: the model, the need, and the verdict on each node type. Pure."""

from dataclasses import dataclass

from wattmark.api.answers import Need, NodeTypeAnswer
from wattmark.api.conditions import Reason
from wattmark.api.figures import Unavailable
from wattmark.api.order import Resolved


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no sense in starting: known without taking any GPU."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Preflight:
    """What is known of a BenchmarkJob before its run. Sizes in bytes."""

    resolved: Resolved | None
    need: Need | None
    predictions: tuple[NodeTypeAnswer, ...]
    unavailable: tuple[Unavailable, ...]
    fits: bool | None  # None: not known
    reason: Reason
    message: str
    config: str | None
    products: tuple[str, ...] | None
    refusal: Refusal | None = None
