"""The trace of a ModelCheck: its Job and Pods looked at, and what was decided about them done."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.decide import tracing
from wattmark.decide.plan import Action, CreateJob, Identity, NotCreated
from wattmark.decide.tracing import SeenTrace, Tracing
from wattmark.identity import Key, trace_name
from wattmark.manifests import Runner, question
from wattmark.observe import SeenJob
from wattmark.reconcile.jobs import Jobs
from wattmark.reconcile.pods import Pods
from wattmark.world import World


@dataclass(slots=True)
class Attempted:
    """The last attempt at creating a trace's Job that failed; forgetting it does no harm."""

    question: str = ""
    not_created: NotCreated | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Traces:
    """Has the models of ModelChecks traced. `clock` gives seconds since 1970."""

    world: World
    jobs: Jobs
    pods: Pods
    runner: Runner
    clock: Callable[[], float]

    async def step(
        self,
        key: Key,
        identity: Identity,
        spec: ModelCheckSpec,
        status: ModelCheckStatus,
        config: str | None,
        attempted: Attempted,
    ) -> Tracing:
        """What is decided about the trace of what the spec asks; its actions are to be done once that is in status."""
        digest, job = question(spec), self._job(key)
        if attempted.question != digest or (job is not None and job.owner_uid == identity.uid):
            attempted.not_created = None
        pods, missed = self.world.pods_of(key), attempted.not_created
        seen = SeenTrace(identity, spec, digest, config, status.trace, job, pods, missed, attempted.at)
        if job is not None and tracing.open_with(seen, job):
            if job.failed_reason or job.succeeded:
                seen = replace(seen, pods=await self.pods.now(key, pods))
            elif not job.suspended:
                own = [pod for pod in pods if pod.owner_uid == job.uid]
                refusal, stuck = await self.pods.troubles(key, job, own)
                seen = replace(seen, refusal=refusal, stuck=stuck)
        return tracing.trace(seen, self.clock(), self.runner)

    def untraced(self, key: Key, identity: Identity) -> tuple[Action, ...]:
        """What is to be done where the question needs no trace."""
        return tracing.untraced(identity, self._job(key))

    async def act(self, key: Key, spec: ModelCheckSpec, actions: tuple[Action, ...], attempted: Attempted) -> bool:
        """Do what was decided; whether there is news that no watch may tell of."""
        for action in actions:
            if isinstance(action, CreateJob):
                attempted.question, attempted.at = question(spec), self.clock()
                attempted.not_created = await self.jobs.create(key, action.manifest)
            else:
                await self.jobs.change(key, action)
        return any(isinstance(action, CreateJob) for action in actions)

    def _job(self, key: Key) -> SeenJob | None:
        return self.world.jobs.items.get((key.namespace, trace_name(key.name)))
