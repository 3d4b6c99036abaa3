"""The observer: one watch on Pods and one on BenchmarkJobs, each event stamped when its line arrives."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from wattmark.api.schema import API_VERSION
from wattmark.cluster.client import Client
from wattmark.identity import BENCHMARK_JOB, KIND_LABEL, NAME_LABEL

Body = dict[str, Any]


class Observer:
    """When each run was first seen in each state, in seconds of the monotonic clock."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._benchmarks = f"/apis/{API_VERSION}/namespaces/{namespace}/benchmarkjobs"
        self.running: dict[str, float] = {}
        self.exited: dict[str, float] = {}  # the container's end, and with it the report
        self.ended: dict[str, float] = {}  # the Pod's terminal phase
        self.told: dict[str, float] = {}  # the figures in status
        self.failed: dict[str, str] = {}
        self.benchmark_events = 0
        self.changed = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(self._pods, {"labelSelector": f"{KIND_LABEL}={BENCHMARK_JOB}"}, self._pod))
            group.create_task(self._watch(self._benchmarks, {}, self._benchmark))

    async def done(self, names: set[str]) -> None:
        """Return once all of these have their figures; raises RuntimeError where one has failed."""
        while not names <= self.told.keys():
            await self.changed.wait()
            self.changed.clear()
            lost = names & self.failed.keys()
            if lost:
                name = min(lost)
                raise RuntimeError(f"{len(lost)} runs have failed, among them {name}: {self.failed[name]}")

    async def all_ended(self, names: set[str]) -> None:
        """Return once the Pods of all of these are over."""
        while not names <= self.ended.keys():
            await self.changed.wait()
            self.changed.clear()

    async def _watch(self, path: str, selectors: dict[str, str], see: Callable[[Body, float], None]) -> None:
        listed = await self._client.page(path, {**selectors, "limit": "1"})
        params = {**selectors, "resourceVersion": listed["metadata"]["resourceVersion"]}
        async with self._client.watch(path, params) as stream:
            rest = b""
            async for chunk in stream.iter_any():
                now = time.monotonic()
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    see(json.loads(line)["object"], now)
                self.changed.set()
        raise RuntimeError(f"the watch on {path} has ended")

    def _pod(self, body: Body, now: float) -> None:
        name, status = body["metadata"]["labels"][NAME_LABEL], body.get("status", {})
        phase = status.get("phase")
        if any("terminated" in c.get("state", {}) for c in status.get("containerStatuses", ())):
            self.exited.setdefault(name, now)
        if phase == "Running":
            self.running.setdefault(name, now)
        elif phase in ("Succeeded", "Failed"):
            self.ended.setdefault(name, now)

    def _benchmark(self, body: Body, now: float) -> None:
        self.benchmark_events += 1
        name, status = body["metadata"]["name"], body.get("status", {})
        if "results" in status:
            self.told.setdefault(name, now)
        elif status.get("phase") == "Failed":
            ready = next((c for c in status.get("conditions", ()) if c["type"] == "Failed"), {})
            self.failed.setdefault(name, str(ready.get("message")))
