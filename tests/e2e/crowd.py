"""Twenty BenchmarkJobs at once on one node: every example as it is, and as many tiny ones as make twenty."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import yaml
from tests.cluster.install import EXAMPLES
from tests.e2e.reach import Body
from tests.e2e.space import Space

MANIFESTS: dict[str, Body] = {
    d["metadata"]["name"]: d for p in sorted(EXAMPLES.glob("*.yaml")) for d in yaml.safe_load_all(p.read_text())
}
RUNS = [name for name, manifest in MANIFESTS.items() if manifest["kind"] == "BenchmarkJob"]
CHECKS = [name for name, manifest in MANIFESTS.items() if manifest["kind"] == "ModelCheck"]
TINY = [f"tiny-{number:02}" for number in range(20 - len(RUNS))]

END_SECONDS = 480.0


@dataclass(frozen=True)
class Crowd:
    """The namespace of the twenty, and what became of each: BenchmarkJobs that ended, ModelChecks that are answered."""

    space: Space
    ended: dict[str, Body]


def submitted(space: Space, kubectl: Callable[..., str]) -> Crowd:
    """The examples applied by kubectl and the tiny ones created at once, and all their ends waited for."""
    begun = time.monotonic()
    kubectl("apply", "--namespace", space.namespace, "--filename", str(EXAMPLES))
    for name in TINY:
        space.start(name)
    ended = {name: space.end(name, seconds=END_SECONDS) for name in (*RUNS, *TINY)}
    print(f"\ntwenty at once: all ended after {time.monotonic() - begun:.0f} s")
    checks = space.benchmarks_path.removesuffix("benchmarkjobs") + "modelchecks"
    for name in CHECKS:
        evaluated = ("--for=condition=Evaluated", f"--timeout={END_SECONDS:.0f}s")
        kubectl("wait", "--namespace", space.namespace, f"modelcheck/{name}", *evaluated)
        ended[name] = space.api.get(f"{checks}/{name}") or {}
    return Crowd(space, ended)
