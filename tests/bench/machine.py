"""Where figures were taken, and what a process has used: a figure without these is none."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def described(api_server: str | None) -> str:
    """The machine, its load and the versions that matter, in one line."""
    models = [line.split(":", 1)[1].strip() for line in _lines("cpuinfo") if line.startswith("model name")]
    memory_kib = next(int(line.split()[1]) for line in _lines("meminfo") if line.startswith("MemTotal"))
    packages = ", ".join(f"{name} {version(name)}" for name in ("kopf", "kubernetes", "aiohttp", "pydantic"))
    return (
        f"{len(models)} x {models[0] if models else platform.machine()}, {memory_kib / 2**20:.0f} GiB, "
        f"load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, {packages}"
        + (f"; API server {api_server}" if api_server else "")
    )


def _lines(name: str) -> list[str]:
    return (PROC / name).read_text().splitlines()


@dataclass(frozen=True)
class Used:
    """What a process has used so far."""

    cpu_seconds: float
    resident_bytes: int


def used(pid: int) -> Used:
    """What the process has used; raises OSError where there is none."""
    # The command's name may hold blanks: the fields are counted from the parenthesis after it.
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    resident = next(line for line in (PROC / str(pid) / "status").read_text().splitlines() if line.startswith("VmRSS"))
    return Used((int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND, int(resident.split()[1]) * 1024)


def started_at(pid: int) -> float:
    """When the process started, on the clock `time.clock_gettime(CLOCK_BOOTTIME)`, to a tick (10 ms)."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / TICKS_PER_SECOND


def operators() -> list[int]:
    """Processes of this machine, containers included, that run the operator."""
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # it ended meanwhile
        interpreted = words[0].rpartition("/")[2].startswith("python")
        if interpreted and (words[1].endswith("/wattmark-operator") or words[1:3] == ["-m", "wattmark"]):
            found.append(int(folder.name))
    return sorted(found)


def address(pid: int) -> str:
    """The IPv4 address of the process's own network; raises ValueError where it shares the machine's."""
    local = set()
    last = ""
    for line in (PROC / str(pid) / "net" / "fib_trie").read_text().splitlines():
        if "|--" in line:
            last = line.split()[1]
        elif "/32 host LOCAL" in line and not last.startswith("127."):
            local.add(last)
    if len(local) != 1:
        raise ValueError(f"process {pid} has {len(local)} addresses")
    return local.pop()
