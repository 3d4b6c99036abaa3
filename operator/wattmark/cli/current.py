"""The nodes and Pods of the cluster that kubectl speaks to, through kubectl: its login, its context, its proxy."""

import json
import subprocess
import sys
from typing import Any

from wattmark.cli.manifest import objects
from wattmark.fleet.nodes import SeenGpuPod, SeenNode, read_gpu_pod, read_node
from wattmark.observe import clean

LIVE = "--field-selector=status.phase!=Succeeded,status.phase!=Failed"


class ClusterUnread(Exception):  # noqa: N818 - the cluster's, not ours
    """The nodes cannot be read; the message says what kubectl said."""


def nodes_of(context: str | None) -> list[SeenNode]:
    """The cluster's nodes. Raises ClusterUnread."""
    return [read_node(body) for body in _listed(context, "nodes")]


def gpu_pods_of(context: str | None) -> list[SeenGpuPod] | None:
    """What Pods have taken of the cluster's GPUs; None, and a note, where the user may not list them."""
    try:
        bodies = _listed(context, "pods", "--all-namespaces", LIVE)
    except ClusterUnread as unread:
        print(f"wattmark: what is free now is not known: {unread}", file=sys.stderr)
        return None
    return [pod for body in bodies if (pod := read_gpu_pod(body)) is not None]


def _listed(context: str | None, *what: str) -> list[dict[str, Any]]:
    command = ["kubectl", *(["--context", context] if context else []), "get", *what, "--output=json"]
    said = " ".join(command)
    try:
        answer = subprocess.run(command, capture_output=True, check=False)
    except OSError as error:
        raise ClusterUnread(
            f"{said}: {error.strerror}; give --gpu, or --nodes with the output of kubectl get nodes -o yaml"
        ) from error
    if answer.returncode:
        # What stands before the last line repeats it, for each attempt.
        words = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2] or f"exit code {answer.returncode}"
        raise ClusterUnread(f"{said}: {clean(words)}")
    return objects([json.loads(answer.stdout)], said)
