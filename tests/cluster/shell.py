"""Short-lived commands: run, keep what they say, fail with their own words."""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.cluster.failure import ClusterError

LAST_LINES = 15  # of a failed command's output, shown in the message


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    text: str | None = None,
    log: Path | None = None,
    watch: Callable[[str], None] | None = None,
) -> str:
    """Run a command to its end and return its standard output; with `log`, all output goes to that file instead.

    With `watch` as well, the log's newest line is passed on about once a second.
    Raises ClusterError with the last lines of its output when it exits non-zero.
    """
    environment = None if env is None else {**os.environ, **env}
    if log is None:
        done = subprocess.run(argv, env=environment, cwd=cwd, input=text, capture_output=True, text=True, check=False)
        code, output, said = done.returncode, done.stdout, done.stderr or done.stdout
    else:
        code = _run_logged(argv, environment, cwd, log, watch or (lambda _: None))
        output, said = "", log.read_text(errors="replace") + f"\nwhole log: {log}"
    if code:
        raise ClusterError(f"{Path(argv[0]).name} failed with exit code {code}", last_lines(said))
    return output


def _run_logged(
    argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, log: Path, watch: Callable[[str], None]
) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    if shutil.which("setpriv"):
        argv = ["setpriv", "--pdeathsig", "TERM", *argv]  # killed with -9, we leave no compiler behind
    with (
        log.open("wb") as sink,
        subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink) as child,
    ):
        while True:
            try:
                return child.wait(timeout=1)
            except subprocess.TimeoutExpired:
                watch(last_line(log))


def last_line(log: Path) -> str:
    """Return the newest line of a log that something still writes to."""
    with log.open("rb") as source:
        source.seek(max(0, log.stat().st_size - 4096))
        lines = [line for line in source.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def succeeds(argv: Sequence[str]) -> bool:
    """Say whether the command can be run and exits with zero."""
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def last_lines(text: str) -> str:
    """Return the end of an output."""
    return "\n".join(text.strip().splitlines()[-LAST_LINES:])
