"""The running operator: the stores, the queue and the loops beside it, started and stopped together."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from wattmark import health, live
from wattmark.api.benchmarkjob import Progress
from wattmark.api.schema import API_VERSION
from wattmark.cluster.client import Client, Conflict, Refused, Unreachable, connected
from wattmark.hub import Hub
from wattmark.identity import BENCHMARK_JOB, MODEL_CHECK, Key
from wattmark.manifests import Runner
from wattmark.reconcile import Reconciler
from wattmark.settings import Settings
from wattmark.workqueue import WorkQueue
from wattmark.world import PLURALS, Wake, World

FLEET_PAUSE_SECONDS = 1.0  # changes of nodes and Pods come in bursts: checks are answered anew once per burst
EVIDENCE_PAUSE_SECONDS = 1.0  # runs may end in bursts, too
MOST_WAIT_SECONDS = 30.0
RELIST_SECONDS = 600.0  # a deletion that a broken watch hid is found this often
_LOG = logging.getLogger(__name__)


class Operation:
    """One operator at work. kopf's sensors call `seen` and `gone`; all else happens in here."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.settings = settings
        self._client = client
        self.world = World(client, settings, Wake(self._wake, self._fleet_changed, self._learnt))
        runner = Runner(
            settings.runner_image,
            settings.runner_pull_policy,
            settings.image_pull_secrets,
            settings.progress_seconds,
        )
        self._reconciler = Reconciler(client, self.world, Hub(settings.hub_endpoint), runner, time.time)
        self.queue: WorkQueue[Key] = WorkQueue(self._reconciler.work)
        self._fleet_timer: asyncio.TimerHandle | None = None
        self._learnt_in: set[str] = set()
        self._started = False

    def seen(self, key: Key, body: dict[str, Any]) -> None:
        """One of our objects is there, or changed."""
        if self.world.see(key, body):
            self.queue.add(key)

    def gone(self, key: Key, uid: str | None) -> None:
        """One of our objects is no more; it may have been followed by another of its name already."""
        if not self.world.forget(key, uid):
            return
        self.queue.forget(key)
        self.queue.add(key)  # the pass finds nothing and forgets what it remembered

    def _wake(self, key: Key, urgent: bool) -> None:
        self.queue.add(key, urgent)

    def _fleet_changed(self) -> None:
        if self._fleet_timer is None:
            self._fleet_timer = asyncio.get_running_loop().call_later(FLEET_PAUSE_SECONDS, self._answer_anew)

    def _answer_anew(self) -> None:
        self._fleet_timer = None
        for key in self.world.objects:
            if key.kind == MODEL_CHECK:
                self.queue.add(key)

    def _learnt(self, namespace: str) -> None:
        """A run of this namespace ended, or is no more."""
        if not self._learnt_in:
            asyncio.get_running_loop().call_later(EVIDENCE_PAUSE_SECONDS, self._answer_learners_anew)
        self._learnt_in.add(namespace)

    def _answer_learners_anew(self) -> None:
        learnt, self._learnt_in = self._learnt_in, set()
        everybody = not learnt.isdisjoint(self.world.runs.shared)
        for key in self.world.objects:
            if key.kind == MODEL_CHECK and (everybody or key.namespace in learnt):
                self.queue.add(key)

    def _progressed(self, key: Key, progress: Progress) -> None:
        if key in self.world.objects and self._reconciler.progressed(key, progress):
            self.queue.add(key)

    async def run(self) -> None:
        """Fill the caches, then work, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.world.run())
            await self.world.synced()
            await self._await_runs()
            self._started = True
            _LOG.info("caches are filled; at work")
            group.create_task(self.queue.run(self.settings.workers))
            group.create_task(self._relist())
            if self.settings.progress_seconds:
                group.create_task(
                    live.follow(
                        self._client,
                        self.world.own_pods,
                        self._progressed,
                        self.settings.progress_seconds,
                    )
                )

    async def _await_runs(self) -> None:
        """Let questions wait for the runs that are there: without them each restart would answer anew, twice."""
        with contextlib.suppress(Refused, Conflict, Unreachable):
            self.world.unread = await self._names(BENCHMARK_JOB)
        # One that was deleted since is never seen.
        asyncio.get_running_loop().call_later(MOST_WAIT_SECONDS, self.world.unread.clear)

    async def _relist(self) -> None:
        while True:
            await asyncio.sleep(RELIST_SECONDS)
            for kind in PLURALS:
                # Before the list: none is newer than it.
                held = [(key, self.world.uid(key)) for key in self.world.objects if key.kind == kind]
                with contextlib.suppress(Refused, Conflict, Unreachable):
                    there = await self._names(kind)
                    for key, uid in held:
                        if key not in there:
                            self.gone(key, uid)

    async def _names(self, kind: str) -> set[Key]:
        scope = f"namespaces/{self.settings.namespace}/" if self.settings.namespace else ""
        found: set[Key] = set()
        params = {"limit": "500"}
        while True:
            page = await self._client.page(f"/apis/{API_VERSION}/{scope}{PLURALS[kind]}", params, metadata_only=True)
            for item in page.get("items") or ():
                found.add(Key(kind, item["metadata"]["namespace"], item["metadata"]["name"]))
            after = (page.get("metadata") or {}).get("continue")
            if not after:
                return found
            params = {**params, "continue": after}

    def ready(self) -> bool:
        """Whether the caches are filled."""
        return self._started

    def silence_seconds(self) -> float:
        """How long the quietest watch has been silent."""
        return self.world.silence_seconds(asyncio.get_running_loop().time())


@contextlib.asynccontextmanager
async def operating(settings: Settings) -> AsyncIterator[tuple[Operation, asyncio.Task[None]]]:
    """An Operation that works while the block runs, and its task, which ends early only by failing."""
    async with connected() as client:
        operation = Operation(client, settings)
        probes = await health.serve(settings.health_port, operation.ready, operation.silence_seconds)
        task = asyncio.create_task(operation.run())
        try:
            yield operation, task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await probes.cleanup()
