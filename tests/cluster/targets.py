"""Which cluster is used: the current context's, one of kind, or the one that is built here."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cluster.failure import ClusterError
from tests.cluster.shell import succeeds

CURRENT, KIND, BUILT = "current", "kind", "built"
CHOICES = (CURRENT, KIND, BUILT)


@dataclass(frozen=True)
class Access:
    """How to speak to a cluster, and where it finds our images."""

    kubectl: str
    helm: str
    kubeconfig: Path | None  # nothing: kubectl's own choice
    operator_image: str  # with its tag
    runner_image: str
    built_from: str  # changes with the images, so that the chart replaces the operator's Pod
    simulated_nodes: bool

    def environment(self) -> dict[str, str]:
        """Return the variables that kubectl and helm need; beside a kubeconfig of ours lie their caches too."""
        if self.kubeconfig is None:
            return {}
        folder = self.kubeconfig.parent / "clients"
        helm = {f"HELM_{kind}_HOME": str(folder / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")}
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(folder / "kubectl"), **helm}


class Target(Protocol):
    """A kind of cluster."""

    def prepare(self) -> Access:
        """Bring it up with our images, and return the access to it."""

    def access(self) -> Access:
        """Return the access to it as it is."""

    def down(self) -> list[str]:
        """Take it away, and return lines that say what was done and what stays."""


def choose(environment: Mapping[str, str], *, docker: bool, kind: bool) -> str:
    """Return which cluster to use: what CLUSTER says, else kind where it can run, else the built one."""
    wanted = environment.get("CLUSTER", "")
    if wanted and wanted not in CHOICES:
        raise ClusterError(f"CLUSTER={wanted} is unknown", f"use one of: {', '.join(CHOICES)}; or leave it out")
    if wanted == KIND and not (docker and kind):
        raise ClusterError("CLUSTER=kind needs a running Docker engine and the kind program", "start or install them")
    return wanted or (KIND if docker and kind else BUILT)


def docker_runs() -> bool:
    """Say whether a Docker engine answers."""
    return shutil.which("docker") is not None and succeeds(["docker", "info"])


def chosen() -> str:
    """Return which cluster to use on this machine."""
    return choose(os.environ, docker=docker_runs(), kind=shutil.which("kind") is not None)
