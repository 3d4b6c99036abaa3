"""The Jobs of our objects: created by a fixed name, never adopted, changed by named patches only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wattmark import observe
from wattmark.cluster.client import Client, Conflict, Refused
from wattmark.decide.plan import CreationFailure, DeleteJob, ExpireJob, NotCreated, SuspendJob
from wattmark.identity import KIND_LABEL, Key
from wattmark.workqueue import Again
from wattmark.world import World


@dataclass(frozen=True, slots=True)
class Jobs:
    """Reads and writes Jobs of our objects."""

    client: Client
    world: World

    async def create(self, key: Key, manifest: Mapping[str, Any]) -> NotCreated | None:
        """Create by the fixed name, and let the answer decide: never adopt what is not ours."""
        try:
            self.world.jobs.put(await self.client.create(_path(key), manifest))
        except Conflict:
            return await self._namesake(key, _path(key, manifest["metadata"]["name"]))
        except Refused as refused:
            why = CreationFailure.INVALID if refused.status in (400, 422) else CreationFailure.REFUSED
            return NotCreated(why, observe.clean(refused))
        return None

    async def change(self, key: Key, action: SuspendJob | DeleteJob | ExpireJob) -> None:
        """Do what was decided about a Job of ours that is there."""
        match action:
            case SuspendJob():
                await self._patch(key, action.name, action.uid, {"suspend": action.suspend})
            case DeleteJob():
                await self.client.delete(_path(key, action.name), action.uid)  # none of its name that is not ours
            case ExpireJob():
                await self._patch(key, action.name, action.uid, {"ttlSecondsAfterFinished": action.seconds})

    async def _patch(self, key: Key, name: str, uid: str, spec: Mapping[str, Any]) -> None:
        """A named patch of a Job of ours; the UID in it makes the API server refuse a namesake."""
        answer = await self.client.patch(_path(key, name), {"metadata": {"uid": uid}, "spec": dict(spec)})
        if answer is not None:
            self.world.jobs.put(answer)

    async def get(self, key: Key, name: str) -> observe.SeenJob | None:
        """The Job of this name as the API server has it now."""
        found = await self.client.get(_path(key, name))
        return None if found is None else observe.job(found)

    async def _namesake(self, key: Key, path: str) -> NotCreated | None:
        body = await self.client.get(path)
        if body is None:
            raise Again
        job, labels = observe.job(body), observe.mapping(body["metadata"].get("labels"))
        # Without our label a Job was not made by us, and no watch of ours would tell of it.
        if job.owner_uid and job.owner_uid == self.world.uid(key) and labels.get(KIND_LABEL) == key.kind:
            self.world.jobs.put(body)
            return None
        if job.deleting or (job.owner_kind, job.owner_name) == (key.kind, key.name):
            return NotCreated(CreationFailure.OLDER, f"Job {job.name} is of an earlier {key.kind} of this name")
        return NotCreated(CreationFailure.STRANGER, f"Job {job.name} exists and is not this {key.kind}'s")


def _path(key: Key, name: str = "") -> str:
    base = f"/apis/batch/v1/namespaces/{key.namespace}/jobs"
    return f"{base}/{name}" if name else base
