"""A namespace under observation, and the smallest BenchmarkJob that really measures."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.e2e.reach import SECONDS, Api, Body, Recorder, Sight

OURS = "/apis/wattmark.dev/v1alpha1"
TINY = {
    "model_type": "bert",
    "vocab_size": 128,
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
TINY_CPU = "900m"  # also the limit: two side by side leave nothing of two cores idle, and slow one down the least


def tiny(model_id: str = "tiny", /, **changes: Any) -> Body:
    """A spec that a node runs in the time that the framework takes to load; `changes` replace whole fields."""
    source = {"type": "Inline", "inline": {"config": json.dumps(TINY)}}
    inference = {"batchSizePerDevice": 2, "input": {"text": {"inputTokens": 16}}}
    return {
        "model": {"id": model_id, "source": source},
        "workload": {"type": "Inference", "inference": inference},
        "resources": {"gpusPerNode": 0, "cpu": TINY_CPU, "memory": "1Gi"},
        "measure": {"warmupIterations": 1, "windowSeconds": 1, "minIterations": 2},
        **changes,
    }


def benchmark(name: str, spec: Body) -> Body:
    """The whole manifest."""
    return {
        "apiVersion": "wattmark.dev/v1alpha1",
        "kind": "BenchmarkJob",
        "metadata": {"name": name},
        "spec": spec,
    }


def idle_pod(policy: str = "Always", **resources: str) -> Body:
    """The spec of a Pod that the restricted standard accepts and that no node can run: there is no such image."""
    container: Body = {
        "name": "main",
        "image": "nowhere.invalid/none",
        "resources": {"limits": resources, "requests": resources},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"restartPolicy": policy, "securityContext": security, "containers": [container]}


def condition(body: Body, kind: str) -> Body:
    """One condition; empty where it is not there."""
    return next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def holds(body: Body, kind: str) -> bool:
    """Whether a condition is True."""
    return bool(condition(body, kind).get("status") == "True")


def ended(body: Body) -> bool:
    """Whether a run is over."""
    return holds(body, "Complete") or holds(body, "Failed")


def outcome(body: Body) -> str:
    """How a run ended, as one word, or where it stands."""
    terminal = next((k for k in ("Complete", "Failed", "Running") if holds(body, k)), "Running")
    return str(condition(body, terminal).get("reason", "-"))


def results(body: Body) -> Body | None:
    """The figures, if there are any."""
    found: Body | None = body.get("status", {}).get("results")
    return found


class Space:
    """The lists of one namespace, each watched."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api, self.namespace = api, namespace
        self.benchmarks_path = f"{OURS}/namespaces/{namespace}/benchmarkjobs"
        self.jobs_path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
        self.pods_path = f"/api/v1/namespaces/{namespace}/pods"
        self.benchmarks = Recorder(api, self.benchmarks_path)
        self.jobs = Recorder(api, self.jobs_path)
        self.pods = Recorder(api, self.pods_path)
        self.events = Recorder(api, f"/api/v1/namespaces/{namespace}/events")

    def stop(self) -> None:
        for recorder in (self.benchmarks, self.jobs, self.pods, self.events):
            recorder.stop()

    def start(self, name: str, spec: Body | None = None) -> Body:
        """Create a BenchmarkJob."""
        return self.api.create(self.benchmarks_path, benchmark(name, tiny() if spec is None else spec))

    def benchmark_path(self, name: str) -> str:
        return f"{self.benchmarks_path}/{name}"

    def job_path(self, name: str) -> str:
        """The path of a BenchmarkJob's Job."""
        return f"{self.jobs_path}/{name}-run"

    def end(self, name: str, uid: str | None = None, seconds: float = SECONDS) -> Body:
        """The BenchmarkJob once its run is over."""

        def over(sight: Sight) -> bool:
            metadata = sight.body["metadata"]
            return metadata["name"] == name and uid in (None, metadata["uid"]) and ended(sight.body)

        return self.benchmarks.wait(f"{name} ended", over, seconds).body

    def says(self, name: str, kind: str, reason: str, uid: str | None = None) -> Sight:
        """The first version of a BenchmarkJob in which a condition has this reason; no other end is waited out."""

        def speaks(sight: Sight) -> bool:
            metadata, said = sight.body["metadata"], condition(sight.body, kind).get("reason")
            return metadata["name"] == name and uid in (None, metadata["uid"]) and (said == reason or ended(sight.body))

        found = self.benchmarks.wait(f"{name} says {kind} {reason}", speaks)
        assert condition(found.body, kind).get("reason") == reason, found.body["status"]["conditions"]
        return found

    def pod(self, name: str, seconds: float = SECONDS) -> Sight:
        """The first sight of a Pod of this BenchmarkJob's runs."""
        return self.pods.wait(f"a Pod of {name}", lambda s: of_run(s, name), seconds)

    def running(self, name: str, seconds: float = SECONDS) -> Sight:
        """The first sight of a Pod of this BenchmarkJob whose container runs."""
        return self.pods.wait(f"a running Pod of {name}", lambda s: of_run(s, name) and runs(s.body), seconds)


def states(sights: list[Sight]) -> list[Body]:
    """What the versions of one object say beside their progress, without repeats."""
    found: list[Body] = []
    for sight in sights:
        status = {k: v for k, v in sight.body.get("status", {}).items() if k != "progress"}
        status["summary"] = {k: v for k, v in status.get("summary", {}).items() if k != "progress"}
        if not found or found[-1] != status:
            found.append(status)
    return found


def of_run(sight: Sight, name: str) -> bool:
    """Whether a Pod is of this BenchmarkJob's runs."""
    return bool(sight.body["metadata"].get("labels", {}).get("wattmark.dev/name") == name)


def runs(pod: Body) -> bool:
    """Whether a Pod's container runs."""
    statuses = pod.get("status", {}).get("containerStatuses", [])
    return any("running" in s.get("state", {}) for s in statuses)


@contextmanager
def observed(api: Api, namespace: str) -> Iterator[Space]:
    """A Space for as long as the block lasts."""
    with ExitStack() as stack:
        space = Space(api, namespace)
        stack.callback(space.stop)
        yield space
