"""One pass of a BenchmarkJob."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wattmark import observe, preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus, Progress
from wattmark.cluster.client import Client
from wattmark.decide import benchmark
from wattmark.decide.plan import Action, CreateJob, DeleteJob, ExpireJob, NotCreated, Plan, Seen, SuspendJob
from wattmark.identity import BENCHMARK_JOB, KIND_LABEL, NAME_LABEL, Key, run_name
from wattmark.manifests import Runner
from wattmark.observe import SeenJob, SeenPod
from wattmark.reconcile import stored
from wattmark.reconcile.jobs import Jobs
from wattmark.reconcile.knowledge import Knowledge, guarded
from wattmark.reconcile.writer import Writer, Written
from wattmark.world import World

EVENTS_AFTER_SECONDS = 1.0  # a Job without a Pod, or a Pod without a container, for longer may be in trouble


@dataclass(slots=True)
class Remembered:
    """What is remembered of one BenchmarkJob between passes; all of it can be lost without harm."""

    not_created: NotCreated | None = None
    progress: Progress | None = None
    written: Written = field(default_factory=Written)


@dataclass(frozen=True, slots=True)
class BenchmarkPass:
    """Takes a BenchmarkJob one step on. `clock` gives seconds since 1970."""

    client: Client
    world: World
    knowledge: Knowledge
    jobs: Jobs
    writer: Writer
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
        if wrote and plan.announcement is not None:
            await self.writer.announce(key, body, plan.announcement)
        return _again(plan, memory)

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
                asked = guarded(
                    lambda: preflight.for_benchmark(spec, facts, self.knowledge.fleet(), status.adaptation),
                    lambda why: preflight.unforeseen(spec, facts, why),
                )
        pods, refusal, stuck = self.world.pods_of(key), "", ""
        if job is not None and ours and (job.failed_reason or job.succeeded):
            if benchmark.finished(status) is None:
                pods = await self._pods_now(key, pods)
        elif job is not None and ours and not job.suspended:
            refusal, stuck = await self._troubles(key, job, [p for p in pods if p.owner_uid == job.uid])
        if job is None or not any(p.running and p.owner_uid == job.uid for p in pods):
            memory.progress = None  # of an attempt that is over
        return Seen(identity, spec, status, job, pods, asked, memory.not_created, refusal, stuck, memory.progress)

    async def _pods_now(self, key: Key, held: tuple[SeenPod, ...]) -> tuple[SeenPod, ...]:
        """The run's Pods, asked for: of a Job that is over the watch may not have told the Pod, nor its report, yet."""
        selector = f"{KIND_LABEL}={BENCHMARK_JOB},{NAME_LABEL}={key.name}"
        page = await self.client.page(f"/api/v1/namespaces/{key.namespace}/pods", {"labelSelector": selector})
        there = [observe.pod(body) for body in observe.items(page.get("items"))]
        return tuple({p.uid: p for p in (*(p for p in held if p.terminal), *there)}.values())

    async def _troubles(self, key: Key, job: SeenJob, pods: list[SeenPod]) -> tuple[str, str]:
        """Why the Job has no Pod, and why its Pod has no container: asked for only then, for only Events tell."""
        now, live = self.clock(), [p for p in pods if not p.terminal]
        last_end = max((p.ended.finished or 0.0 for p in pods if p.ended), default=0.0)
        if not live and now - max(job.created, last_end) > EVENTS_AFTER_SECONDS:
            return await self._events(key, job.uid, observe.NO_POD, last_end), ""
        starting = next((p for p in live if p.node and not p.waiting_message and not p.running and not p.ended), None)
        if starting is not None and now - starting.created > EVENTS_AFTER_SECONDS:
            return "", await self._events(key, starting.uid, observe.NO_CONTAINER, starting.created)
        return "", ""

    async def _events(self, key: Key, uid: str, reasons: tuple[str, ...], since: float) -> str:
        params = {"fieldSelector": f"involvedObject.uid={uid},type=Warning", "limit": "50"}
        page = await self.client.page(f"/api/v1/namespaces/{key.namespace}/events", params)
        return observe.latest_trouble(observe.items(page.get("items")), reasons, since)

    async def _act(self, key: Key, action: Action, memory: Remembered) -> None:
        match action:
            case CreateJob():
                memory.not_created = await self.jobs.create(key, action.manifest)
            case SuspendJob():
                await self.jobs.patch(key, action.name, action.uid, {"suspend": action.suspend})
            case DeleteJob():
                await self.jobs.delete(key, action.name, action.uid)
            case ExpireJob():
                await self.jobs.patch(key, action.name, action.uid, {"ttlSecondsAfterFinished": action.seconds})


def _again(plan: Plan, memory: Remembered) -> float | None:
    # A Job that was created, or not, is news that no watch may tell of.
    created = any(isinstance(action, CreateJob) for action in plan.actions)
    if created and memory.not_created and plan.look_again_seconds is None:
        return 0.0
    wanted = [s for s in (plan.look_again_seconds, memory.written.refresh_seconds) if s is not None]
    return min(wanted, default=None)
