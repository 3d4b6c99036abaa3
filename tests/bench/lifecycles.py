"""Benchmarks of whole lifecycles: how soon figures follow a Pod's end, how many a second, what they and rest cost."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass

from tests.bench import counting, machine, runs
from tests.bench.figures import milliseconds, rank
from tests.bench.watching import Observer

from wattmark.cluster.client import Client

FIRST_RUN_SECONDS = 120.0  # a kwok that was started anew waits for its nodes' leases before it does anything
RUN_SECONDS = 300.0
SETTLE_SECONDS = 5.0  # the node controller writes to new nodes for a while


@dataclass(frozen=True)
class Bench:
    """Where a benchmark runs: the cluster, the operator's process if it is on this machine, and the observer."""

    client: Client
    operator: int | None
    namespace: str
    observer: Observer

    def used(self) -> machine.Used | None:
        """What the operator has used so far; None where its process is not on this machine."""
        return None if self.operator is None else machine.used(self.operator)

    async def requests(self) -> Counter[str]:
        """The operator's requests so far."""
        return await counting.counted(self.client, self.namespace)


@contextlib.asynccontextmanager
async def bench(client: Client, operator: int | None, runs_at_once: int) -> AsyncIterator[Bench]:
    """A Bench whose first run has ended: caches are warm, and the cluster does what it should."""
    async with runs.place(client, runs_at_once) as namespace:
        observer = Observer(client, namespace)
        watching = asyncio.create_task(observer.run())
        try:
            made = Bench(client, operator, namespace, observer)
            await asyncio.sleep(1)  # the watches begin
            await _started(made, {"first"}, 1.0, FIRST_RUN_SECONDS)
            await asyncio.sleep(SETTLE_SECONDS)
            yield made
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _started(on: Bench, names: set[str], per_second: float, limit_seconds: float = RUN_SECONDS) -> None:
    """Submit these at the rate, and return once all have their figures."""
    begin = time.monotonic()
    for index, name in enumerate(sorted(names)):
        await asyncio.sleep(begin + index / per_second - time.monotonic())
        await runs.submit(on.client, on.namespace, name)
    try:
        async with asyncio.timeout(limit_seconds):
            await on.observer.done(names)
    except TimeoutError:
        ended = len(names & on.observer.ended.keys())
        raise RuntimeError(
            f"within {limit_seconds:.0f} s {ended} of {len(names)} Pods ended and "
            f"{len(names & on.observer.told.keys())} had figures; does an operator run, and kwok with "
            "tests/bench/stages/runs.yaml?"
        ) from None


async def latency(on: Bench, number: int, per_second: float) -> list[str]:
    """From the container's end, and from the Pod's terminal phase, to the figures in status, as watches see them."""
    names = {f"latency-{index:04}" for index in range(number)}
    await _started(on, names, per_second)
    await on.observer.all_ended(names)
    seen = on.observer
    ends = sorted(seen.ended[name] for name in names)
    rate = (len(ends) - 1) / (ends[-1] - ends[0])
    return [
        f"{number} runs, {rate:.1f} ends a second, to the figures in status:",
        _waits("from the container's end", [seen.told[name] - seen.exited[name] for name in names]),
        _waits("from the Pod's terminal phase", [seen.told[name] - seen.ended[name] for name in names])
        + " (aim: median at most 15 ms; below zero: before it)",
    ]


def _waits(since: str, seconds: list[float]) -> str:
    waits = sorted(seconds)
    p50, p90, p99 = (milliseconds(rank(waits, percent)) for percent in (50, 90, 99))
    return f"  {since}: p50 {p50}, p90 {p90}, p99 {p99}, longest {milliseconds(waits[-1])}"


async def burst(on: Bench, number: int) -> list[str]:
    """So many at once: lifecycles per second, and what each costs."""
    names = {f"burst-{index:04}" for index in range(number)}
    used, requests, begin = on.used(), await on.requests(), time.monotonic()
    await _started(on, names, float("inf"))
    last = max(on.observer.told[name] for name in names)
    await asyncio.sleep(2)  # Events and what else follows the last status
    spent, made = on.used(), await on.requests() - requests
    lines = [f"{number} BenchmarkJobs at once: {number / (last - begin):.1f} lifecycles a second"]
    if used is None or spent is None:
        lines.append("  CPU and memory: not known, the operator's process is not on this machine")
    else:
        cpu = (spent.cpu_seconds - used.cpu_seconds) / number
        lines.append(f"  operator: {milliseconds(cpu)} of CPU each, {_mib(spent.resident_bytes)} resident after it")
    each = ", ".join(f"{count / number:.2f} {what}" for what, count in sorted(made.items()))
    return [*lines, f"  requests each, watches apart: {each}"]


async def idle(on: Bench, finished: int, seconds: float) -> list[str]:
    """With so many finished objects, nothing happens: what does it cost?"""
    names = {f"finished-{index:04}" for index in range(max(0, finished - len(on.observer.told)))}
    await _started(on, names, 12.0)
    await asyncio.sleep(3)  # the last Jobs' own ends reach the operator
    used, requests, events = on.used(), await on.requests(), on.observer.benchmark_events
    await asyncio.sleep(seconds)
    spent, made = on.used(), await on.requests() - requests
    writes = on.observer.benchmark_events - events
    lines = [
        f"idle with {len(on.observer.told)} finished BenchmarkJobs over {seconds:.0f} s: {made.total()} requests"
        f"{_listed(made)}, {writes} changes of BenchmarkJobs"
    ]
    if used is None or spent is None:
        return [*lines, "  CPU and memory: not known, the operator's process is not on this machine"]
    cpu = spent.cpu_seconds - used.cpu_seconds
    return [*lines, f"  operator: {milliseconds(cpu)} of CPU in all, {_mib(spent.resident_bytes)} resident"]


def _listed(requests: Counter[str]) -> str:
    return f" ({', '.join(f'{count} {what}' for what, count in sorted(requests.items()))})" if requests else ""


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"
