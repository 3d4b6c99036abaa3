"""What the cluster has that kubectl speaks to, through kubectl: its login, its context, its proxy."""

import json
import subprocess
import sys
from typing import Any

from wattmark.api.schema import GROUP
from wattmark.cli.manifest import objects
from wattmark.fleet.nodes import SeenGpuPod, SeenNode, read_gpu_pod, read_node
from wattmark.fleet.slices import SeenSlice, read_slice
from wattmark.observe import clean

SLICES = "resourceslices.v1.resource.k8s.io"
NOT_SERVED = "the server doesn't have a resource type"  # kubectl's words
LIVE = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"


class ClusterUnread(Exception):  # noqa: N818 - the cluster's, not ours
    """The nodes cannot be read; the message says what kubectl said."""


def nodes_of(context: str | None) -> list[SeenNode]:
    """The cluster's nodes. Raises ClusterUnread."""
    try:
        bodies = _listed(context, "nodes")
    except ClusterUnread as unread:
        raise ClusterUnread(
            f"{unread}; without a cluster give --gpu, or --nodes with the output of kubectl get nodes -o yaml"
        ) from unread
    return [read_node(body) for body in bodies]


def gpu_pods_of(context: str | None) -> list[SeenGpuPod] | None:
    """What Pods have taken of the cluster's GPUs; None, and a note, where the user may not list them."""
    try:
        bodies = _listed(context, "pods", "--all-namespaces", LIVE)
    except ClusterUnread as unread:
        print(f"wattmark: what is free now is not known: {unread}", file=sys.stderr)
        return None
    return [pod for body in bodies if (pod := read_gpu_pod(body)) is not None]


def slices_of(context: str | None) -> list[SeenSlice]:
    """The cluster's ResourceSlices; none, and a note, where the user may not list them; none where there are none."""
    try:
        bodies = _listed(context, SLICES)
    except ClusterUnread as unread:
        if NOT_SERVED not in str(unread):
            print(f"wattmark: GPUs that are offered by resource claim alone are not seen: {unread}", file=sys.stderr)
        return []
    return [one for body in bodies if (one := read_slice(body)) is not None]


def benchmarks_of(context: str | None) -> list[dict[str, Any]]:
    """BenchmarkJobs of the context's namespace; none, and a note, where they cannot be read."""
    try:
        return _listed(context, f"benchmarkjobs.{GROUP}")
    except ClusterUnread as unread:
        if NOT_SERVED not in str(unread):  # where Wattmark is not installed, nothing is missing
            print(f"wattmark: without what earlier runs say: {unread}", file=sys.stderr)
        return []


def _listed(context: str | None, *what: str) -> list[dict[str, Any]]:
    command = ["kubectl", *(["--context", context] if context else []), "get", *what, "--output=json"]
    said = " ".join(command)
    try:
        answer = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ClusterUnread(f"{said}: {error.strerror}") from error
    if answer.returncode:
        # What stands before the last line repeats it, for each attempt.
        words = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {answer.returncode}"
        raise ClusterUnread(f"{said}: {clean(words)}")
    try:
        return objects([json.loads(answer.stdout)], said)
    except ValueError as error:
        raise ClusterUnread(
            f"{said}: the answer is not JSON: {clean(answer.stdout[:64].decode(errors='replace'))}"
        ) from error
