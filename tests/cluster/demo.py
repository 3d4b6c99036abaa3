"""make demo: from nothing to figures, showing what is being done all the while."""

import time
from collections.abc import Sequence
from typing import Any

from tests.cluster import install
from tests.cluster.failure import ClusterError
from tests.cluster.progress import Progress
from tests.cluster.targets import Access, Target

EXAMPLES_SECONDS = 900.0
POLL_SECONDS = 1.0
STEP = "run the examples"


def demo(target: Target, progress: Progress) -> None:
    """Bring the cluster up, run the examples, and print what they found; raises ClusterError when one fails."""
    access = target.prepare()
    with progress.step("install the operator"):
        install.add_fleet(access)
        install.install_chart(access)
    with progress.step(STEP):
        install.apply_examples(access)
        found = watch(access, progress)
    for line in closing(access, found):
        progress.say(line)
    progress.say(f"\nthe demo took {progress.elapsed_seconds() / 60:.1f} minutes")
    failed = [f"{name(one)}: {failure_of(one)}" for one in found if failure_of(one)]
    if failed:
        raise ClusterError("an example failed", "\n".join(failed))


def watch(access: Access, progress: Progress) -> list[dict[str, Any]]:
    """Wait until every example has ended, saying what each running one is at."""
    deadline = time.monotonic() + EXAMPLES_SECONDS
    while True:
        found = install.resources(access)
        if found and all(ended(one) for one in found):
            return found
        progress.detail(STEP, situation(found))
        if time.monotonic() > deadline:
            raise ClusterError(f"the examples did not end within {EXAMPLES_SECONDS:.0f} s", situation(found))
        time.sleep(POLL_SECONDS)


def ended(resource: dict[str, Any]) -> bool:
    """Say whether a BenchmarkJob has ended or a ModelCheck has been answered, in its present form."""
    status = resource.get("status", {})
    if status.get("observedGeneration") != resource["metadata"]["generation"]:
        return False
    return any(condition(resource, kind) == "True" for kind in ("Complete", "Failed", "Evaluated"))


def failure_of(resource: dict[str, Any]) -> str | None:
    """Return the reason and message of a BenchmarkJob that failed."""
    for one in resource.get("status", {}).get("conditions", []):
        if one["type"] == "Failed" and one["status"] == "True":
            return f"{one['reason']}: {one['message']}"
    return None


def condition(resource: dict[str, Any], kind: str) -> str | None:
    """Return the status of a condition, if it is there."""
    conditions = resource.get("status", {}).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == kind), None)


def situation(resources: Sequence[dict[str, Any]]) -> str:
    """Return one line: how many have ended, and how far those that run are."""
    done = sum(ended(one) for one in resources)
    running = [text for one in resources if not ended(one) and (text := progress_of(one))]
    waiting = len(resources) - done - len(running)
    return ", ".join([f"{done} of {len(resources)} ended", *([f"{waiting} waiting"] if waiting else []), *running])


def progress_of(resource: dict[str, Any]) -> str | None:
    """Return a running benchmark's own words: what it does, percent, and remaining time."""
    progress = resource.get("status", {}).get("progress")
    if not progress:
        return None
    text = f"{resource['metadata']['name']} {progress['phase']} {progress['percent']} %"
    remaining = progress.get("remainingSeconds")
    return text if remaining is None else f"{text}, {remaining:.0f} s left"


def closing(access: Access, found: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the demo ends with: both tables, one whole status, the kubeconfig, and commands to try."""
    place = ("--namespace", install.EXAMPLES_NAMESPACE)
    lines = []
    for kind in ("benchmarkjobs", "modelchecks"):
        lines += ["", f"$ kubectl get {kind} {' '.join(place)}", install.kubectl(access, "get", kind, *place).rstrip()]
    complete = [one for one in found if condition(one, "Complete") == "True"]
    if complete:
        chosen = complete[0]["metadata"]["name"]
        whole = install.kubectl(access, "get", "benchmarkjob", chosen, *place, "--output", "yaml")
        lines += ["", f"the status of benchmarkjob {chosen}:", "status:" + whole.partition("\nstatus:")[2].rstrip()]
    return [*lines, *commands(access, complete[0]["metadata"]["name"] if complete else "NAME")]


def commands(access: Access, example: str) -> list[str]:
    """Return the environment to use and three commands to try."""
    place = f"--namespace {install.EXAMPLES_NAMESPACE}"
    return [
        "",
        *([f"export KUBECONFIG={access.kubeconfig}"] if access.kubeconfig else []),
        "and try:",
        f"  {access.kubectl} get nodes -L nvidia.com/gpu.product,nvidia.com/gpu.count,wattmark.dev/simulated",
        f"  {access.kubectl} describe benchmarkjob {example} {place}",
        f"  {access.kubectl} explain benchmarkjob.status.results --recursive",
    ]


def name(resource: dict[str, Any]) -> str:
    """Return kind and name."""
    return f"{resource['kind']} {resource['metadata']['name']}"
