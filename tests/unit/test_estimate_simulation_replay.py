"""A trace replayed: phases, what they hold at their fullest, and what was reserved."""

import pytest

from wattmark.api.answers import ComponentName, Phase
from wattmark.estimate.interval import MIB
from wattmark.estimate.simulation.replay import GRAIN, Allocated, CacheEmptied, Event, Fullest, Released, least, replay

WEIGHTS, ACTIVATIONS = ComponentName.WEIGHTS, ComponentName.ACTIVATIONS
NAMES = {1: WEIGHTS, 2: ACTIVATIONS, 3: ACTIVATIONS, 4: ACTIVATIONS}


def test_a_phase_is_told_at_its_fullest_moment_by_what_it_holds_there() -> None:
    moments = replay(
        [
            Allocated(1, 40 * MIB, Phase.LOAD),
            Allocated(2, 20 * MIB, Phase.FORWARD),
            Released(2),
            Allocated(3, 30 * MIB, Phase.FORWARD),
            Released(3),
            Allocated(4, 10 * MIB, Phase.FORWARD),
        ],
        NAMES,
    )
    assert moments == (
        Fullest(Phase.LOAD, {WEIGHTS: 40 * MIB}, 40 * MIB),
        Fullest(Phase.FORWARD, {WEIGHTS: 40 * MIB, ACTIVATIONS: 30 * MIB}, 90 * MIB),
    )
    assert moments[1].allocated == 70 * MIB


def test_what_is_reserved_after_the_fullest_moment_counts_too() -> None:
    events = [
        Allocated(1, 36 * MIB, Phase.FORWARD),
        Released(1),
        Allocated(2, 12 * MIB, Phase.FORWARD),
        Allocated(3, 12 * MIB, Phase.FORWARD),
        Released(2),
        Allocated(4, 20 * MIB, Phase.FORWARD),
    ]
    (moment,) = replay(events, NAMES)
    assert moment.allocated == 36 * MIB
    assert moment.reserved == 56 * MIB, "of the first segment 12 MiB are free on either side"


def test_an_emptied_cache_is_not_reserved() -> None:
    events = [
        Allocated(1, 40 * MIB, Phase.LOAD),
        Allocated(2, 50 * MIB, Phase.LOAD),
        Released(2),
        CacheEmptied(),
        Allocated(3, 12 * MIB, Phase.FORWARD),
    ]
    assert [moment.reserved for moment in replay(events, NAMES)] == [90 * MIB, 52 * MIB]


def made(*sizes: int, freed: int = 0) -> list[Event]:
    events: list[Event] = [Allocated(key, size * MIB, Phase.FORWARD) for key, size in enumerate(sizes, 1)]
    return [*events[:1], *[Released(1)] * freed, *events[1:]]


LEAST = [
    pytest.param(made(40, 60), 100, id="all that is allocated"),
    pytest.param(made(40, 60, freed=1), 60, id="without what is given back for it"),
    pytest.param(made(60, 40, 20, freed=1), 60, id="with what finds room in what was freed"),
    pytest.param(made(60, 40, 60, freed=1), 120, id="with a segment of which a part is in use"),
]


@pytest.mark.parametrize(("events", "mib"), LEAST)
def test_the_least_that_a_device_must_have(events: list[Event], mib: int) -> None:
    found = least(events)
    assert mib * MIB <= found <= mib * MIB * (1 + 2 / GRAIN)
