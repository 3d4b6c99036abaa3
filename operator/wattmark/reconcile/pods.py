"""The Pods of our Jobs, asked for where the watches do not tell enough; and what their Events say against them."""

from collections.abc import Callable
from dataclasses import dataclass

from wattmark import observe
from wattmark.cluster.client import Client
from wattmark.identity import KIND_LABEL, NAME_LABEL, Key
from wattmark.observe import SeenJob, SeenPod

EVENTS_AFTER_SECONDS = 1.0  # a Job without a Pod, or a Pod without a container, for longer may be in trouble


@dataclass(frozen=True, slots=True)
class Pods:
    """Reads Pods and Events of our objects. `clock` gives seconds since 1970."""

    client: Client
    clock: Callable[[], float]

    async def now(self, key: Key, held: tuple[SeenPod, ...]) -> tuple[SeenPod, ...]:
        """The Pods, asked for: of a Job that is over the watch may not have told the Pod, nor its report, yet."""
        selector = f"{KIND_LABEL}={key.kind},{NAME_LABEL}={key.name}"
        page = await self.client.page(f"/api/v1/namespaces/{key.namespace}/pods", {"labelSelector": selector})
        there = [observe.pod(body) for body in observe.items(page.get("items"))]
        return tuple({p.uid: p for p in (*(p for p in held if p.terminal), *there)}.values())

    async def troubles(self, key: Key, job: SeenJob, pods: list[SeenPod]) -> tuple[str, str]:
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
