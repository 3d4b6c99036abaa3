"""Finds what a cluster leaves behind when its parts were killed: containers, shims, mounts, cgroups, files."""

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.cluster.paths import RUN, TOOLS, Cache
from tests.cluster.process import Identity, end, identify
from tests.cluster.shell import succeeds

CGROUPS = Path("/sys/fs/cgroup")
# Created by containerd, the CNI library and the kubelet at places that no setting of theirs moves.
OUTSIDE = (
    "/etc/cni",
    "/opt/cni",
    "/opt/containerd",
    "/run/buildkit",
    "/run/containerd",
    "/usr/libexec/kubernetes",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
)
CONTAINER_SECONDS = 2.0


def record_outside(cache: Cache) -> None:
    """Keep the list of outside folders that were there before us; only the others are ever deleted."""
    record = cache.root / "outside.json"
    if not record.exists():
        record.write_text(json.dumps([path for path in OUTSIDE if Path(path).exists()]))


def remove_outside(cache: Cache) -> None:
    """Delete the outside folders that the cluster made."""
    record = cache.root / "outside.json"
    if not record.exists():
        return
    kept = json.loads(record.read_text())
    mine = [Path(path) for path in OUTSIDE if path not in kept]
    unmount(mine)
    for path in mine:
        shutil.rmtree(path, ignore_errors=True)
    record.unlink()


def end_containers(cache: Cache) -> None:
    """End every process in the kubelet's cgroups, then the shims, whose parent may be long gone."""
    inside = [identity for cgroup in cgroups("kubepods") for identity in members(cgroup)]
    end(inside, CONTAINER_SECONDS)
    end(running(cache, {"containerd-shim-runc-v2"}), CONTAINER_SECONDS)


def end_strays(cache: Cache) -> None:
    """End daemons that run from our binaries without a record, for example when the records were deleted."""
    daemons = {tool for tools in TOOLS.values() for tool in tools} - {"ctr", "buildctl", "kubectl", "helm"}
    end(running(cache, daemons), CONTAINER_SECONDS)


def running(cache: Cache, names: set[str]) -> list[Identity]:
    """Find processes of this cluster: the program is one of these, built by us, and it was told to use our folders.

    The second condition spares a program of ours that somebody runs for another purpose.
    """
    folders = (str(RUN), str(cache.state))
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            program = (process / "exe").readlink()
            name = program.name.removesuffix(" (deleted)")
            command = (process / "cmdline").read_text(errors="replace")
            told = any(folder in command for folder in folders)
            if name in names and told and program.is_relative_to(cache.root / "bin"):
                found.append(identify(int(process.name)))
    return [identity for identity in found if identity is not None]


def cgroups(name: str) -> list[Path]:
    """List the cgroups of this name below the root: one in version 2, one a controller in version 1."""
    return [path for pattern in (name, f"*/{name}") for path in CGROUPS.glob(pattern) if path.is_dir()]


def members(cgroup: Path) -> Iterator[Identity]:
    """Find the processes in a cgroup and below."""
    for listing in cgroup.rglob("cgroup.procs"):
        with contextlib.suppress(OSError):
            for pid in listing.read_text().split():
                identity = identify(int(pid))
                if identity is not None:
                    yield identity


def remove_cgroups() -> None:
    """Remove the empty cgroups of kubelet and BuildKit, deepest first."""
    for root in [*cgroups("kubepods"), *cgroups("buildkit")]:
        folders = [path for path in root.rglob("*") if path.is_dir()]
        for folder in [*sorted(folders, key=lambda path: len(path.parts), reverse=True), root]:
            with contextlib.suppress(OSError):
                folder.rmdir()


def unmount(folders: Sequence[Path]) -> None:
    """Unmount everything in these folders, last mounted first."""
    inside = mounts_inside(Path("/proc/self/mountinfo").read_text(), folders)
    for mount in reversed(inside):
        if not succeeds(["umount", mount]):
            succeeds(["umount", "--lazy", mount])


def mounts_inside(mountinfo: str, folders: Sequence[Path]) -> list[str]:
    """Return the mount points in these folders, in the order of mounting (see proc(5), mountinfo)."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines()]
    return [point for point in points if any(Path(point).is_relative_to(folder) for folder in folders)]
