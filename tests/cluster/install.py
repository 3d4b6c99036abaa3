"""Puts the fleet, the chart and the examples into a cluster."""

import contextlib
import json
import subprocess
from collections.abc import Mapping
from typing import Any

from tests.cluster.failure import ClusterError
from tests.cluster.fleet import manifests
from tests.cluster.paths import ROOT
from tests.cluster.shell import run
from tests.cluster.targets import Access

RELEASE = "wattmark"
NAMESPACE = "wattmark-system"
EXAMPLES = ROOT / "crds" / "examples"
EXAMPLES_NAMESPACE = "wattmark-demo"


def add_fleet(access: Access) -> None:
    """Add the simulated nodes, where the cluster is ours to add to."""
    if access.simulated_nodes:
        kubectl(access, "apply", "--filename", "-", text=manifests())


def install_chart(access: Access) -> None:
    """Install or upgrade the release, and wait until the operator is ready."""
    restrict(access, NAMESPACE)
    values = [word for name, value in chart_values(access).items() for word in ("--set-string", f"{name}={value}")]
    chart = str(ROOT / "helm" / "wattmark")
    wait = ["--wait", "--timeout", "120s"]
    if access.simulated_nodes:
        wait.append("--take-ownership")  # a cluster of ours: CRDs that a test applied by hand are no obstacle
    command = [access.helm, "upgrade", "--install", RELEASE, chart, "--namespace", NAMESPACE, *values, *wait]
    try:
        run(command, env=access.environment())
    except ClusterError as failure:
        raise ClusterError(str(failure), operators_words(access)) from failure


def chart_values(access: Access) -> dict[str, str]:
    """Return the values that name our images."""
    values: dict[str, str] = {}
    for name, reference in (("operator", access.operator_image), ("runner", access.runner_image)):
        repository, _, tag = reference.rpartition(":")
        values |= {f"image.{name}.repository": repository, f"image.{name}.tag": tag}
    if access.built_from:
        # The tag stays while the image changes; without a change of the Pod's template the old one would go on.
        values["podAnnotations.built-from"] = access.built_from
    return values


def operators_words(access: Access) -> str:
    """Return what the operator's Pods went through and said last, for the message about a failed installation."""
    place = ("--namespace", NAMESPACE)
    said = [kubectl(access, "get", "pods,events", *place, "--sort-by=.metadata.creationTimestamp")]
    for previous in ("--previous=false", "--previous=true"):
        with contextlib.suppress(ClusterError):  # no container yet, or none before it
            said.append(kubectl(access, "logs", f"deployment/{RELEASE}", *place, "--tail=15", previous))
    return "\n".join(said)


def apply_examples(access: Access) -> None:
    """Apply every example to a namespace that enforces the restricted Pod Security Standard."""
    if not any(EXAMPLES.glob("*.yaml")):
        raise ClusterError(f"{EXAMPLES} holds no examples")
    restrict(access, EXAMPLES_NAMESPACE)
    kubectl(access, "apply", "--namespace", EXAMPLES_NAMESPACE, "--filename", str(EXAMPLES))


def restrict(access: Access, namespace: str) -> None:
    """Make a namespace that admits only Pods of the restricted standard."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}}
    kubectl(access, "apply", "--filename", "-", text=json.dumps(manifest))


def resources(access: Access) -> list[dict[str, Any]]:
    """Return every object of both kinds in the examples' namespace."""
    listed = kubectl(access, "get", "benchmarkjobs,modelchecks", "--namespace", EXAMPLES_NAMESPACE, "--output", "json")
    found: list[dict[str, Any]] = json.loads(listed)["items"]
    return found


def remove(access: Access) -> None:
    """Delete what `install_chart` and `apply_examples` brought, for a cluster that is not ours to delete."""
    kubectl(access, "delete", "namespace", EXAMPLES_NAMESPACE, "--ignore-not-found")
    installed = [access.helm, "status", RELEASE, "--namespace", NAMESPACE]
    environment: Mapping[str, str] = access.environment()
    if subprocess.run(installed, capture_output=True, check=False).returncode == 0:
        run([access.helm, "uninstall", RELEASE, "--namespace", NAMESPACE, "--wait"], env=environment)
    kubectl(access, "delete", "namespace", NAMESPACE, "--ignore-not-found")


def kubectl(access: Access, *arguments: str, text: str | None = None) -> str:
    """Run kubectl against the cluster and return what it printed."""
    return run([access.kubectl, *arguments], env=access.environment(), text=text)
