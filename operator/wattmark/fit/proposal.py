"""What a fallback is made of before it is checked. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wattmark.api.fallback import Change
from wattmark.api.order import Resolved
from wattmark.fit.checks import Ground
from wattmark.fit.demand import Demand
from wattmark.models import Architecture

Patch = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes, with what each is and costs in words.

    `patch` is a merge patch (RFC 7386) of the spec; `model` is the other model, where that changes. `parts` are the
    single proposals that it was put together of, none for one that is single itself.
    """

    changes: tuple[Change, ...]
    words: tuple[str, ...]
    patch: Patch
    changes_result: bool
    model: tuple[Architecture, str] | None = None
    parts: tuple["Proposal", ...] = ()


Move = Callable[[Demand, tuple[Ground, ...]], Iterator[Proposal]]


def of_workload(resolved: Resolved, changes: Patch) -> Patch:
    """A patch of the member that the workload's type selects."""
    return {"workload": {resolved.workload_type.value.lower(): changes}}
