"""Programs of the cluster are told from any other process, however they ended."""

import os
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.failure import ClusterError
from tests.cluster.process import Processes, Program, alive, end, identify, parse_stat

STAT_TAIL = "S 1 2 2 0 -1 4194304 65 0 0 0 0 0 0 0 20 0 1 0 228672 2654208 401"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("etcd", (3953, "S", 228672), id="a plain name"),
        pytest.param("tmux: server", (3953, "S", 228672), id="a name with a space"),
        pytest.param("odd) S 9 (name", (3953, "S", 228672), id="a name that looks like the fields behind it"),
    ],
)
def test_the_start_time_is_read_behind(name: str, expected: tuple[int, str, int]) -> None:
    assert parse_stat(f"3953 ({name}) {STAT_TAIL}") == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, True, id="the very process is alive"),
        pytest.param({"start_ticks": 1}, False, id="a later process with the same id is another"),
        pytest.param({"boot": "another"}, False, id="a process of an earlier boot is another"),
        pytest.param({"pid": 2**22 + 1}, False, id="an id that nobody has is dead"),
    ],
)
def test_identity(changes: dict[str, Any], expected: bool) -> None:
    mine = identify(os.getpid())
    assert mine is not None
    assert alive(replace(mine, **changes)) is expected


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["/bin/true"])
    identity = identify(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert identity is not None
    assert not alive(identity)
    child.wait()


def test_a_program_that_ignores_the_polite_signal_is_killed() -> None:
    child = subprocess.Popen(
        ["/bin/sh", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()  # the trap is set
    identity = identify(child.pid)
    assert identity is not None
    end([identity], seconds=0.2)
    assert child.wait() == -signal.SIGKILL


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(tmp_path / "records", tmp_path / "logs")


def sleeper(name: str = "sleeper", seconds: str = "60") -> Program:
    return Program(name, ["/bin/sleep", seconds], {"PATH": "/bin"})


def test_a_program_that_runs_is_left_alone(processes: Processes) -> None:
    assert processes.ensure(sleeper(), lambda: True, 5)
    first = processes.identity("sleeper")
    assert not processes.ensure(sleeper(), lambda: True, 5)
    assert processes.identity("sleeper") == first
    processes.stop("sleeper")
    assert processes.names() == []


def test_a_killed_program_is_started_again(processes: Processes) -> None:
    processes.ensure(sleeper(), lambda: True, 5)
    first = processes.identity("sleeper")
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    while alive(first):  # the signal is on its way; the test's own time limit ends this
        time.sleep(0.01)
    assert processes.ensure(sleeper(), lambda: True, 5)
    assert processes.running("sleeper")
    processes.stop("sleeper")


def test_a_program_that_is_asked_for_otherwise_is_replaced(processes: Processes) -> None:
    processes.ensure(sleeper(), lambda: True, 5)
    first = processes.identity("sleeper")
    assert first is not None
    assert processes.ensure(sleeper(seconds="61"), lambda: True, 5)
    assert not alive(first)
    processes.stop("sleeper")


def test_a_program_that_ends_at_once_is_named_with_its_last_words(processes: Processes) -> None:
    program = Program("broken", ["/bin/sh", "-c", "echo no such flag; exit 2"], {})
    with pytest.raises(
        ClusterError, match=r"broken ended right after its start\nno such flag\nwhole log: .*broken\.log"
    ):
        processes.ensure(program, lambda: False, 30)


def test_a_half_written_record_counts_as_none(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "etcd.stat").write_text("some-boot\n")
    assert processes.identity("etcd") is None
    assert not processes.running("etcd")
