"""The stand-in's image, built and loaded by the means of the cluster that is used."""

import fcntl
from pathlib import Path

from tests.cluster.failure import ClusterError
from tests.cluster.images import Builder, Image
from tests.cluster.kind import KindCluster, image_commands
from tests.cluster.local import LocalCluster
from tests.cluster.paths import ROOT, cache
from tests.cluster.shell import run
from tests.cluster.targets import Target

FOLDER = "tests/faults/standin"


class StandIn(Image):
    """An image of three files, without a lock: it needs nothing but Python."""

    def inputs(self) -> list[Path]:
        """List every file that the build reads."""
        return [ROOT / FOLDER / name for name in ("Dockerfile", "Dockerfile.dockerignore", "runner.py")]


STANDIN = StandIn("standin", f"{FOLDER}/Dockerfile", "")


def provide(target: Target) -> str:
    """Build it, where that is not done, and return its name; raises ClusterError for a cluster that we cannot load."""
    if isinstance(target, KindCluster):
        for command in image_commands(STANDIN):
            run(command, log=cache().logs / "image-standin.log")
    elif isinstance(target, LocalCluster):
        with (cache().root / "images.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            Builder(cache()).build(STANDIN, lambda _: None)
    else:
        raise ClusterError("the stand-in runner cannot be loaded into this cluster", "CLUSTER=built or kind")
    return STANDIN.reference
