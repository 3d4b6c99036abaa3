"""An operator as a process of the test: started from this source, watched until it is ready, killed, started again."""

import ctypes
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
import urllib.request
from contextlib import suppress
from multiprocessing.context import ForkServerProcess
from pathlib import Path

READY_SECONDS = 60.0

# Each is forked from a process that has imported what an operator imports and done nothing else: that would take most
# of the time of a test which starts two.
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["wattmark.handlers"])
PR_SET_PDEATHSIG = 1


class Operator:
    """One operator for one namespace, which reaches the API server at a port of loopback."""

    def __init__(self, folder: Path, port: int, namespace: str, runner_image: str) -> None:
        self._kubeconfig = folder / f"kubeconfig-{port}"
        self._kubeconfig.write_text(_kubeconfig(port))
        self._log = folder / f"operator-{port}.log"
        self._health = _free_port()
        self._settings = {
            "KUBECONFIG": str(self._kubeconfig),
            "POD_ID": "test",
            "WATTMARK_HEALTH_PORT": str(self._health),
            "WATTMARK_NAMESPACE": namespace,
            "WATTMARK_PROGRESS_SECONDS": "0",  # how often it is read depends on time, and every write is counted
            "WATTMARK_READ_ALL_PODS": "false",
            "WATTMARK_RUNNER_IMAGE": runner_image,
        }
        self._process: ForkServerProcess | None = None

    def start(self) -> float:
        """Start it, and wait until it is ready; returns the seconds that took."""
        begun = time.monotonic()
        self._process = FORKED.Process(target=_operate, args=(self._settings, self._log), daemon=True)
        self._process.start()
        while not self._ready():
            assert self._process.is_alive(), f"the operator ended: {self.words()}"
            assert time.monotonic() - begun < READY_SECONDS, f"the operator is not ready: {self.words()}"
            time.sleep(0.02)
        return time.monotonic() - begun

    def kill(self) -> None:
        """SIGKILL: nothing is said, nothing is finished."""
        if self._process is not None:
            self._process.kill()

    def killed(self, seconds: float = 60.0) -> None:
        """Wait until it was killed."""
        assert self._process is not None
        self._process.join(seconds)
        assert not self._process.is_alive(), f"the operator lives: {self.words()}"

    def stop(self) -> None:
        """Kill it, if it runs, and wait for its end."""
        self.kill()
        if self._process is not None:
            self._process.join(10)

    def words(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3000:]

    def complaints(self) -> list[str]:
        """Lines of its log that speak of an exception that nobody caught."""
        return [line for line in self._log.read_text(errors="replace").splitlines() if "Traceback" in line]

    def _ready(self) -> bool:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self._health}/readyz", timeout=1) as answer:
            return bool(answer.status == 200)
        return False


def _operate(settings: dict[str, str], log: Path) -> None:
    """What the process does: what `python -m wattmark` does, with these settings and its words in a file."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    with log.open("ab") as words:
        os.dup2(words.fileno(), sys.stdout.fileno())
        os.dup2(words.fileno(), sys.stderr.fileno())
    for name in [n for n in os.environ if n.startswith(("WATTMARK_", "KUBERNETES_"))]:
        del os.environ[name]
    os.environ.update(settings)
    from kubernetes.aio.config import kube_config

    from wattmark.__main__ import main

    kube_config.KUBE_CONFIG_DEFAULT_LOCATION = settings["KUBECONFIG"]  # it was read when it was imported
    sys.exit(main())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _kubeconfig(port: int) -> str:
    """Access without credentials: the proxy behind the port brings them."""
    cluster = {"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}
    user = {"name": "nobody", "user": {"token": "none"}}
    context = {"name": "proxy", "context": {"cluster": "proxy", "user": "nobody"}}
    whole = {"clusters": [cluster], "users": [user], "contexts": [context], "current-context": "proxy"}
    return json.dumps({"apiVersion": "v1", "kind": "Config", **whole})
