"""Where everything of the cluster lives, and the fixed names and addresses it uses."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
GO_MODULES = HERE / "go"
FLEET = HERE / "fleet"

NODE_NAME = "wattmark-node"
BRIDGE = "wattmark0"
NODE_ADDRESS = "10.244.0.1"
POD_NETWORK = "10.244.0.0/24"
SERVICE_NETWORK = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"
API_SERVER = f"https://{NODE_ADDRESS}:6443"
ETCD = "https://127.0.0.1:12379"

# The tools of each wrapper module. `containers` comes first: with it images are built while the rest still compiles.
TOOLS = {
    "pause": ("pause",),
    "containers": (
        "containerd",
        "containerd-shim-runc-v2",
        "ctr",
        "bridge",
        "host-local",
        "loopback",
        "buildctl",
        "buildkitd",
    ),
    "kubernetes": (
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "kubelet",
        "kubectl",
        "kwok",
        "helm",
    ),
}

# Sockets, namespaces and process records: on most machines this is a tmpfs, so a reboot forgets them as it forgets
# the processes. The path is short because the address of a Unix socket has at most 107 bytes.
RUN = Path("/run/wattmark")
CONTAINERD_SOCKET = RUN / "containerd.sock"
BUILDKIT_SOCKET = RUN / "buildkitd.sock"


@dataclass(frozen=True)
class Cache:
    """The one folder that outlives the cluster: binaries, images and the base system."""

    root: Path

    def binaries(self, module: str) -> Path:
        """Return the folder of a wrapper module's tools; other sources get a folder of their own."""
        return self.root / "bin" / f"{module}-{digest_of(go_sources(module))[:16]}"

    @property
    def go(self) -> Path:
        """Go's module and build caches, deleted after a successful build."""
        return self.root / "go"

    @property
    def containerd(self) -> Path:
        """The image store; the next `up` finds its images there."""
        return self.root / "containerd"

    @property
    def images(self) -> Path:
        """The base system, and for each image the digest of the inputs that it was built from."""
        return self.root / "images"

    @property
    def logs(self) -> Path:
        """One log a program; overwritten by its next start."""
        return self.root / "logs"

    @property
    def state(self) -> Path:
        """What belongs to the running cluster alone; `down` deletes it."""
        return self.root / "state"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's access."""
        return self.state / "kubeconfig"

    def tool(self, name: str) -> str:
        """Return the absolute path of a tool that we build."""
        module = next(module for module, tools in TOOLS.items() if name in tools)
        return str(self.binaries(module) / name)

    def path_variable(self) -> str:
        """Return a PATH that finds our tools first: containerd looks its shim and runc up in it."""
        ours = [str(self.binaries(module)) for module in TOOLS]
        return ":".join([*ours, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"])

    @contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Hold one of the cache's locks: of two commands at once, the second waits."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / f"{what}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def cache() -> Cache:
    """Return the cache that `WATTMARK_CACHE` names, or ~/.cache/wattmark."""
    return Cache(Path(os.environ.get("WATTMARK_CACHE") or Path.home() / ".cache" / "wattmark").resolve())


def go_sources(module: str) -> list[Path]:
    """List the files that decide what a module's tools are."""
    return sorted(path for path in (GO_MODULES / module).iterdir() if path.suffix in {".mod", ".sum", ".go"})


def digest_of(files: list[Path]) -> str:
    """Return the SHA-256 of names and contents, in the given order."""
    total = hashlib.sha256()
    for path in files:
        total.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()
