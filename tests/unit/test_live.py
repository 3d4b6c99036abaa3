"""Live progress: of Pods that run, at a bounded rate."""

import asyncio
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.unit.seen import OTHER_POD, RUNNING_POD, THE_POD, ended
from tests.unit.virtual import virtually

from wattmark.api.benchmarkjob import Progress, ProgressPhase
from wattmark.cluster.client import Client, Refused, Unreachable
from wattmark.identity import Key
from wattmark.live import MOST_AT_ONCE, follow
from wattmark.observe import SeenPod

HALF = Progress(phase=ProgressPhase.MEASURING, percent=50, remaining_seconds=30.0)
LINE = b'{"phase":"Measuring","percent":50,"remainingSeconds":30.0}'


class Logs:
    """Answers for log reads, each taking a virtual second; counts how many are under way."""

    def __init__(self, answer: bytes | Exception = LINE) -> None:
        self.paths: list[str] = []
        self.most_at_once = self._at_once = 0
        self._answer = answer

    async def request(self, method: str, path: str, params: dict[str, str]) -> bytes:
        assert method == "GET" and params["limitBytes"] == "2048"
        self.paths.append(path)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(1)
        self._at_once -= 1
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def followed(logs: Logs, pods: list[SeenPod], seconds: float) -> list[tuple[Key, Progress]]:
    told: list[tuple[Key, Progress]] = []

    async def play() -> None:
        task = asyncio.create_task(
            follow(cast("Client", logs), lambda: pods, lambda key, found: told.append((key, found)), 5.0)
        )
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    virtually(play())
    return told


def test_a_running_pod_is_read_once_per_interval() -> None:
    logs = Logs()
    told = followed(logs, [RUNNING_POD], 20)
    assert logs.paths == ["/api/v1/namespaces/team/pods/bert-run-abcde/log"] * 3
    assert set(told) == {(Key("BenchmarkJob", "team", "bert"), HALF)}


SILENT_PODS = [
    pytest.param(THE_POD, id="a Pod that does not run yet"),
    pytest.param(replace(RUNNING_POD, phase="Succeeded"), id="a Pod that succeeded"),
    pytest.param(replace(RUNNING_POD, phase="Failed", ended=ended(1)), id="a Pod that failed"),
]


@pytest.mark.parametrize("pod", SILENT_PODS)
def test_pods_that_have_nothing_to_tell_are_not_read(pod: SeenPod) -> None:
    logs = Logs()
    assert followed(logs, [pod], 20) == [] and logs.paths == []


def test_only_a_few_logs_are_read_at_once() -> None:
    logs = Logs()
    pods = [replace(RUNNING_POD, name=f"pod-{i}", uid=f"{OTHER_POD}-{i}") for i in range(3 * MOST_AT_ONCE)]
    assert len(followed(logs, pods, 9)) == len(pods)
    assert logs.most_at_once == MOST_AT_ONCE


ERRORS: list[Any] = [Refused(404, "gone"), Unreachable("slow")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: type(e).__name__)
def test_a_log_that_cannot_be_read_is_left_until_the_next_time(error: Exception) -> None:
    logs = Logs(error)
    assert followed(logs, [RUNNING_POD], 20) == [] and len(logs.paths) == 3
