"""The cluster of the current kubeconfig context: nothing is built, and no simulated nodes are added to it."""

import os
import shutil

from tests.cluster.failure import ClusterError
from tests.cluster.images import OPERATOR, RUNNER
from tests.cluster.paths import Cache
from tests.cluster.shell import run
from tests.cluster.targets import Access


class CurrentCluster:
    """Uses what kubectl uses; the images come from the registry that WATTMARK_REGISTRY names."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    def prepare(self) -> Access:
        """Check that the cluster answers."""
        access = self.access()
        run([access.kubectl, "version"])
        return access

    def access(self) -> Access:
        """Return the access; raises ClusterError when a program or the registry is not named."""
        registry = os.environ.get("WATTMARK_REGISTRY", "").rstrip("/")
        if not registry:
            raise ClusterError(
                "CLUSTER=current needs images that the cluster can pull, and WATTMARK_REGISTRY names no registry",
                "docker build -f operator/Dockerfile -t REGISTRY/wattmark-operator:dev . && docker push ..., "
                "the same for runner_image/Dockerfile and wattmark-runner, then "
                "CLUSTER=current WATTMARK_REGISTRY=REGISTRY make demo",
            )
        return self._of(registry)

    def without_images(self) -> Access:
        """Return the access of whoever installs nothing, and raises ClusterError for a missing program alone."""
        return self._of("")

    def _of(self, registry: str) -> Access:
        return Access(
            kubectl=program("kubectl", self._cache),
            helm=program("helm", self._cache),
            kubeconfig=None,
            operator_image=f"{registry}/wattmark-{OPERATOR.name}:dev",
            runner_image=f"{registry}/wattmark-{RUNNER.name}:dev",
            built_from="",
            simulated_nodes=False,
        )

    def down(self) -> list[str]:
        """Leave the cluster itself alone."""
        return ["the cluster of the current context is not ours: it stays as it is"]


def program(name: str, cache: Cache) -> str:
    """Return a program of the machine, or the one that we built."""
    found = shutil.which(name) or cache.tool(name)
    if not shutil.which(found):
        raise ClusterError(f"{name} is not on PATH", f"install {name}")
    return found
