"""ModelChecks against a large fleet, without a cluster: CPU time of an answer, and memory held for nodes and Pods.

The bodies are as an API server would send them; what the operator keeps of them is what its reflectors keep.
"""

import gc
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any

import aiohttp
from kubernetes.aio.client.configuration import Configuration
from tests.bench.figures import milliseconds, rank
from tests.cluster.fleet import DRIVER, NODE_TYPES, NodeType, devices, node

from wattmark import model_facts, preflight
from wattmark.api.answers import Verdict
from wattmark.api.modelcheck import ModelCheckSpec, ModelCheckStatus
from wattmark.cluster.client import Client
from wattmark.cluster.reflector import Reflector
from wattmark.decide import check
from wattmark.decide.plan import Identity
from wattmark.fleet import nodes, slices

MODELS = ("meta-llama/Llama-3.1-8B", "gpt2", "bert-base-uncased", "Qwen/Qwen2.5-7B", "t5-small")
INFERENCE = {"type": "Inference", "inference": {}}
IDENTITY = Identity("default", "check", "uid", 1, 0.0, False)
Body = dict[str, Any]


async def checks(number_of_nodes: int, number_of_pods: int, with_gpus: int, repeated: int) -> list[str]:
    """One ModelCheck, many anew, and bytes per node and per Pod with GPUs."""
    async with aiohttp.ClientSession() as session:
        client = Client(Configuration(), session)  # nothing is asked of it
        held_nodes = Reflector(client, "", nodes.read_node, lambda *_: None)
        held_pods = Reflector(client, "", nodes.read_gpu_pod, lambda *_: None)
        held_slices = Reflector(client, "", slices.read_slice, lambda *_: None)
    kinds = [NODE_TYPES[index % len(NODE_TYPES)] for index in range(number_of_nodes)]
    node_bytes = _filled(held_nodes, (_node(kind, index) for index, kind in enumerate(kinds)))
    pod_bytes = _filled(held_pods, (_pod(index, kinds, index < with_gpus) for index in range(number_of_pods)))
    slice_bytes = _filled(held_slices, (_slice(kind, index) for index, kind in enumerate(kinds)))
    assert len(held_nodes.items) == len(held_slices.items) == number_of_nodes
    assert len(held_pods.items) == with_gpus

    def fleet() -> preflight.Fleet:
        return preflight.fleet(held_nodes.items.values(), held_pods.items.values())

    def fleet_of_both() -> preflight.Fleet:
        return preflight.fleet(held_nodes.items.values(), held_pods.items.values(), (), held_slices.items.values())

    def anew() -> None:
        known = fleet()
        for index in range(repeated):
            _answer(MODELS[index % len(MODELS)], known)

    known = fleet()
    batches = count(64)

    def nowhere() -> None:
        # Another batch and length each time: what was found out for either is remembered.
        batch = next(batches)
        sizes = {"batchSizePerDevice": batch, "input": {"text": {"inputTokens": 8 * batch}}}
        found = _answer(MODELS[0], known, {"type": "Training", "training": sizes})
        assert found.fallbacks and not any(kind.verdict is Verdict.FITS for kind in found.node_types)

    return [
        f"ModelChecks against {number_of_nodes} nodes and {number_of_pods} Pods, {with_gpus} of them with GPUs:",
        f"  kinds of node found anew: {milliseconds(_cpu_seconds(fleet))}, with a ResourceSlice for each node as well: "
        f"{milliseconds(_cpu_seconds(fleet_of_both))}; "
        f"one ModelCheck then: {milliseconds(_cpu_seconds(lambda: _answer(MODELS[0], known)))} (aim: 100 ms); "
        f"one that fits nowhere, with its search for fallbacks: {milliseconds(_cpu_seconds(nowhere))} (aim: 100 ms); "
        f"{repeated} anew: {_cpu_seconds(anew):.2f} s (aim: 2 s), all CPU time, median of 5",
        f"  held: {node_bytes / number_of_nodes:.0f} bytes a node (aim: 1,024), "
        f"{pod_bytes / with_gpus:.0f} bytes a Pod with GPUs (aim: 300), "
        f"{slice_bytes / number_of_nodes:.0f} bytes a ResourceSlice",
    ]


def _cpu_seconds(work: Callable[[], object], times: int = 5) -> float:
    """CPU time of the work, the median of several times."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return rank(sorted(found), 50)


def _answer(model: str, known: preflight.Fleet, workload: Mapping[str, Any] = INFERENCE) -> ModelCheckStatus:
    """One pass over a ModelCheck, from its stored spec to the status that would be written."""
    raw = {"model": {"id": model}, "resources": {"gpusPerNode": 1}, "workload": workload}
    spec = ModelCheckSpec.read(raw, extra="ignore")
    answer = preflight.for_check(spec, model_facts.facts(spec.model, None), known)
    status = check.decide(IDENTITY, spec, ModelCheckStatus(), answer, 0.0)
    status.wire()
    return status


def _filled(reflector: Reflector[Any], bodies: Iterator[str]) -> int:
    """Bytes that the reflector holds after it has taken in all of these."""
    gc.collect()
    tracemalloc.start()
    for body in bodies:
        reflector.put(json.loads(body))
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


def _node(kind: NodeType, index: int) -> str:
    body = node(kind, index)
    body["metadata"] |= {"resourceVersion": str(1000 + index), "uid": f"{index:032x}"}
    body["status"]["conditions"] = [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]
    return json.dumps(body)


def _slice(kind: NodeType, index: int) -> str:
    texts = {"type": "gpu", "productName": kind.gpu.product.replace("-", " "), "architecture": kind.gpu.family}
    versions = {
        "cudaComputeCapability": f"{kind.gpu.compute}.0",
        "cudaDriverVersion": "13.0.0",
        "driverVersion": DRIVER,
    }
    attributes = {
        **{name: {"string": text} for name, text in texts.items()},
        **{name: {"version": version} for name, version in versions.items()},
    }
    capacity = {"memory": {"value": f"{kind.gpu.memory_mib}Mi"}}
    name = f"simulated-{kind.name}-{index}"
    body: Body = {
        "metadata": {"name": f"{name}-gpu", "resourceVersion": str(200_000 + index)},
        "spec": {
            "driver": slices.NVIDIA_DRIVER,
            "nodeName": name,
            "pool": {"name": name, "generation": 1, "resourceSliceCount": 1},
            "devices": [
                {
                    "name": f"gpu-{n}",
                    "attributes": {**attributes, "uuid": {"string": f"{index}-{n}"}},
                    "capacity": capacity,
                }
                for n in range(kind.gpus)
            ],
        },
    }
    return json.dumps(body)


def _pod(index: int, kinds: list[NodeType], with_gpu: bool) -> str:
    at = index % len(kinds)
    kind = kinds[at]
    wanted = {name: "1" for name, count in devices(kind).items() if count != "0"} if with_gpu else {}
    resources = {"requests": {"cpu": "1", "memory": "1Gi", **wanted}, "limits": wanted}
    body: Body = {
        "metadata": {
            "name": f"pod-{index:06}",
            "namespace": f"tenant-{index % 50}",
            "resourceVersion": str(100_000 + index),
        },
        "spec": {"nodeName": f"simulated-{kind.name}-{at}", "containers": [{"name": "main", "resources": resources}]},
        "status": {"phase": "Running"},
    }
    return json.dumps(body)
