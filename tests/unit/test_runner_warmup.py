"""How long a warm-up lasts, on latencies that the test makes up."""

from collections.abc import Callable
from random import Random
from time import process_time

import pytest

from wattmark.api.benchmarkjob import PROFILES, Profile
from wattmark.api.order import ResolvedMeasure
from wattmark_runner.warmup import WarmUp

Latency = Callable[[int, float], float]


def lasted(latency: Latency, plan: ResolvedMeasure) -> tuple[WarmUp, float]:
    """The warm-up at its end, and its seconds; `latency` is given the iteration's number and the seconds before it."""
    warmup, seconds, ended = WarmUp(plan), 0.0, False
    while not ended:
        duration = latency(warmup.iterations, seconds)
        seconds += duration
        ended = warmup.ends(duration, seconds)
    return warmup, seconds


def noisy(mean: float, share: float) -> Latency:
    random = Random(3)
    return lambda _, __: mean * (1 + share * random.uniform(-1, 1))


def late(iteration: int, _: float) -> float:
    return 0.1 if iteration else 30.0


def ramp(mean: float, seconds: float) -> Latency:
    """Half as fast at first, at full speed after so many seconds."""
    return lambda _, now: mean * (2 - min(now / seconds, 1))


@pytest.mark.parametrize(
    ("latency", "profile", "steady", "iterations", "seconds"),
    [
        pytest.param(lambda *_: 0.01, Profile.SMOKE, True, (100, 101), (1, 1.02), id="a tenth of the window"),
        pytest.param(lambda *_: 0.01, Profile.STANDARD, True, (600, 601), (6, 6.02), id="of a longer window as well"),
        pytest.param(lambda *_: 0.3, Profile.SMOKE, True, (9, 9), (2.69, 2.71), id="as many as it takes to judge"),
        pytest.param(lambda *_: 3.0, Profile.SMOKE, None, (3, 3), (9, 9), id="or the least, if those took too long"),
        pytest.param(lambda *_: 1.0, Profile.STANDARD, True, (10, 10), (10, 10), id="the profile's count at least"),
        pytest.param(late, Profile.STANDARD, True, (10, 10), (30, 31), id="a slow first one is not judged"),
        pytest.param(noisy(0.05, 0.3), Profile.STANDARD, True, (100, 260), (6, 12), id="noise does not prolong it"),
        pytest.param(ramp(0.02, 12), Profile.STANDARD, True, (500, 1500), (12, 26), id="rising clocks are awaited"),
        pytest.param(ramp(0.02, 40), Profile.STANDARD, False, (850, 1000), (30, 30.1), id="up to half of the window"),
        pytest.param(ramp(0.5, 300), Profile.PUBLICATION, False, (130, 160), (120, 121), id="or up to two minutes"),
    ],
)  # fmt: skip
def test_a_warm_up(
    latency: Latency, profile: Profile, steady: bool | None, iterations: tuple[int, int], seconds: tuple[float, float]
) -> None:
    warmup, took = lasted(latency, PROFILES[profile])
    assert warmup.steady is steady
    assert iterations[0] <= warmup.iterations <= iterations[1], warmup.iterations
    assert seconds[0] <= took <= seconds[1], took


def test_what_it_still_takes() -> None:
    plan = ResolvedMeasure(warmup_iterations=10, window_seconds=60, min_iterations=30)
    warmup = WarmUp(plan)
    warmup.ends(9.0, 9.0)
    assert warmup.expected_seconds(9.0) == 81  # nothing better is known
    warmup.ends(1.0, 10.0)
    assert warmup.expected_seconds(10.0) == 8  # the first said nothing of the others
    fast = WarmUp(plan)
    for at in range(1, 20):
        fast.ends(0.01, at / 100)
    assert fast.expected_seconds(0.19) == pytest.approx(5.81)


def test_deciding_costs_next_to_nothing() -> None:
    plan = ResolvedMeasure(warmup_iterations=10, window_seconds=240, min_iterations=30)
    warmup, began = WarmUp(plan), process_time()
    for at in range(1, 100_001):  # 100 s of iterations of a millisecond, with a trend all the while
        warmup.ends(0.002 - at * 1e-8, at / 1000)
    assert warmup.steady is False
    assert process_time() - began < 5  # seconds of the CPU: a thousandth of what is judged would be 0.1
