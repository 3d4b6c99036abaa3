"""Command line: python -m tests.bench [checks evidence latency burst idle start] [--short]. Prints figures only."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import checks, evidence, lifecycles, machine, runs, start

from wattmark.cluster.client import Client, connected

BENCHMARKS = ("checks", "evidence", "latency", "burst", "idle", "start")
ENDS_PER_SECOND = 5.0
LATENCY_AT_ONCE = 64


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    latency: int
    burst: int
    finished: int
    idle_seconds: float
    starts: int
    fleet: tuple[int, int, int, int]  # nodes, Pods, of these with GPUs, ModelChecks anew
    evidence: tuple[int, int]  # finished runs, ModelChecks anew


FULL = Sizes(200, 500, 1000, 30.0, 5, (5000, 50_000, 8000, 100), (10_000, 100))
SHORT = Sizes(10, 20, 40, 5.0, 1, (50, 500, 80, 10), (60, 10))


def main() -> int:
    """Run the chosen benchmarks and print what they give."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("which", nargs="*", help="all where none is named")
    parser.add_argument("--short", action="store_true", help="few runs: shows that the benchmarks work, not how fast")
    parser.add_argument("--operator-pid", type=int, help="which operator's CPU and memory, where several run here")
    options = parser.parse_args()
    asyncio.run(_run(options.which or BENCHMARKS, options.short, options.operator_pid))
    return 0


async def _run(which: Sequence[str], short: bool, pid: int | None) -> None:
    sizes = SHORT if short else FULL
    if set(which) <= {"checks", "evidence"}:
        told([machine.described(None)])
        await _without_cluster(which, sizes)
        return
    async with connected() as client:
        told([machine.described((await client.get("/version") or {}).get("gitVersion"))])
        await _without_cluster(which, sizes)
        if {"latency", "burst", "idle"} & set(which):
            await _lifecycles(client, which, sizes, pid)
        if "start" in which:
            told(await start.start(client, sizes.starts))


async def _without_cluster(which: Sequence[str], sizes: Sizes) -> None:
    if "checks" in which:
        told(await checks.checks(*sizes.fleet))
    if "evidence" in which:
        told(evidence.with_evidence(*sizes.evidence))


async def _lifecycles(client: Client, which: Sequence[str], sizes: Sizes, pid: int | None) -> None:
    found = machine.operators()
    operator = pid or (found[0] if len(found) == 1 else None)
    print(runs.SIMULATED, flush=True)
    at_once = sizes.burst if "burst" in which else LATENCY_AT_ONCE
    async with lifecycles.bench(client, operator, at_once) as on:
        if "latency" in which:
            told(await lifecycles.latency(on, sizes.latency, ENDS_PER_SECOND))
        if "burst" in which:
            told(await lifecycles.burst(on, sizes.burst))
        if "idle" in which:
            told(await lifecycles.idle(on, sizes.finished, sizes.idle_seconds))


def told(lines: Sequence[str]) -> None:
    """Print figures as soon as they are there."""
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    sys.exit(main())
