"""A queue of keys: each at most once in it, never worked on twice at a time, retried with growing pauses."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 300.0
OVERTAKEN_PAUSE_SECONDS = 10.0  # at most, where a watch that is behind leaves one overtaken again and again
_LOG = logging.getLogger(__name__)


class Again(Exception):  # noqa: N818 - a wish, not an error
    """Work on the key again soon, without a word in the log: somebody else was faster."""


class WorkQueue(Generic[K]):
    """`work(key)` returns after how many seconds the key is to be looked at again, or None."""

    def __init__(self, work: Callable[[K], Awaitable[float | None]]) -> None:
        self._work = work
        self._urgent: deque[K] = deque()
        self._waiting: deque[K] = deque()
        self._queued: set[K] = set()
        self._running: set[K] = set()
        self._again: dict[K, bool] = {}  # added while running; True: urgent
        self._failures: dict[K, int] = {}
        self._overtaken: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._ready = asyncio.Event()

    def __len__(self) -> int:
        return len(self._queued)

    def add(self, key: K, urgent: bool = False) -> None:
        """Work on the key soon. Urgent: before all that is not, for ends must not wait behind new starts."""
        self._cancel(key)
        if key in self._running:
            self._again[key] = urgent or self._again.get(key, False)
            return
        if key in self._queued:
            if not urgent or key in self._urgent:
                return
            self._waiting.remove(key)
        self._queued.add(key)
        (self._urgent if urgent else self._waiting).append(key)
        self._ready.set()

    def add_after(self, key: K, seconds: float) -> None:
        """Work on the key after so many seconds, unless it is added before. The sooner of two times counts."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if key in self._queued or (timer is not None and timer.when() <= loop.time() + seconds):
            return
        self._cancel(key)
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def forget(self, key: K) -> None:
        """Drop timers and failure counts of a key that is no more."""
        self._cancel(key)
        self._failures.pop(key, None)
        self._overtaken.pop(key, None)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def run(self, workers: int) -> None:
        """Work with so many workers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._next()
            again = await self._once(key)
            # A pass that asks nobody suspends nowhere: a thousand in a row would keep watches and probes waiting.
            await asyncio.sleep(0)
            self._running.discard(key)
            if key in self._again:
                self.add(key, self._again.pop(key))
            elif again is not None:
                self.add_after(key, again)

    async def _next(self) -> K:
        while not self._queued:
            self._ready.clear()
            await self._ready.wait()
        key = self._urgent.popleft() if self._urgent else self._waiting.popleft()
        self._queued.discard(key)
        self._running.add(key)
        return key

    async def _once(self, key: K) -> float | None:
        try:
            again: float | None = await self._work(key)
        except Again:
            times = self._overtaken[key] = self._overtaken.get(key, 0) + 1
            pause = min(OVERTAKEN_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 1.3 ** min(times - 1, 20))
            return pause * random.uniform(0.1, 0.4)  # noqa: S311
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))
            _LOG.warning("%s failed (%d), again in %.1f s: %s: %s", key, failures, pause, type(error).__name__, error)
            _LOG.debug("the failure", exc_info=error)
            return pause * random.uniform(0.8, 1.2)  # noqa: S311
        self._failures.pop(key, None)
        self._overtaken.pop(key, None)
        return again
