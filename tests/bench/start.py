"""From the operator's container to ready: its Pod is deleted, and its successor is watched from outside."""

import asyncio
import time

import aiohttp
from tests.bench import machine
from tests.bench.figures import rank

from wattmark.cluster.client import Client

OPERATORS = "app.kubernetes.io/part-of=wattmark,app.kubernetes.io/component=operator"
POLL_SECONDS = 0.01
LIMIT_SECONDS = 90.0


async def start(client: Client, times: int) -> list[str]:
    """From the start of the container's process to the first 200 of its readiness probe."""
    if not machine.operators():
        return ["start: not measured, the operator's process is not on this machine"]
    waits, cpu = [], []
    for _ in range(times):
        old = set(machine.operators())
        await _delete_pods(client)
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                pid = await _successor(old)
                await _ready(machine.address(pid))
        except TimeoutError:
            raise RuntimeError(f"no operator was ready {LIMIT_SECONDS:.0f} s after its predecessor's end") from None
        waits.append(time.clock_gettime(time.CLOCK_BOOTTIME) - machine.started_at(pid))
        cpu.append(machine.used(pid).cpu_seconds)
        await asyncio.sleep(5)  # the Deployment settles
    middle = rank(sorted(waits), 50)
    return [
        f"from the start of the operator's container to ready, {times} times: median {middle:.2f} s, "
        f"longest {max(waits):.2f} s, {rank(sorted(cpu), 50):.2f} s of CPU (aim: at most 3 s)"
    ]


async def _delete_pods(client: Client) -> None:
    found = await client.page("/api/v1/pods", {"labelSelector": OPERATORS})
    for pod in found["items"]:
        metadata = pod["metadata"]
        await client.delete(f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}", metadata["uid"])


async def _successor(old: set[int]) -> int:
    while True:
        new = set(machine.operators()) - old
        if new:
            return min(new)
        await asyncio.sleep(POLL_SECONDS)


async def _ready(host: str) -> None:
    timeout = aiohttp.ClientTimeout(total=1)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            try:
                async with session.get(f"http://{host}:8080/readyz") as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(POLL_SECONDS)
