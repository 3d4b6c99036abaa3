"""The queue: each key once, never twice at a time, ends first, growing pauses after failures."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from tests.unit.virtual import virtually

from wattmark.workqueue import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Again, WorkQueue

Answer = Callable[[str, int], float | None]
"""Key, and how often it was worked on -> seconds until the next look."""


class Log:
    """What was worked on when; each key takes as long as `takes` says."""

    def __init__(
        self, takes: float = 1.0, answer: Callable[[str, int], float | None] = lambda key, times: None
    ) -> None:
        self.started: list[tuple[str, float]] = []
        self.running: list[str] = []
        self.most_at_once = 0
        self._takes = takes
        self._answer = answer

    async def work(self, key: str) -> float | None:
        assert key not in self.running, "a key is worked on twice at a time"
        self.started.append((key, asyncio.get_running_loop().time()))
        self.running.append(key)
        self.most_at_once = max(self.most_at_once, len(self.running))
        try:
            await asyncio.sleep(self._takes)
            return self._answer(key, len([k for k, _ in self.started if k == key]))
        finally:
            self.running.remove(key)

    @property
    def keys(self) -> list[str]:
        return [key for key, _ in self.started]

    def times(self, key: str) -> list[float]:
        return [at for k, at in self.started if k == key]


def during(log: Log, script: Callable[[WorkQueue[str]], Awaitable[None]], workers: int = 1, seconds: float = 50) -> Log:
    """Play a script against a queue for so many virtual seconds."""

    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue(log.work)
        running = asyncio.create_task(queue.run(workers))
        await script(queue)
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    virtually(play())
    return log


def adding(*keys: str, urgent: str = "") -> Callable[[WorkQueue[str]], Awaitable[None]]:
    async def script(queue: WorkQueue[str]) -> None:
        for key in keys:
            queue.add(key, key in urgent)

    return script


def test_a_key_that_is_queued_already_is_worked_on_once() -> None:
    assert during(Log(), adding("a", "b", "a", "a")).keys == ["a", "b"]


def test_what_is_urgent_comes_first_in_its_order_also_if_it_waited_already() -> None:
    assert during(Log(), adding("a", "b", "c", "d", urgent="bd")).keys == ["b", "d", "a", "c"]

    async def hurry(queue: WorkQueue[str]) -> None:
        for key in "abc":
            queue.add(key)
        queue.add("c", urgent=True)
        queue.add("c", urgent=True)
        queue.add("c")

    assert during(Log(), hurry).keys == ["c", "a", "b"]


def test_a_key_added_while_it_is_worked_on_is_worked_on_once_more_afterwards() -> None:
    async def disturb(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(0.5)
        for _ in range(3):
            queue.add("a")

    assert during(Log(), disturb, workers=4).times("a") == [0.0, 1.0]


def test_urgency_survives_being_added_while_running() -> None:
    async def disturb(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(0.5)
        queue.add("b")
        queue.add("a", urgent=True)
        queue.add("a")

    assert during(Log(), disturb).keys == ["a", "a", "b"]


@pytest.mark.parametrize("workers", [1, 3])
def test_as_many_keys_at_once_as_there_are_workers(workers: int) -> None:
    log = during(Log(), adding(*"abcdef"), workers)
    assert sorted(log.keys) == list("abcdef")
    assert log.most_at_once == workers


def test_a_key_is_looked_at_again_when_its_work_says_so() -> None:
    log = during(Log(answer=lambda key, times: 5.0 if times < 3 else None), adding("a"))
    assert log.times("a") == [0.0, 6.0, 12.0]


def test_being_added_before_replaces_the_later_look() -> None:
    async def script(queue: WorkQueue[str]) -> None:
        queue.add("a")
        await asyncio.sleep(3)
        queue.add("a")

    log = during(Log(answer=lambda key, times: 5.0 if times == 1 else None), script)
    assert log.times("a") == [0.0, 3.0]


def test_of_two_later_looks_the_sooner_counts() -> None:
    async def script(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 9)
        queue.add_after("a", 4)
        queue.add_after("a", 7)

    assert during(Log(), script).times("a") == [4.0]


def test_a_key_that_is_forgotten_is_not_looked_at_again() -> None:
    async def script(queue: WorkQueue[str]) -> None:
        queue.add_after("a", 4)
        await asyncio.sleep(1)
        queue.forget("a")

    assert during(Log(), script).keys == []


def fails(times_failing: int, error: Exception) -> Callable[[str, int], float | None]:
    def answer(key: str, times: int) -> float | None:
        if key == "bad" and times <= times_failing:
            raise error
        return None

    return answer


def test_pauses_double_up_to_the_longest_and_others_do_not_wait() -> None:
    log = during(Log(0.0, fails(100, ValueError("poison"))), adding("bad", "good"), seconds=2000)
    assert log.times("good") == [0.0]
    at = log.times("bad")
    pauses = [later - earlier for earlier, later in pairwise(at)]
    for index, pause in enumerate(pauses):
        wanted = min(FIRST_PAUSE_SECONDS * 2**index, LONGEST_PAUSE_SECONDS)
        assert 0.8 * wanted <= pause <= 1.2 * wanted


def test_a_success_makes_the_next_pause_a_short_one() -> None:
    def answer(key: str, times: int) -> float | None:
        if times != 5:
            raise ValueError
        return 1.0

    at = during(Log(0.0, answer), adding("a"), seconds=20).times("a")
    assert at[6] - at[5] <= 1.2 * FIRST_PAUSE_SECONDS < at[4] - at[3]


def test_being_overtaken_is_no_failure_and_no_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    log = during(Log(0.0, fails(5, Again())), adding("bad"), seconds=10)
    assert len(log.times("bad")) == 6
    assert log.times("bad")[-1] < 5 * FIRST_PAUSE_SECONDS
    assert caplog.text == ""


def test_a_failure_is_one_line_that_names_key_and_cause(caplog: pytest.LogCaptureFixture) -> None:
    during(Log(0.0, fails(1, ValueError("odd"))), adding("bad"), seconds=10)
    (record,) = caplog.records
    assert record.getMessage().startswith("bad failed (1), again in ")
    assert record.getMessage().endswith("ValueError: odd")


def test_its_length_is_what_waits() -> None:
    seen: list[int] = []

    async def script(queue: WorkQueue[str]) -> None:
        for key in "abc":
            queue.add(key)
        seen.append(len(queue))
        await asyncio.sleep(0.5)
        seen.append(len(queue))

    during(Log(), script)
    assert seen == [3, 2]


def test_passes_that_wait_for_nobody_let_others_have_a_turn() -> None:
    turns: list[int] = []
    worked = 0

    async def at_once(key: int) -> None:
        nonlocal worked
        worked += 1

    async def play() -> None:
        queue: WorkQueue[int] = WorkQueue(at_once)
        for key in range(100):
            queue.add(key)
        running = asyncio.create_task(queue.run(2))
        while worked < 100:
            turns.append(worked)
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    virtually(play())
    assert max(after - before for before, after in pairwise(turns)) <= 2
