"""The one writer of an object's status: written if it differs, once, guarded; and the Event that follows it."""

import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from wattmark import observe
from wattmark.api.schema import API_VERSION, Model
from wattmark.cluster.client import Client, Conflict
from wattmark.decide.plan import Announcement
from wattmark.decide.saying import timestamp
from wattmark.identity import Key
from wattmark.workqueue import Again
from wattmark.world import World, object_path
from wattmark.writing import changes, only_drifts

MESSAGE_REFRESH_SECONDS = 60.0  # a message that only drifts is refreshed this often at most
COMPONENT = "wattmark-operator"
_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Written:
    """When an object's status was last written, and until when a message that has drifted must wait."""

    at: float = float("-inf")
    refresh_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes statuses and Events. `clock` gives seconds since 1970."""

    client: Client
    world: World
    clock: Callable[[], float]

    async def write(self, key: Key, body: dict[str, Any], status: Model, written: Written) -> bool:
        """Write the status if it differs from the one that was seen; whether it was written."""
        old, new = observe.mapping(body.get("status")), status.wire()
        patch, now = changes(old, new), self.clock()
        written.refresh_seconds = None
        if not patch:
            return False
        age = now - written.at
        if age < MESSAGE_REFRESH_SECONDS and only_drifts(old, new):
            written.refresh_seconds = MESSAGE_REFRESH_SECONDS - age
            return False
        guarded = {"metadata": {"resourceVersion": body["metadata"].get("resourceVersion")}, "status": patch}
        try:
            answer = await self.client.patch(object_path(key, "status"), guarded)
        except Conflict as conflict:
            raise Again from conflict
        if answer is None:
            self.world.forget(key, observe.text(body["metadata"].get("uid")))
            raise Again
        written.at = now
        self.world.see(key, answer)
        return True

    async def announce(self, key: Key, body: Mapping[str, Any], announcement: Announcement) -> None:
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
