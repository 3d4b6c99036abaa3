"""One pass per key, from the work queue, and what is remembered between passes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from wattmark.api.benchmarkjob import Progress
from wattmark.cluster.client import Client
from wattmark.hub import Hub
from wattmark.identity import BENCHMARK_JOB, Key
from wattmark.manifests import Runner
from wattmark.reconcile.benchmark import BenchmarkPass, Remembered
from wattmark.reconcile.check import CheckPass
from wattmark.reconcile.jobs import Jobs
from wattmark.reconcile.knowledge import Knowledge
from wattmark.reconcile.lessons import Lessons
from wattmark.reconcile.pods import Pods
from wattmark.reconcile.tracing import Attempted, Traces
from wattmark.reconcile.writer import Writer
from wattmark.world import World


class Reconciler:
    """Everything that a pass needs. `clock` gives seconds since 1970."""

    def __init__(self, client: Client, world: World, hub: Hub, runner: Runner, clock: Callable[[], float]) -> None:
        knowledge, writer = Knowledge(world, hub), Writer(client, world, clock)
        jobs, pods = Jobs(client, world), Pods(client, clock)
        self._world = world
        lessons = Lessons(world, knowledge)
        self._benchmark = BenchmarkPass(world, knowledge, jobs, pods, writer, lessons, runner, clock)
        self._check = CheckPass(knowledge, Traces(world, jobs, pods, runner, clock), writer, clock)
        self._memory: dict[Key, _Memory] = {}

    async def work(self, key: Key) -> float | None:
        """One pass. Returns after how many seconds to look again."""
        body = self._world.body(key)
        if body is None:
            self._memory.pop(key, None)
            self._world.learn(key, None)
            return None
        memory = self._remember(key)
        if key.kind != BENCHMARK_JOB:
            return await self._check.run(key, body, memory.of.written, memory.attempted)
        try:
            again = await self._benchmark.run(key, body, memory.of)
            if self._world.finished(key):
                self._memory.pop(key, None)
        finally:
            self._world.unread.discard(key)
        return again

    def progressed(self, key: Key, progress: Progress) -> bool:
        """Take in what a running attempt says of itself; False where that is nothing new."""
        memory = self._remember(key).of
        if memory.progress == progress:
            return False
        memory.progress = progress
        return True

    def _remember(self, key: Key) -> "_Memory":
        uid, memory = self._world.uid(key), self._memory.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memory[key] = _Memory(uid)
        return memory


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of the object with this UID, for it says nothing of another one of its name."""

    uid: str | None
    of: Remembered = field(default_factory=Remembered)
    attempted: Attempted = field(default_factory=Attempted)
