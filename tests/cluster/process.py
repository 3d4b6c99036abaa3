"""Processes that outlive this program and are found again by id and start time."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.cluster.failure import ClusterError

HANG_SECONDS = 15.0  # a program that ran already and does not answer for so long is replaced
STOP_SECONDS = 10.0  # etcd and containerd end within one second of SIGTERM; after this they are killed

# The child writes its own record and then becomes the program, keeping id and start time: killed at any moment, this
# program leaves no process without a record.
RECORD_AND_EXEC = (
    "read -r boot < /proc/sys/kernel/random/boot_id && read -r line < /proc/$$/stat"
    ' && printf "%s\\n%s\\n" "$boot" "$line" > "$0" && exec "$@"'
)


@dataclass(frozen=True)
class Identity:
    """A process, told from any later one with the same id by its start time and boot."""

    pid: int
    start_ticks: int
    boot: str


@dataclass(frozen=True)
class Program:
    """A long-running program of the cluster."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]


def parse_stat(line: str) -> tuple[int, str, int]:
    """Return id, state letter and start time in clock ticks from a line of /proc/PID/stat (see proc(5))."""
    # The second field is the program's name in brackets, and may itself hold spaces and brackets.
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    return int(head.split(" ", 1)[0]), fields[0], int(fields[19])


def boot_id() -> str:
    """Return the kernel's name for this boot: start times count from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def alive(identity: Identity) -> bool:
    """Say whether exactly this process still runs; a zombie does not."""
    if identity.boot != boot_id():
        return False
    try:
        _, state, start_ticks = parse_stat(Path(f"/proc/{identity.pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return False
    return start_ticks == identity.start_ticks and state not in "ZX"


class Processes:
    """The recorded programs of one cluster."""

    def __init__(self, records: Path, logs: Path) -> None:
        self._records = records
        self._logs = logs

    def names(self) -> list[str]:
        """List the recorded programs, oldest first."""
        files = self._records.glob("*.stat") if self._records.is_dir() else ()
        return [path.stem for path in sorted(files, key=lambda path: path.stat().st_mtime)]

    def identity(self, name: str) -> Identity | None:
        """Return what was recorded of this program, or nothing."""
        try:
            boot, line = (self._records / f"{name}.stat").read_text().splitlines()
            pid, _, start_ticks = parse_stat(line)
        except (FileNotFoundError, ValueError, IndexError):
            return None
        return Identity(pid, start_ticks, boot)

    def running(self, name: str) -> bool:
        """Say whether the recorded process runs."""
        identity = self.identity(name)
        return identity is not None and alive(identity)

    def log(self, name: str) -> Path:
        """Return the file that the program's output goes to."""
        return self._logs / f"{name}.log"

    def ensure(self, program: Program, ready: Callable[[], bool], seconds: float) -> bool:
        """Start the program unless it runs as asked, wait until it is ready, and say whether it was started.

        One that runs but does not answer is started anew. Raises ClusterError with the end of the log when it ends
        early or is not ready in time.
        """
        command = self._records / f"{program.name}.json"
        wanted = json.dumps(asdict(program), sort_keys=True)
        if self.running(program.name) and command.exists() and command.read_text() == wanted:
            with contextlib.suppress(ClusterError):
                self._wait(program.name, ready, HANG_SECONDS)
                return False
        self.stop(program.name)
        self._start(program)
        command.write_text(wanted)
        self._wait(program.name, ready, seconds)
        return True

    def stop(self, name: str, seconds: float = STOP_SECONDS) -> None:
        """End the recorded process, politely first, and forget it."""
        identity = self.identity(name)
        if identity is not None:
            end([identity], seconds)
        for suffix in (".stat", ".json"):
            (self._records / f"{name}{suffix}").unlink(missing_ok=True)

    def _start(self, program: Program) -> None:
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        record = self._records / f"{program.name}.stat"
        with self.log(program.name).open("wb") as log:
            subprocess.Popen(
                ["/bin/sh", "-c", RECORD_AND_EXEC, str(record), *program.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(program.env),
                cwd="/",
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        while self.identity(program.name) is None:
            if time.monotonic() > deadline:
                raise ClusterError(f"{program.name} did not start", f"see {self.log(program.name)}")
            time.sleep(0.01)

    def _wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running(name):
                raise ClusterError(f"{name} ended right after its start", self._last_words(name))
            if time.monotonic() > deadline:
                raise ClusterError(f"{name} was not ready within {seconds:.0f} s", self._last_words(name))
            time.sleep(0.1)

    def _last_words(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-8:] if log.exists() else []
        return "\n".join([*lines, f"whole log: {log}"])


def end(identities: Sequence[Identity], seconds: float) -> None:
    """Send SIGTERM, wait at most so many seconds, then SIGKILL what is left."""
    _signal(identities, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while any(alive(one) for one in identities) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(identities, signal.SIGKILL)
    deadline = time.monotonic() + STOP_SECONDS
    while any(alive(one) for one in identities) and time.monotonic() < deadline:
        time.sleep(0.05)


def identify(pid: int) -> Identity | None:
    """Return the identity of a live process."""
    try:
        _, _, start_ticks = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Identity(pid, start_ticks, boot_id())


def _signal(identities: Sequence[Identity], number: signal.Signals) -> None:
    for identity in identities:
        if alive(identity):
            with contextlib.suppress(ProcessLookupError):
                os.kill(identity.pid, number)
