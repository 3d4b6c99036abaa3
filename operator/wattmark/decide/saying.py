"""Conditions while they are being decided: what is said of each type, dated only at the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from wattmark.api.conditions import Condition, ConditionStatus, ConditionType, Reason, merged
from wattmark.api.fallback import Fallback


def timestamp(epoch_seconds: float) -> str:
    """RFC 3339 in UTC, to the second, as Kubernetes writes it."""
    return datetime.fromtimestamp(int(epoch_seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Saying:
    """Status, reason and message of one condition."""

    status: ConditionStatus
    reason: Reason
    message: str


def yes(reason: Reason, message: str) -> Saying:
    """The condition holds."""
    return Saying(ConditionStatus.TRUE, reason, message)


def no(reason: Reason, message: str) -> Saying:
    """The condition does not hold."""
    return Saying(ConditionStatus.FALSE, reason, message)


def unknown(reason: Reason, message: str) -> Saying:
    """Whether the condition holds is not known."""
    return Saying(ConditionStatus.UNKNOWN, reason, message)


Sayings = dict[ConditionType, Saying]


def with_remedy(message: str, fallbacks: Sequence[Fallback]) -> str:
    """Why it does not fit, and where that stands which would make it fit."""
    if not fallbacks:
        return message
    return f"{message}; status.fallbacks has what makes it fit, first: {fallbacks[0].message}"


def said(conditions: Iterable[Condition]) -> Sayings:
    """What the stored conditions say."""
    return {c.type: Saying(c.status, c.reason, c.message) for c in conditions}


def dated(sayings: Sayings, old: Iterable[Condition], now: float, generation: int) -> list[Condition]:
    """Conditions to store; a transition time moves only when the status of its condition does."""
    return merged(
        old,
        [
            Condition(
                type=kind,
                status=saying.status,
                reason=saying.reason,
                message=saying.message[:1024],
                last_transition_time=timestamp(now),
                observed_generation=generation,
            )
            for kind, saying in sayings.items()
        ],
    )


def in_progress(sayings: Sayings, reason: Reason, message: str) -> None:
    """Say, in kstatus's words, that work is going on."""
    sayings[ConditionType.READY] = no(reason, message)
    sayings[ConditionType.RECONCILING] = yes(reason, message)
    sayings.pop(ConditionType.STALLED, None)


def settled(sayings: Sayings, saying: Saying) -> None:
    """Say, in kstatus's words, that it is over: ready, or stalled."""
    sayings[ConditionType.READY] = saying
    sayings.pop(ConditionType.RECONCILING, None)
    sayings.pop(ConditionType.STALLED, None)
    if saying.status is ConditionStatus.FALSE:
        sayings[ConditionType.STALLED] = yes(saying.reason, saying.message)
