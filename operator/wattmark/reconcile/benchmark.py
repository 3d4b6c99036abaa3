"""One pass of a BenchmarkJob."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wattmark import preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus, Progress
from wattmark.decide import benchmark
from wattmark.decide.plan import Action, CreateJob, NotCreated, Plan, Seen
from wattmark.identity import Key, run_name
from wattmark.manifests import Runner
from wattmark.reconcile import stored
from wattmark.reconcile.jobs import Jobs
from wattmark.reconcile.knowledge import Knowledge, guarded
from wattmark.reconcile.lessons import Lessons
from wattmark.reconcile.pods import Pods
from wattmark.reconcile.writer import Writer, Written
from wattmark.world import World


@dataclass(slots=True)
class Remembered:
    """What is remembered of one BenchmarkJob between passes; all of it can be lost without harm."""

    not_created: NotCreated | None = None
    progress: Progress | None = None
    written: Written = field(default_factory=Written)


@dataclass(frozen=True, slots=True)
class BenchmarkPass:
    """Takes a BenchmarkJob one step on. `clock` gives seconds since 1970."""

    world: World
    knowledge: Knowledge
    jobs: Jobs
    pods: Pods
    writer: Writer
    lessons: Lessons
    runner: Runner
    clock: Callable[[], float]

    async def run(self, key: Key, body: dict[str, Any], memory: Remembered) -> float | None:
        """One pass. Returns after how many seconds to look again."""
        status = stored.status(BenchmarkJobStatus, body.get("status"))
        if status is None:
            return None
        seen = await self._seen(key, body, status, memory)
        plan = benchmark.decide(seen, self.clock(), self.runner)
        wrote = plan.status is not None and await self.writer.write(key, body, plan.status, memory.written)
        for action in plan.actions:
            await self._act(key, action, memory)
        # Who has read that it is over may ask at once what it teaches: the Event can wait.
        later = await self.lessons.take(key) if self.world.finished(key) else None
        if wrote and plan.announcement is not None:
            await self.writer.announce(key, body, plan.announcement)
        again = _again(plan, memory)
        return later if again is None else again

    async def _seen(self, key: Key, body: dict[str, Any], status: BenchmarkJobStatus, memory: Remembered) -> Seen:
        identity = stored.identity(key, body)
        spec = stored.spec(BenchmarkJobSpec, body.get("spec"))
        name = run_name(key.name)
        job = self.world.jobs.items.get((key.namespace, name))
        if job is None and status.job is not None and benchmark.finished(status) is None:
            # The cache may lag behind what status says: absence that ends a run is asked for, not assumed.
            job = await self.jobs.get(key, name)
        ours = job is not None and job.owner_uid == identity.uid
        if ours:
            memory.not_created = None
        asked: preflight.Preflight | str | None = None
        if isinstance(spec, BenchmarkJobSpec) and not ours and benchmark.finished(status) is None:
            facts = await self.knowledge.facts(spec.model)
            if isinstance(facts, str):
                asked = facts
            else:
                experience = self.knowledge.experience(key.namespace)
                asked = guarded(
                    lambda: preflight.for_benchmark(spec, facts, self.knowledge.fleet(), status.adaptation, experience),
                    lambda why: preflight.unforeseen(spec, facts, why),
                )
        pods, refusal, stuck = self.world.pods_of(key), "", ""
        if job is not None and ours and (job.failed_reason or job.succeeded):
            if benchmark.finished(status) is None:
                pods = await self.pods.now(key, pods)
        elif job is not None and ours and not job.suspended:
            refusal, stuck = await self.pods.troubles(key, job, [p for p in pods if p.owner_uid == job.uid])
        if job is None or not any(p.running and p.owner_uid == job.uid for p in pods):
            memory.progress = None  # of an attempt that is over
        return Seen(identity, spec, status, job, pods, asked, memory.not_created, refusal, stuck, memory.progress)

    async def _act(self, key: Key, action: Action, memory: Remembered) -> None:
        if isinstance(action, CreateJob):
            memory.not_created = await self.jobs.create(key, action.manifest)
        else:
            await self.jobs.change(key, action)


def _again(plan: Plan, memory: Remembered) -> float | None:
    # A Job that was created, or not, is news that no watch may tell of.
    created = any(isinstance(action, CreateJob) for action in plan.actions)
    if created and memory.not_created and plan.look_again_seconds is None:
        return 0.0
    wanted = [s for s in (plan.look_again_seconds, memory.written.refresh_seconds) if s is not None]
    return min(wanted, default=None)
