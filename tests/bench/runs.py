"""Simulated nodes for a benchmark, and BenchmarkJobs whose Pods land on them."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Any

from tests.cluster.fleet import A100, NodeType, node

from wattmark.api.schema import API_VERSION
from wattmark.cluster.client import Client, Conflict, Refused
from wattmark.identity import BENCHMARK_JOB, SIMULATED_LABEL

BENCH_LABEL = "wattmark.dev/bench"
GPUS_PER_NODE = 8
GONE_SECONDS = 600
SIMULATED = (
    "The Pods of these runs are simulated (kwok): no container runs, and their reports hold invented figures. "
    "What is measured is the operator, against a real API server, scheduler and Job controller."
)


def benchmark(namespace: str, name: str) -> dict[str, Any]:
    """One BenchmarkJob, for one simulated GPU."""
    return {
        "apiVersion": API_VERSION,
        "kind": BENCHMARK_JOB,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"id": "bert-base-uncased"},
            "resources": {"gpusPerNode": 1, "cpu": "1"},
            "placement": {
                "nodeSelector": {BENCH_LABEL: "true"},
                "tolerations": [{"key": SIMULATED_LABEL, "operator": "Exists"}],
            },
        },
    }


async def submit(client: Client, namespace: str, name: str) -> None:
    """Create one BenchmarkJob."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/benchmarkjobs"
    await client.create(path, benchmark(namespace, name))


@contextlib.asynccontextmanager
async def place(client: Client, runs_at_once: int) -> AsyncIterator[str]:
    """A fresh namespace, and simulated nodes with room for so many runs at once, while the block lasts."""
    namespace = f"wattmark-bench-{secrets.token_hex(3)}"
    number = -(-runs_at_once // GPUS_PER_NODE)
    kind = NodeType("bench", A100, gpus=GPUS_PER_NODE, nodes=number, cpu=96, memory_gib=1024)
    nodes = [node(kind, index) for index in range(1, number + 1)]
    made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    try:
        for path, body in (("/api/v1/namespaces", made), *(("/api/v1/nodes", one) for one in nodes)):
            body["metadata"].setdefault("labels", {})[BENCH_LABEL] = "true"
            with contextlib.suppress(Conflict):  # a node of an earlier benchmark that was killed
                await client.create(path, body)
        yield namespace
    finally:
        await client.request("DELETE", f"/api/v1/namespaces/{namespace}")
        # The nodes go last: kwok lets a Pod go only while its node is there.
        for _ in range(GONE_SECONDS):
            if await client.get(f"/api/v1/namespaces/{namespace}") is None:
                break
            await asyncio.sleep(1)
        for one in nodes:
            with contextlib.suppress(Refused):  # gone already
                await client.request("DELETE", f"/api/v1/nodes/{one['metadata']['name']}")
