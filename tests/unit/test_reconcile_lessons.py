"""What finished BenchmarkJobs teach is taken in, wakes whom it concerns, and is what a question then learns."""

from typing import Any, cast

import pytest
from tests.unit.finished import GIB, about, finished, spec
from tests.unit.test_world import Woken

from wattmark.hub import Hub, HubConfig, HubSilent
from wattmark.identity import BENCHMARK_JOB, Key
from wattmark.models import lookup
from wattmark.reconcile.knowledge import Knowledge
from wattmark.reconcile.lessons import ASK_AGAIN_SECONDS, Lessons
from wattmark.workqueue import Again

FIRST = Key(BENCHMARK_JOB, "team", "first")
OF_HUB = {"id": "org/gpt2", "source": {"type": "Hub", "hub": {"revision": "0" * 40}}}


class SaidByHub:
    """A hub that gives one answer."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def config(self, model: str, revision: str | None) -> Any:
        return self._answer


def stored(version: int, model: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    asked, ended = finished(spec(gpus=0), {"hostPeakBytes": GIB}, job={"name": "first-run", "uid": "j"}, **status)
    raw = asked.wire() | ({"model": model} if model else {})
    return {
        "metadata": {"name": "first", "uid": "u", "resourceVersion": str(version)},
        "spec": raw,
        "status": ended.wire(),
    }


def held(body: dict[str, Any], hub: Any = None, **settings: Any) -> tuple[Woken, Lessons]:
    woken = Woken(**settings)
    woken.world.see(FIRST, body)
    return woken, Lessons(woken.world, Knowledge(woken.world, cast("Hub", SaidByHub(hub))))


def same(woken: Woken, namespace: str) -> int:
    return woken.world.runs.experience(namespace).lesson(about(spec(gpus=0)), "cpu").same


async def test_a_finished_run_wakes_its_namespace_and_teaches_it() -> None:
    woken, lessons = held(stored(1))
    assert await lessons.take(FIRST) is None
    assert woken.learnt == ["team"] and same(woken, "team") == 1 and same(woken, "other") == 0
    assert await lessons.take(FIRST) is None
    assert woken.learnt == ["team"]  # nothing new


async def test_what_a_named_namespace_learns_all_learn() -> None:
    woken, lessons = held(stored(1), evidence_namespaces=("team",))
    await lessons.take(FIRST)
    assert same(woken, "other") == 1


async def test_with_its_object_a_run_is_forgotten() -> None:
    woken, lessons = held(stored(1))
    await lessons.take(FIRST)
    woken.world.forget(FIRST, "u")
    woken.world.learn(FIRST, None)
    assert woken.learnt == ["team", "team"] and same(woken, "team") == 0
    assert await lessons.take(FIRST) is None


CONFIG = lookup("gpt2")
assert CONFIG is not None
HUBS = [
    pytest.param(HubConfig(dict(CONFIG.config)), None, 1, id="the hub tells the model"),
    pytest.param(HubSilent("later"), ASK_AGAIN_SECONDS, 0, id="the hub is silent: asked again"),
    pytest.param(HubConfig({}), None, 0, id="a model that nobody can read"),
]


@pytest.mark.parametrize(("hub", "again", "learnt"), HUBS)
async def test_a_model_of_a_hub(hub: Any, again: float | None, learnt: int) -> None:
    woken, lessons = held(stored(1, OF_HUB), hub)
    assert await lessons.take(FIRST) == again
    assert same(woken, "team") == learnt


UNREAD = [
    pytest.param({"spec": {"model": 1}}, id="a spec that cannot be read"),
    pytest.param({"status": {"conditions": "odd"}}, id="a status that cannot be read"),
]


@pytest.mark.parametrize("changes", UNREAD)
async def test_what_cannot_be_read_teaches_nothing(changes: dict[str, Any]) -> None:
    woken, lessons = held(stored(1) | changes)
    assert await lessons.take(FIRST) is None and woken.learnt == []


async def test_questions_wait_until_the_runs_of_before_the_start_are_read() -> None:
    woken, _ = held(stored(1))
    knowledge = Knowledge(woken.world, cast("Hub", SaidByHub(None)))
    woken.world.unread = {FIRST}
    with pytest.raises(Again):
        knowledge.experience("team")
    woken.world.unread.discard(FIRST)
    knowledge.experience("team")
