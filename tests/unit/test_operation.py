"""Whom the operator answers anew when a run has ended, or is no more."""

import asyncio
from typing import cast

import pytest
from tests.unit.finished import GIB, run, spec

from wattmark import operation
from wattmark.cluster.client import Client
from wattmark.identity import BENCHMARK_JOB, MODEL_CHECK, Key
from wattmark.operation import Operation
from wattmark.settings import Settings

RAN = run(spec(gpus=0), {"hostPeakBytes": GIB})
CHECKS = [Key(MODEL_CHECK, "team", "one"), Key(MODEL_CHECK, "team", "two"), Key(MODEL_CHECK, "other", "one")]
WOKEN = [
    pytest.param("team", (), {"team"}, id="its own namespace"),
    pytest.param("team", ("team",), {"team", "other"}, id="all, where the settings name its namespace"),
    pytest.param("team", ("other",), {"team"}, id="its own, where another is named"),
    pytest.param("third", (), set(), id="none, where it has no checks"),
]


@pytest.mark.parametrize(("of", "shared", "namespaces"), WOKEN)
async def test_who_is_answered_anew(
    monkeypatch: pytest.MonkeyPatch, of: str, shared: tuple[str, ...], namespaces: set[str]
) -> None:
    monkeypatch.setattr(operation, "EVIDENCE_PAUSE_SECONDS", 0.01)
    at_work = Operation(cast("Client", None), Settings("runner:1", evidence_namespaces=shared))
    answered: list[Key] = []
    monkeypatch.setattr(at_work.queue, "add", answered.append)
    for key in CHECKS:
        at_work.world.see(key, {"metadata": {"uid": key.name, "resourceVersion": "1"}})
    for name in ("first", "second"):
        at_work.world.learn(Key(BENCHMARK_JOB, of, name), RAN)
    assert answered == []
    await asyncio.sleep(0.05)
    assert sorted(answered) == sorted(key for key in CHECKS if key.namespace in namespaces)
    answered.clear()
    at_work.world.learn(Key(BENCHMARK_JOB, of, "first"), None)
    at_work.world.learn(Key(BENCHMARK_JOB, of, "never"), None)
    await asyncio.sleep(0.05)
    assert sorted(answered) == sorted(key for key in CHECKS if key.namespace in namespaces)
