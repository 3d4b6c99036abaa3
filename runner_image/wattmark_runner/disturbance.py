"""What can keep a device from running as it would alone and cool."""

from dataclasses import dataclass

from wattmark.api.figures import ClockEvent


@dataclass(frozen=True, slots=True)
class Seen:
    """What lowered the device's clocks, and how many processes of others computed on it at most; None: not told."""

    clock_events: frozenset[ClockEvent] | None = None
    other_processes: int | None = None
