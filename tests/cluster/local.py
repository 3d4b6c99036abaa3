"""The target for machines without Docker: the built cluster, with images from BuildKit."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

from tests.cluster import preflight
from tests.cluster.built import BuiltCluster
from tests.cluster.failure import ClusterError
from tests.cluster.images import IMAGES, OPERATOR, RUNNER, Builder
from tests.cluster.paths import Cache, digest_of
from tests.cluster.progress import Progress
from tests.cluster.targets import Access


class LocalCluster:
    """Brings up the built cluster with our images, doing at once what does not wait for each other."""

    def __init__(self, cache: Cache, progress: Progress) -> None:
        self.cluster = BuiltCluster(cache, progress)
        self._cache = cache
        self._progress = progress
        self._builder = Builder(cache)

    def check(self) -> None:
        """Check the machine, and install Debian packages that are missing."""
        with self._progress.step("check the machine"):
            preflight.check(self._cache)
        missing = preflight.missing()
        if missing:
            with self._progress.step(f"install Debian packages: {', '.join(missing)}"):
                preflight.install_packages(self._cache)

    def up(self) -> None:
        """Bring up the cluster alone."""
        self.check()
        self.cluster.runtime_up()
        self.cluster.control_plane_up()

    def images(self) -> None:
        """Build what changed, and print what each image weighs."""
        self.check()
        self.cluster.runtime_up()
        self._images()

    def prepare(self) -> Access:
        """Bring up the cluster with its images: while programs compile, the base system and torch are downloaded."""
        self.check()
        runtime = Event()
        with ThreadPoolExecutor(2) as both:
            control_plane = both.submit(self._cluster_up, runtime)
            images = both.submit(self._images_when, runtime)
            control_plane.result()
            images.result()
        return self.access()

    def access(self) -> Access:
        """Return the access to it."""
        if not self._cache.kubeconfig.exists():
            raise ClusterError("there is no cluster", "python3 -m tests.cluster up")
        return Access(
            kubectl=self._cache.tool("kubectl"),
            helm=self._cache.tool("helm"),
            kubeconfig=self._cache.kubeconfig,
            operator_image=OPERATOR.reference,
            runner_image=RUNNER.reference,
            built_from=digest_of([*OPERATOR.inputs(), *RUNNER.inputs()])[:16],
            simulated_nodes=True,
        )

    def down(self) -> list[str]:
        """Take it away, and say what was put back and what stays."""
        preflight.require_root(os.geteuid())
        restored = self.cluster.down()
        packages = preflight.installed(self._cache)
        return [
            "stopped every process, unmounted, deleted bridge, firewall tables and state",
            f"sysctls put back: {', '.join(restored) or 'none had changed'}",
            f"{self._cache.root} keeps programs and images for the next start; rm -rf it to be rid of them",
            *([f"Debian packages installed by us that stay: {' '.join(packages)}"] if packages else []),
        ]

    def _cluster_up(self, runtime: Event) -> None:
        try:
            self.cluster.runtime_up()
        finally:
            runtime.set()
        self.cluster.control_plane_up()

    def _images_when(self, runtime: Event) -> None:
        with self._cache.locked("images"):
            if not self._builder.has_base():
                with self._progress.step("make the base system"):
                    self._builder.base()
        runtime.wait()
        self._images()

    def _images(self) -> None:
        with self._cache.locked("images"):
            for image in IMAGES:
                name = f"{image.name} image"
                with self._progress.step(name):
                    built = self._builder.build(image, partial(self._progress.detail, name))
                mib = [size / (1 << 20) for size in self._builder.layer_bytes(image)]
                layers = " + ".join(f"{size:.1f}" for size in mib)
                verb = "built" if built else "unchanged"
                self._progress.say(f"    {image.reference}: {verb}, {sum(mib):.0f} MiB compressed (layers {layers})")
