"""Look at an object, decide, write its status once, act: one pass per key, from the work queue."""

import json
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from wattmark import observe, preflight
from wattmark.api.benchmarkjob import BenchmarkJobSpec, BenchmarkJobStatus, Progress
from wattmark.api.conditions import ConditionType
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.api.schema import API_VERSION, Model
from wattmark.api.workload import ModelSpec
from wattmark.cluster.client import Client, Conflict, Refused
from wattmark.decide import benchmark, check
from wattmark.decide.plan import (
    Action,
    Announcement,
    CreateJob,
    CreationFailure,
    DeleteJob,
    ExpireJob,
    Identity,
    NotCreated,
    Plan,
    Seen,
    SuspendJob,
)
from wattmark.decide.saying import timestamp
from wattmark.hub import Hub, HubConfig, HubSilent
from wattmark.identity import BENCHMARK_JOB, KIND_LABEL, NAME_LABEL, Key, run_name
from wattmark.manifests import Runner
from wattmark.observe import SeenJob, SeenPod
from wattmark.workqueue import Again
from wattmark.world import World, object_path
from wattmark.writing import changes, only_drifts

MESSAGE_REFRESH_SECONDS = 60.0  # a message that only drifts is refreshed this often at most
EVENTS_AFTER_SECONDS = 1.0  # a Job without a Pod, or a Pod without a container, for longer may be in trouble
COMPONENT = "wattmark-operator"
_LOG = logging.getLogger(__name__)
S = TypeVar("S", bound=Model)


@dataclass(slots=True)
class _Memory:
    """What is remembered of one object between passes; all of it can be lost without harm."""

    uid: str | None  # of the object: what is known of an earlier one of its name says nothing of this one
    not_created: NotCreated | None = None
    progress: Progress | None = None
    written_at: float = float("-inf")
    refresh_seconds: float | None = None  # until a message that has drifted may be written


@dataclass(slots=True)
class Reconciler:
    """Everything that a pass needs. `clock` gives seconds since 1970."""

    client: Client
    world: World
    hub: Hub
    runner: Runner
    clock: Callable[[], float]
    _memory: dict[Key, _Memory] = field(default_factory=dict)
    _known_fleet: tuple[int, preflight.Fleet] | None = None  # as of which change; many checks ask for the same

    async def work(self, key: Key) -> float | None:
        """One pass. Returns after how many seconds to look again."""
        body = self.world.body(key)
        if body is None:
            self._memory.pop(key, None)
            return None
        if key.kind == BENCHMARK_JOB:
            return await self._benchmark(key, body)
        return await self._check(key, body)

    def progressed(self, key: Key, progress: Progress) -> bool:
        """Take in what a running attempt says of itself; False where that is nothing new."""
        memory = self._remember(key)
        if memory.progress == progress:
            return False
        memory.progress = progress
        return True

    def _remember(self, key: Key) -> _Memory:
        uid, memory = self.world.uid(key), self._memory.get(key)
        if memory is None or memory.uid != uid:
            memory = self._memory[key] = _Memory(uid)
        return memory

    async def _benchmark(self, key: Key, body: dict[str, Any]) -> float | None:
        status = _status(BenchmarkJobStatus, body.get("status"))
        if status is None:
            return None
        seen = await self._seen(key, body, status)
        plan = benchmark.decide(seen, self.clock(), self.runner)
        wrote = plan.status is not None and await self._write(key, body, plan.status)
        for action in plan.actions:
            await self._act(key, action)
        if wrote and plan.announcement is not None:
            await self._announce(key, body, plan.announcement)
        if benchmark.finished(seen.status) is not None:
            self._memory.pop(key, None)
        return self._again(key, plan)

    def _again(self, key: Key, plan: Plan) -> float | None:
        # A Job that was created, or not, is news that no watch may tell of.
        retry = any(isinstance(a, CreateJob) for a in plan.actions) and key in self._memory
        if retry and self._memory[key].not_created and plan.look_again_seconds is None:
            return 0.0
        wanted = [s for s in (plan.look_again_seconds, self._refresh(key)) if s is not None]
        return min(wanted, default=None)

    def _refresh(self, key: Key) -> float | None:
        return self._memory[key].refresh_seconds if key in self._memory else None

    async def _seen(self, key: Key, body: dict[str, Any], status: BenchmarkJobStatus) -> Seen:
        identity = _identity(key, body)
        spec = _read(BenchmarkJobSpec, body.get("spec"))
        name = (key.namespace, run_name(key.name))
        job = self.world.jobs.items.get(name)
        memory = self._remember(key)
        if job is None and status.job is not None and benchmark.finished(status) is None:
            # The cache may lag behind what status says: absence that ends a run is asked for, not assumed.
            found = await self.client.get(f"/apis/batch/v1/namespaces/{name[0]}/jobs/{name[1]}")
            job = None if found is None else observe.job(found)
        ours = job is not None and job.owner_uid == identity.uid
        if ours:
            memory.not_created = None
        asked: preflight.Preflight | str | None = None
        if isinstance(spec, BenchmarkJobSpec) and not ours and benchmark.finished(status) is None:
            facts = await self._facts(spec.model)
            if isinstance(facts, str):
                asked = facts
            else:
                asked = preflight.for_benchmark(spec, facts, self._fleet(), status.adaptation)
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

    def _fleet(self) -> preflight.Fleet | None:
        if not self.world.settings.read_nodes:
            return None
        if self._known_fleet is None or self._known_fleet[0] != self.world.fleet_version:
            pods = self.world.gpu_pods.items.values() if self.world.settings.read_all_pods else None
            assumed = self.world.settings.assumed_node_types
            fleet = preflight.fleet(self.world.nodes.items.values(), pods, assumed)
            self._known_fleet = self.world.fleet_version, fleet
        return self._known_fleet[1]

    async def _facts(self, model: ModelSpec) -> preflight.Facts | preflight.Refusal | str:
        """What is known of the model; a sentence where the hub does not answer."""
        wanted = preflight.wanted_of_hub(model)
        if wanted is None:
            return preflight.facts(model, None)
        answer = await self.hub.config(*wanted)
        if isinstance(answer, HubSilent):
            return answer.message
        return preflight.facts(model, answer.config if isinstance(answer, HubConfig) else answer.message)

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

    async def _check(self, key: Key, body: dict[str, Any]) -> float | None:
        identity = _identity(key, body)
        if identity.deleting:
            return None
        spec = _read(ModelCheckSpec, body.get("spec"))
        status = _status(ModelCheckStatus, body.get("status")) or ModelCheckStatus()
        answer: preflight.Answer | str = spec if isinstance(spec, str) else ""
        again = None
        if isinstance(spec, ModelCheckSpec):
            facts = await self._facts(spec.model)
            if isinstance(facts, str):
                answer, again = facts, benchmark.ASK_AGAIN_SECONDS
            else:
                answer = preflight.for_check(spec, facts, self._fleet())
        await self._write(key, body, check.decide(identity, spec, status, answer, self.clock()))
        return self._refresh(key) if again is None else again

    async def _write(self, key: Key, body: dict[str, Any], status: Model) -> bool:
        """Write the status if it differs from the one that was seen; whether it was written."""
        old, new = observe.mapping(body.get("status")), status.wire()
        patch = changes(old, new)
        memory, now = self._remember(key), self.clock()
        memory.refresh_seconds = None
        if not patch:
            return False
        age = now - memory.written_at
        if age < MESSAGE_REFRESH_SECONDS and only_drifts(old, new):
            memory.refresh_seconds = MESSAGE_REFRESH_SECONDS - age
            return False
        guarded = {"metadata": {"resourceVersion": body["metadata"].get("resourceVersion")}, "status": patch}
        try:
            answer = await self.client.patch(object_path(key, "status"), guarded)
        except Conflict as conflict:
            raise Again from conflict
        if answer is None:
            self.world.forget(key, observe.text(body["metadata"].get("uid")))
            raise Again
        memory.written_at = now
        self.world.see(key, answer)
        return True

    async def _act(self, key: Key, action: Action) -> None:
        base = f"/apis/batch/v1/namespaces/{key.namespace}/jobs"
        match action:
            case CreateJob():
                self._remember(key).not_created = await self._create(key, base, action.manifest)
            case SuspendJob():
                await self._patch_job(base, action.name, action.uid, {"suspend": action.suspend})
            case DeleteJob():
                await self.client.delete(f"{base}/{action.name}", action.uid)
            case ExpireJob():
                await self._patch_job(base, action.name, action.uid, {"ttlSecondsAfterFinished": action.seconds})

    async def _patch_job(self, base: str, name: str, uid: str, spec: Mapping[str, Any]) -> None:
        """A named patch of a Job of ours; the UID in it makes the API server refuse a namesake."""
        answer = await self.client.patch(f"{base}/{name}", {"metadata": {"uid": uid}, "spec": dict(spec)})
        if answer is not None:
            self.world.jobs.put(answer)

    async def _create(self, key: Key, base: str, manifest: Mapping[str, Any]) -> NotCreated | None:
        """Create by the fixed name, and let the answer decide: never adopt what is not ours."""
        try:
            self.world.jobs.put(await self.client.create(base, manifest))
        except Conflict:
            return await self._namesake(key, f"{base}/{manifest['metadata']['name']}")
        except Refused as refused:
            why = CreationFailure.INVALID if refused.status in (400, 422) else CreationFailure.REFUSED
            return NotCreated(why, observe.clean(refused))
        return None

    async def _namesake(self, key: Key, path: str) -> NotCreated | None:
        body = await self.client.get(path)
        if body is None:
            raise Again
        job, labels = observe.job(body), observe.mapping(body["metadata"].get("labels"))
        # Without our label a Job was not made by us, and no watch of ours would tell of it.
        if job.owner_uid and job.owner_uid == self.world.uid(key) and labels.get(KIND_LABEL) == BENCHMARK_JOB:
            self.world.jobs.put(body)
            return None
        if job.deleting or (job.owner_kind, job.owner_name) == (key.kind, key.name):
            return NotCreated(CreationFailure.OLDER, f"Job {job.name} is of an earlier {key.kind} of this name")
        return NotCreated(CreationFailure.STRANGER, f"Job {job.name} exists and is not this {key.kind}'s")

    async def _announce(self, key: Key, body: Mapping[str, Any], announcement: Announcement) -> None:
        """Post an Event; its loss is harmless, for the status says the same."""
        now, metadata = timestamp(self.clock()), body["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{key.name}.{uuid.uuid4().hex[:16]}", "namespace": key.namespace},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": key.kind,
                "namespace": key.namespace,
                "name": key.name,
                "uid": metadata.get("uid"),
            },
            "type": "Warning" if announcement.warning else "Normal",
            "reason": announcement.reason.value,
            "message": announcement.message[:1024],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
        }
        try:
            await self.client.create(f"/api/v1/namespaces/{key.namespace}/events", event)
        except Exception as error:
            _LOG.info("no Event for %s: %s", key, error)


def _identity(key: Key, body: Mapping[str, Any]) -> Identity:
    metadata = observe.mapping(body.get("metadata"))
    return Identity(
        namespace=key.namespace,
        name=key.name,
        uid=observe.text(metadata.get("uid")),
        generation=int(metadata.get("generation", 0)),
        created=observe.epoch(metadata.get("creationTimestamp")) or 0.0,
        deleting=metadata.get("deletionTimestamp") is not None,
    )


def _read(kind: type[S], raw: object) -> S | str:
    """The spec, or a sentence that names the first field that cannot be read."""
    try:
        return kind.read(raw or {}, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return observe.clean(f"spec.{where}: {first['msg']}; correct it and create the object anew")


def _status(kind: type[S], raw: object) -> S | None:
    """The status as stored; an empty one where an unknown release wrote what cannot be read.

    None where what cannot be read tells of the end of a run: it is left alone, for it must not run again.
    """
    try:
        return kind.read(raw or {}, extra="ignore")
    except ValidationError as error:
        _LOG.warning("a stored status cannot be read: %s", json.dumps(str(error))[:500])
        ends = (ConditionType.COMPLETE.value, ConditionType.FAILED.value)
        stored = observe.items(observe.mapping(raw).get("conditions"))
        return None if any(c.get("type") in ends and c.get("status") == "True" for c in stored) else kind()
