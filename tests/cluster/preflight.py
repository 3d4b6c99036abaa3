"""What the machine must have, checked before anything is done, each with its remedy."""

import os
import platform
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.failure import ClusterError
from tests.cluster.leftovers import running
from tests.cluster.paths import Cache
from tests.cluster.shell import run, succeeds

GIB = 1 << 30
# Measured: Go's caches 6, programs 1, runner image 15 (BuildKit's layers, blobs and unpacked), and what uv holds
# meanwhile 6. A second start writes logs and container layers only.
COLD_BYTES = 30 * GIB
WARM_BYTES = 5 * GIB
# Program -> Debian package that brings it.
PROGRAMS = {
    "debootstrap": "debootstrap",
    "ip": "iproute2",
    "nft": "nftables",
    "openssl": "openssl",
    "runc": "runc",
}


def check(cache: Cache) -> None:
    """Raise ClusterError for the first thing that is missing and that we cannot or may not bring ourselves."""
    require_debian(Path("/etc/os-release").read_text(), platform.machine())
    require_root(os.geteuid())
    require_disk(cache)
    require_no_other_kubelet(cache)
    if not succeeds(["python3", "-c", "import ensurepip, venv"]):
        raise ClusterError("Python's venv module is missing", "apt-get install python3-venv")


def require_debian(release: str, machine: str) -> None:
    """Raise ClusterError unless this is Debian 12 on x86-64, the one system without Docker that was tried."""
    fields = dict(line.split("=", 1) for line in release.splitlines() if "=" in line)
    name = fields.get("ID", "").strip('"'), fields.get("VERSION_ID", "").strip('"')
    if name != ("debian", "12") or machine != "x86_64":
        raise ClusterError(
            f"without Docker, a cluster is built on Debian 12 (x86-64) only; this is {' '.join(name)} on {machine}",
            "install a Docker engine and kind, or use your kubeconfig's cluster: CLUSTER=current make demo",
        )


def require_root(user: int) -> None:
    """Raise ClusterError for anyone else: network, mounts and containers are made."""
    if user != 0:
        raise ClusterError(
            "root is needed to make networks, mounts and containers",
            "run the same command as root, for example with sudo -E",
        )


def require_disk(cache: Cache) -> None:
    """Raise ClusterError when the disk of the cache folder has too little space."""
    cold = not (cache.images / "runner.inputs").exists()
    place = next(folder for folder in (cache.root, *cache.root.parents) if folder.exists())
    message = disk_objection(shutil.disk_usage(place).free, COLD_BYTES if cold else WARM_BYTES, cache.root)
    if message:
        raise ClusterError(message, "free some, or name another folder: WATTMARK_CACHE=/large/disk/wattmark make demo")


def disk_objection(free: int, wanted: int, folder: Path) -> str | None:
    """Return what is wrong with so many free bytes, or nothing."""
    if free >= wanted:
        return None
    return f"{folder} has {free / GIB:.1f} GiB of free space, and {wanted / GIB:.0f} GiB are needed"


def require_no_other_kubelet(cache: Cache) -> None:
    """Raise ClusterError when a kubelet that is not ours runs: the two would share cgroups and ports."""
    names = {"kubelet", "k3s", "k0s"}
    ours = {identity.pid for identity in running(cache, {"kubelet"})}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "exe").readlink().name
        except OSError:
            continue
        if name in names and int(process.name) not in ours:
            raise ClusterError(
                f"{name} (process {process.name}) already runs on this machine",
                "use its cluster: CLUSTER=current make demo",
            )


def install_packages(cache: Cache) -> None:
    """Install the Debian packages whose programs are missing, and remember their names for `down`."""
    wanted = missing()
    log = cache.logs / "apt.log"
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update"], env=environment, log=log)
    run(["apt-get", "install", "--yes", "--no-install-recommends", *wanted], env=environment, log=log)
    record = installed_record(cache)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("\n".join(sorted({*installed(cache), *wanted})) + "\n")


def missing() -> list[str]:
    """List the Debian packages that this machine lacks."""
    return missing_packages(PROGRAMS, os.environ.get("PATH", ""))


def missing_packages(programs: Mapping[str, str], path: str) -> list[str]:
    """List the packages whose programs neither PATH nor the system's own folders hold."""
    places = f"{path}:/usr/local/sbin:/usr/sbin:/sbin"
    return sorted({package for program, package in programs.items() if not shutil.which(program, path=places)})


def installed(cache: Cache) -> list[str]:
    """List the Debian packages that we ever installed here."""
    record = installed_record(cache)
    return record.read_text().split() if record.exists() else []


def installed_record(cache: Cache) -> Path:
    """Return the file that remembers them."""
    return cache.root / "debian-packages"
