"""The cluster that is built from package registries: brought up, healed, and taken away."""

import http.client
import shutil
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.cluster import archive, leftovers, network, tools
from tests.cluster.api import Api
from tests.cluster.certificates import Certificates
from tests.cluster.failure import ClusterError
from tests.cluster.fleet import KWOK_PORT, kwok
from tests.cluster.paths import CONTAINERD_SOCKET, RUN, TOOLS, Cache
from tests.cluster.process import Processes, Program, boot_id
from tests.cluster.programs import ETCD_HEALTH_PORT, PAUSE_IMAGE, Programs
from tests.cluster.progress import Progress
from tests.cluster.shell import run

START_SECONDS = 60.0  # for each program; the slowest, the API server, takes 3 to 10 on two busy cores


class BuiltCluster:
    """One control plane and one node on this machine, as processes."""

    def __init__(self, cache: Cache, progress: Progress) -> None:
        self.cache = cache
        self.api = Api(Certificates(cache.state / "certificates"))
        self._progress = progress
        self._certificates = Certificates(cache.state / "certificates")
        self._processes = Processes(RUN / "processes", cache.logs)
        self._programs = Programs(cache, self._certificates)

    def runtime_up(self) -> None:
        """Bring up the container runtime alone: with it images can be built."""
        for module in ("pause", "containers"):
            self._build(module)
        with self._progress.step("start the container runtime"), self.cache.locked("cluster"):
            self._start_runtime()

    def control_plane_up(self) -> None:
        """Bring up everything else."""
        self._build("kubernetes")
        if tools.build_caches_unneeded(self.cache):
            with self._progress.step("delete Go's caches"):
                tools.drop_build_caches(self.cache)
        with self._progress.step("start the cluster"), self.cache.locked("cluster"):
            self._start_runtime()  # once more: while programs compiled, somebody may have killed it
            network.make_bridge()
            self._ensure(self._programs.etcd(), lambda: http_ok(f"http://127.0.0.1:{ETCD_HEALTH_PORT}/health"))
            self._ensure(self._programs.api_server(), self.api.ready)
            self._ensure(self._programs.controller_manager(), lambda: http_ok("https://127.0.0.1:10257/healthz"))
            self._ensure(self._programs.scheduler(), lambda: http_ok("https://127.0.0.1:10259/healthz"))
            self._ensure(self._programs.kubelet(), lambda: http_ok("http://127.0.0.1:10248/healthz"))
            self._ensure(self._programs.kube_proxy(), lambda: http_ok("http://127.0.0.1:10249/healthz"))
            wait_until(self.api.node_ready, 60, "the node is not Ready", self._processes.log("kubelet"))
            self.simulate()
            shutil.copyfile(self._certificates.kubeconfig("admin"), self.cache.kubeconfig)
            self.cache.kubeconfig.chmod(0o600)

    def down(self) -> list[str]:
        """Take away everything but the cache, and return the names of the sysctls that were put back."""
        with self.cache.locked("cluster"):
            for name in ("kwok", "kubelet", "kube-proxy", "kube-scheduler", "kube-controller-manager", "buildkitd"):
                self._processes.stop(name)
            leftovers.end_containers(self.cache)
            for name in reversed(self._processes.names()):
                self._processes.stop(name)
            leftovers.end_strays(self.cache)
            leftovers.unmount([RUN, self.cache.root])
            leftovers.remove_cgroups()
            network.remove()
            restored = network.restore_sysctls(RUN / "sysctls.json")
            leftovers.remove_outside(self.cache)
            for folder in (RUN, self.cache.state):
                shutil.rmtree(folder, ignore_errors=True)
        return restored

    def simulate(self, more_stages: Sequence[Path] = ()) -> None:
        """Run kwok, which keeps the simulated nodes Ready, with these stages beside our own."""
        program = kwok(self.cache, self._certificates, more_stages)
        self._ensure(program, lambda: http_ok(f"http://127.0.0.1:{KWOK_PORT}/healthz"))

    def status(self) -> dict[str, bool]:
        """Return every recorded program and whether it runs."""
        return {name: self._processes.running(name) for name in self._processes.names()}

    def _build(self, module: str) -> None:
        if not tools.built(self.cache, module):
            step = self._progress.step(f"build {module} ({len(TOOLS[module])} programs)")
            with step, self.cache.locked("build"):
                tools.build(self.cache, module)

    def _start_runtime(self) -> None:
        self._prepare()
        fresh = not (self.cache.state / "etcd").exists()
        if self._ensure(self._programs.containerd(), containerd_answers) and fresh:
            self._forget_containers()
        self._import_pause()

    def _prepare(self) -> None:
        boot = RUN / "boot"
        if boot.exists() and boot.read_text() != boot_id():
            shutil.rmtree(RUN)  # where /run is no tmpfs: sockets and records from before a reboot
        owner = RUN / "cache"
        if owner.exists() and owner.read_text() != str(self.cache.root):
            raise ClusterError(
                f"a cluster of another cache folder runs here: {owner.read_text()}",
                f"stop it first: WATTMARK_CACHE={owner.read_text()} make demo-down",
            )
        RUN.mkdir(parents=True, exist_ok=True, mode=0o711)
        boot.write_text(boot_id())
        owner.write_text(str(self.cache.root))
        leftovers.record_outside(self.cache)
        network.record_sysctls(RUN / "sysctls.json")
        self._certificates.make()
        self._programs.write()

    def _ensure(self, program: Program, ready: Callable[[], bool]) -> bool:
        return self._processes.ensure(program, ready, START_SECONDS)

    def _forget_containers(self) -> None:
        """Delete the records of an earlier cluster's containers: a new kubelet would know none of them."""
        old = self.ctr("containers", "list", "--quiet").split()
        if old:
            self.ctr("containers", "delete", *old)
            # The runtime has read them at its start.
            self._processes.stop("containerd")
            self._ensure(self._programs.containerd(), containerd_answers)

    def _import_pause(self) -> None:
        if PAUSE_IMAGE in self.ctr("images", "list", "--quiet").split():
            return
        target = self.cache.images / "pause.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        archive.pause_image(Path(self.cache.tool("pause")), PAUSE_IMAGE, target)
        self.ctr("images", "import", str(target))
        self.ctr("images", "label", PAUSE_IMAGE, "io.cri-containerd.pinned=pinned")

    def ctr(self, *arguments: str) -> str:
        """Run containerd's client in the kubelet's namespace."""
        return run([self.cache.tool("ctr"), "--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io", *arguments])


def containerd_answers() -> bool:
    """Say whether the container runtime accepts connections."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(CONTAINERD_SOCKET))
        except OSError:
            return False
    return True


def http_ok(url: str) -> bool:
    """Say whether a health address on loopback answers 200."""
    # Controller manager and scheduler sign their own certificates; nothing secret is sent to them here.
    context = ssl._create_unverified_context()
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, http.client.HTTPException):
        return False


def wait_until(true: Callable[[], bool], seconds: float, what: str, log: Path) -> None:
    """Wait for a condition; raises ClusterError that names the log."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} after {seconds:.0f} s", f"see {log}")
        time.sleep(0.2)
