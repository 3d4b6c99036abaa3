"""How many CPUs this process may use."""

import os
import sys
from math import ceil
from pathlib import Path

_QUOTA_V2 = Path("/sys/fs/cgroup/cpu.max")
_QUOTA_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
_PERIOD_V1 = Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us")


def usable_cpus() -> int:
    """CPUs by affinity, by the container's CPU limit and by OMP_NUM_THREADS, whichever is least; a part counts as one.

    More threads than the limit allows would be throttled in the middle of a measured iteration.
    """
    own = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "")
    bounds = [own, _read_quota(), int(asked) if asked.isdecimal() else None]
    return max(1, ceil(min(bound for bound in bounds if bound is not None)))


def quota_of(maximum: str, period: str) -> float | None:
    """CPUs that a cgroup's quota of microseconds in a period of microseconds amounts to; None if it has none."""
    try:
        cpus = float(maximum) / float(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cpus if cpus > 0 else None  # version 1 says -1 for no limit


def _read_quota() -> float | None:
    try:
        maximum, period = _QUOTA_V2.read_text("ascii").split()
    except (OSError, ValueError):
        try:
            maximum, period = _QUOTA_V1.read_text("ascii"), _PERIOD_V1.read_text("ascii")
        except (OSError, ValueError):
            return None
    return quota_of(maximum, period)


def cpu_model() -> str | None:
    """The CPU's name as the kernel tells it; None where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(filter(None, names), None)
