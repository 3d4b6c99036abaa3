"""The two images, built from their ordinary Dockerfiles straight into the node's image store."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.cluster import archive, leftovers
from tests.cluster.machine import authorities, settings
from tests.cluster.paths import BUILDKIT_SOCKET, CONTAINERD_SOCKET, ROOT, RUN, Cache, digest_of
from tests.cluster.process import Processes, Program
from tests.cluster.shell import run, succeeds

SUITE = "bookworm"
BASE_PACKAGES = ("python3", "python3-venv", "ca-certificates")
BASE_IMAGE = f"localhost/wattmark-base:{SUITE}"
UNUSED = ("usr/share/man", "usr/share/info", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
SHARED_INPUTS = (".dockerignore", "LICENSE", "pyproject.toml", "requirements/build.txt")
# The runner's dependencies are 6 GB as a layer; with another lock file the older layer goes first.
KEPT_MEGABYTES = "10000"
CTR = ("--address", str(CONTAINERD_SOCKET), "--namespace", "k8s.io")
SOURCES = ("operator/wattmark", "runner_image/wattmark_runner")


@dataclass(frozen=True)
class Image:
    """An image of ours and what it is built from."""

    name: str
    dockerfile: str
    lock: str

    @property
    def reference(self) -> str:
        """Return the name under which the node has it."""
        return f"localhost/wattmark-{self.name}:dev"

    def inputs(self) -> list[Path]:
        """List every file that the build reads; both images hold the whole distribution."""
        files = [ROOT / name for name in (self.dockerfile, self.lock, *SHARED_INPUTS)]
        sources = [path for folder in SOURCES for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts]
        return [path for path in (*files, *sorted(sources)) if path.is_file()]


OPERATOR = Image("operator", "operator/Dockerfile", "requirements/operator.txt")
RUNNER = Image("runner", "runner_image/Dockerfile", "requirements/runner.txt")
IMAGES = (OPERATOR, RUNNER)


class Builder:
    """Builds images by BuildKit, which uses the node's container runtime and image store."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._processes = Processes(RUN / "processes", cache.logs)

    def has_base(self) -> bool:
        """Say whether the local base system's archive is there."""
        return (self._cache.images / "base.tar").exists()

    def base(self) -> None:
        """Make the archive of the local base system: Debian's smallest, with Python."""
        if self.has_base():
            return
        target = self._cache.images / "base.tar"
        root = self._cache.images / "base"
        leftovers.unmount([root])  # debootstrap mounts /proc in there; killed, it leaves it
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        log = self._cache.logs / "base.log"
        mirror = apt_mirror()
        include = f"--include={','.join(BASE_PACKAGES)}"
        run(["debootstrap", "--variant=minbase", include, SUITE, str(root), *([mirror] if mirror else [])], log=log)
        for name in UNUSED:
            shutil.rmtree(root / name, ignore_errors=True)
        layer = self._cache.images / "base.layer"
        left_out = [f"--exclude=./{name}/*" for name in ("dev", "proc", "sys")]
        run(["tar", "--numeric-owner", *left_out, "-C", str(root), "-cf", str(layer), "."])
        shutil.rmtree(root)
        partial = target.with_suffix(".partial")
        archive.write_image(layer, {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]}, BASE_IMAGE, partial)
        layer.unlink()
        partial.rename(target)

    def build(self, image: Image, detail: Callable[[str], None]) -> bool:
        """Build the image unless the one that is there was built from these very files; say whether it was built."""
        digest = digest_of(image.inputs())
        record = self._cache.images / f"{image.name}.inputs"
        there = self._ctr("images", "list", "--quiet").split()
        if image.reference in there and record.exists() and record.read_text() == digest:
            return False
        self.base()
        if BASE_IMAGE not in there:
            self._ctr("images", "import", str(self._cache.images / "base.tar"))
        self._start()
        try:
            self._prune()  # what the last build still held when it was pruned
            self._buildctl(image, detail)
            self._prune()
        finally:
            self._processes.stop("buildkitd")
        # The kubelet deletes unused images when the disk fills, and these come from no registry.
        self._ctr("images", "label", image.reference, "io.cri-containerd.pinned=pinned")
        record.write_text(digest)
        self._forget_old_images()
        return True

    def layer_bytes(self, image: Image) -> list[int]:
        """Return the compressed size of each layer in bytes, the base system's first."""
        reference = f"name=={image.reference}"
        digest = self._ctr("images", "list", reference).splitlines()[1].split()[2]
        manifest = json.loads(self._ctr("content", "get", digest))
        return [layer["size"] for layer in manifest["layers"]]

    def _prune(self) -> None:
        run([*buildctl(self._cache), "prune", "--all", "--keep-storage", KEPT_MEGABYTES])

    def _forget_old_images(self) -> None:
        """Delete earlier builds: the runtime keeps each under its digest as a name, and with it its layers."""
        listed = [line.split()[:3] for line in self._ctr("images", "list").splitlines()[1:]]
        named = {digest for name, _, digest in listed if not name.startswith("sha256:")}
        old = [name for name, _, digest in listed if digest not in named]
        if old:
            self._ctr("images", "delete", "--sync", *old)  # and wait for the runtime to free the disk

    def _start(self) -> None:
        config = self._cache.state / "config" / "buildkitd.toml"
        config.parent.mkdir(parents=True, exist_ok=True)
        config.write_text(buildkit_config(self._cache))
        env = {"PATH": self._cache.path_variable(), "HOME": str(self._cache.state)}
        program = Program("buildkitd", [self._cache.tool("buildkitd"), "--config", str(config)], env)
        workers = [*buildctl(self._cache), "debug", "workers"]
        self._processes.ensure(program, lambda: succeeds(workers), 60)

    def _buildctl(self, image: Image, detail: Callable[[str], None]) -> None:
        secrets = self._cache.state / "secrets"
        secrets.mkdir(parents=True, exist_ok=True, mode=0o700)
        mounted = write_secrets(secrets, os.environ)
        log = self._cache.logs / f"image-{image.name}.log"
        log.unlink(missing_ok=True)
        try:
            run(build_command(self._cache, image, mounted), log=log, watch=detail)
        finally:
            shutil.rmtree(secrets)

    def _ctr(self, *arguments: str) -> str:
        return run([self._cache.tool("ctr"), *CTR, *arguments])


def buildctl(cache: Cache) -> list[str]:
    """Return BuildKit's client, told where the daemon is."""
    return [cache.tool("buildctl"), "--addr", f"unix://{BUILDKIT_SOCKET}"]


def build_command(cache: Cache, image: Image, secrets: Mapping[str, Path]) -> list[str]:
    """Return the build as one command line."""
    mounted = [word for name, path in secrets.items() for word in ("--secret", f"id={name},src={path}")]
    output = f"type=image,name={image.reference},unpack=true,compression=zstd,compression-level=1,oci-mediatypes=true"
    return [
        *("nice", *buildctl(cache), "build", "--progress", "plain"),
        *("--frontend", "dockerfile.v0", "--local", f"context={ROOT}"),
        *("--local", f"dockerfile={(ROOT / image.dockerfile).parent}"),
        *("--opt", f"build-arg:BASE={BASE_IMAGE}", "--opt", "image-resolve-mode=local"),
        # There is no network but the host's while the cluster is not up.
        *("--allow", "network.host", "--opt", "force-network-mode=host"),
        *mounted,
        *("--output", output),
    ]


def buildkit_config(cache: Cache) -> str:
    """Return BuildKit's configuration: the node's containerd does the work and keeps the result."""
    return f"""\
root = "{cache.root}/buildkit"
insecure-entitlements = ["network.host"]

[grpc]
address = ["unix://{BUILDKIT_SOCKET}"]

[worker.oci]
enabled = false

[worker.containerd]
enabled = true
address = "{CONTAINERD_SOCKET}"
namespace = "k8s.io"
networkMode = "host"
snapshotter = "overlayfs"
"""


def write_secrets(folder: Path, environment: Mapping[str, str]) -> dict[str, Path]:
    """Write what the machine's package clients need, as files to be mounted while an image is built."""
    bundle = authorities(environment)
    machine = folder / "machine"
    machine.write_text(settings(environment, with_authorities=bundle is not None))
    return {"machine": machine} | ({"ca": bundle} if bundle else {})


def apt_mirror() -> str | None:
    """Return the address from which this machine takes Debian's packages, or nothing when it is not told."""
    targets = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"])
    for line in targets.splitlines():
        address, _, place = line.partition(" ")
        if place == f"{SUITE} main":
            return address
    return None
