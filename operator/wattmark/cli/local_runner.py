"""The runner as a process of this machine, as a kubelet would start and stop it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType
from typing import NoReturn

from wattmark.api.order import ORDER_VARIABLE, POD_UID_VARIABLE, REPORT_PATH_VARIABLE, RunOrder
from wattmark.api.report import REPORT_LIMIT_BYTES
from wattmark.cli.manifest import InvalidManifest

_PACKAGES = ("torch", "transformers", "accelerate", "peft", "safetensors")
_STOP_SECONDS = 10.0  # the runner answers SIGTERM at once, whatever it is in


@dataclass(frozen=True, slots=True)
class RunnerEnded:
    """How the process ended: seconds since the epoch, the exit code as a kubelet tells it, what it reported."""

    pid: int
    started: float
    exit_code: int
    report: str


def missing_packages() -> list[str]:
    """The packages that the runner needs and that are not installed here."""
    return [name for name in _PACKAGES if find_spec(name) is None]


def require_packages() -> None:
    """Raises InvalidManifest where packages that the runner needs are not installed."""
    missing = missing_packages()
    if missing:
        raise InvalidManifest(
            f"{', '.join(missing)} not installed; running a model needs the extra runner: "
            "pip install 'wattmark[runner]'"
        )


def run_here(order: RunOrder, pod_uid: str, told: Callable[[str], None]) -> RunnerEnded:
    """Run the order and wait for its end; `told` is given each line of its progress.

    The process is stopped before KeyboardInterrupt or SystemExit leaves here. Its report comes through a pipe: no disk
    can be full, and nothing stays behind.
    """
    require_packages()
    read, write = os.pipe()
    try:
        environment = {
            **os.environ,
            ORDER_VARIABLE: order.model_dump_json(by_alias=True, exclude_none=True),
            POD_UID_VARIABLE: pod_uid,
            REPORT_PATH_VARIABLE: f"/dev/fd/{write}",
        }
        started = time.time()
        process = subprocess.Popen(
            [sys.executable, "-m", "wattmark_runner"],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(write,),
            process_group=0,  # a terminal's Ctrl-C is this process's to answer
        )
        with process, _stopped_at_the_end(process):
            assert process.stdout is not None
            for line in process.stdout:
                told(line)
            code = process.wait()
        os.set_blocking(read, False)
        return RunnerEnded(process.pid, started, code if code >= 0 else 128 - code, _taken(read))
    finally:
        os.close(read)
        os.close(write)


@contextmanager
def _stopped_at_the_end(process: "subprocess.Popen[str]") -> Iterator[None]:
    """Whatever ends the block, and be it a signal to this process, the other one is over then."""

    def leave(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, leave) for number in signals}
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        for number in signals:
            signal.signal(number, before[number])


def _taken(read: int) -> str:
    """The report; empty if none was written. One byte more than allowed is enough to see that it is too long."""
    try:
        return os.read(read, REPORT_LIMIT_BYTES + 1).decode("utf-8", "replace")
    except BlockingIOError:
        return ""
