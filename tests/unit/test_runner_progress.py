"""Progress: monotone, honest about what is not known, in the form the operator reads."""

import threading

import pytest

from wattmark.api.benchmarkjob import Progress, ProgressPhase
from wattmark_runner.progress import Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_while_loading_nothing_is_expected(clock: Clock) -> None:
    reporter = Reporter(None, 1, clock)
    clock.now += 50
    assert reporter.current().wire() == {"phase": "Loading", "percent": 0}


def test_the_share_is_time_done_over_all_time(clock: Clock) -> None:
    reporter = Reporter(None, 1, clock)
    clock.now += 10
    reporter.iterated(ProgressPhase.MEASURING, 30.0)
    assert reporter.current().wire() == {"phase": "Measuring", "percent": 25, "remainingSeconds": 30.0}
    clock.now += 10
    assert reporter.current().wire() == {"phase": "Measuring", "percent": 50, "remainingSeconds": 20.0}


def test_the_share_never_goes_back_and_never_says_done(clock: Clock) -> None:
    reporter = Reporter(None, 1, clock)
    clock.now += 10
    reporter.iterated(ProgressPhase.WARMING_UP, 10.0)
    assert reporter.current().percent == 50
    reporter.iterated(ProgressPhase.MEASURING, 1000.0)
    assert reporter.current().percent == 50
    clock.now += 5000
    assert reporter.current().percent == 99


def test_the_state_is_told_in_each_interval() -> None:
    told: list[Progress] = []
    again = threading.Event()

    def tell(progress: Progress) -> None:
        told.append(progress)
        if progress.phase is ProgressPhase.MEASURING:
            again.set()

    with Reporter(tell, 0.01) as reporter:
        reporter.iterated(ProgressPhase.MEASURING, 100.0)
        assert again.wait(10)
    assert told[-1].phase is ProgressPhase.MEASURING
    count = len(told)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]
    assert len(told) == count
