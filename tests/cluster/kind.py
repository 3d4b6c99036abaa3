"""The cluster that kind makes where a Docker engine runs."""

import shutil

from tests.cluster import tools
from tests.cluster.fleet import kwok_command
from tests.cluster.images import IMAGES, OPERATOR, RUNNER, Image
from tests.cluster.paths import ROOT, Cache, digest_of
from tests.cluster.process import Processes, Program
from tests.cluster.progress import Progress
from tests.cluster.shell import run
from tests.cluster.targets import Access

NAME = "wattmark"
CLIENTS = ("kubectl", "helm", "kwok")


class KindCluster:
    """A cluster in Docker containers; kwok runs beside it, as a process of this machine."""

    def __init__(self, cache: Cache, progress: Progress) -> None:
        self._cache = cache
        self._progress = progress
        # Not below /run: Docker's users need not be root.
        self._processes = Processes(cache.state / "processes", cache.logs)

    def prepare(self) -> Access:
        """Make the cluster unless it is there, and load both images into it."""
        if not tools.built(self._cache, "kubernetes", CLIENTS):
            with self._progress.step(f"build {', '.join(CLIENTS)}"), self._cache.locked("build"):
                tools.build(self._cache, "kubernetes", CLIENTS)
        with self._progress.step("start the kind cluster"):
            there = NAME in run(["kind", "get", "clusters"]).split()
            self._cache.state.mkdir(parents=True, exist_ok=True)
            for command in cluster_commands(self._cache, there=there):
                run(command, log=self._cache.logs / "kind.log")
        for image in IMAGES:
            with self._progress.step(f"build the {image.name} image"):
                for command in image_commands(image):
                    run(command, log=self._cache.logs / f"image-{image.name}.log")
        arguments = kwok_command(str(self._cache.kubeconfig), node_address="127.0.0.1")
        kwok = Program("kwok", [self._cache.tool("kwok"), *arguments], {"HOME": str(self._cache.state)})
        self._processes.ensure(kwok, lambda: True, 10)
        return self.access()

    def access(self) -> Access:
        """Return the access to it."""
        return Access(
            kubectl=shutil.which("kubectl") or self._cache.tool("kubectl"),
            helm=shutil.which("helm") or self._cache.tool("helm"),
            kubeconfig=self._cache.kubeconfig,
            operator_image=OPERATOR.reference,
            runner_image=RUNNER.reference,
            built_from=digest_of([*OPERATOR.inputs(), *RUNNER.inputs()])[:16],
            simulated_nodes=True,
        )

    def down(self) -> list[str]:
        """Delete the cluster."""
        self._processes.stop("kwok")
        run(["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", str(self._cache.kubeconfig)])
        shutil.rmtree(self._cache.state, ignore_errors=True)
        return [f"kind cluster {NAME} deleted; Docker keeps the images localhost/wattmark-operator and -runner"]


def cluster_commands(cache: Cache, *, there: bool) -> list[list[str]]:
    """Return the commands that end with a ready cluster and its kubeconfig."""
    kubeconfig = ["--kubeconfig", str(cache.kubeconfig)]
    if there:
        return [
            ["docker", "start", f"{NAME}-control-plane"],  # after a reboot of the machine it is stopped
            ["kind", "export", "kubeconfig", "--name", NAME, *kubeconfig],
        ]
    return [["kind", "create", "cluster", "--name", NAME, "--wait", "180s", *kubeconfig]]


def image_commands(image: Image) -> list[list[str]]:
    """Return the commands that build an image and load it into the cluster."""
    dockerfile = str(ROOT / image.dockerfile)
    return [
        ["docker", "buildx", "build", "--load", "--file", dockerfile, "--tag", image.reference, str(ROOT)],
        ["kind", "load", "docker-image", image.reference, "--name", NAME],
    ]
