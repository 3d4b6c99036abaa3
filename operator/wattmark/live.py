"""Live progress of running Pods, from the tail of their logs: best effort, never a source of results."""

import asyncio
import logging
from collections.abc import Callable

from wattmark.api.benchmarkjob import Progress
from wattmark.cluster.client import Client, Conflict, Refused, Unreachable
from wattmark.identity import CONTAINER, Key
from wattmark.observe import SeenPod
from wattmark.progress import last_progress

MOST_AT_ONCE = 8
TAIL = {"tailLines": "3", "limitBytes": "2048", "container": CONTAINER}
_LOG = logging.getLogger(__name__)


async def follow(
    client: Client,
    pods: Callable[[], list[SeenPod]],
    progressed: Callable[[Key, Progress], None],
    interval_seconds: float,
) -> None:
    """Read each running Pod's tail once per interval, a few at a time, until cancelled."""
    slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def read(pod: SeenPod) -> None:
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log"
        try:
            async with slots:
                log = await client.request("GET", path, params=TAIL)
        except (Refused, Conflict, Unreachable) as error:
            _LOG.debug("no progress of %s/%s: %s", pod.namespace, pod.name, error)
            return
        found = last_progress(log)
        if found is not None:
            progressed(Key(pod.of_kind, pod.namespace, pod.of_name), found)

    while True:
        await asyncio.sleep(interval_seconds)
        running = [p for p in pods() if p.running]
        await asyncio.gather(*(read(pod) for pod in running))
