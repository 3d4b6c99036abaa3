"""A hub is asked within bounds, believed within reason, and its answers are remembered."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from wattmark import hub as module
from wattmark.hub import LIMIT_BYTES, Hub, HubConfig, HubSilent, NotOnHub

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
COMMIT = "0123456789" * 4


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[tuple[Hub, list[str]]]:
    """A hub that answers by one handler, and the paths that it was asked for."""
    asked: list[str] = []

    async def noting(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        return await handler(request)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", noting)
    async with TestServer(application, shutdown_timeout=0) as server:
        yield Hub(f"{server.make_url('')}".rstrip("/") + "/"), asked


def always(status: int, text: str = "", headers: dict[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, text=text, headers=headers)

    return handler


ANSWERS = [
    pytest.param(always(200, '{"model_type":"gpt2"}'), HubConfig, "", id="a configuration"),
    pytest.param(always(404), NotOnHub, "check spec.model.id", id="no such model"),
    pytest.param(always(400), NotOnHub, "check spec.model.id", id="a name that the hub does not take"),
    pytest.param(always(401), NotOnHub, "gated", id="a gated model"),
    pytest.param(always(403), NotOnHub, "gated", id="a forbidden model"),
    pytest.param(always(200, "<html>"), NotOnHub, "no JSON object", id="a page in its place"),
    pytest.param(always(200, "[1]"), NotOnHub, "no JSON object", id="another JSON value"),
    pytest.param(always(200, "[" * 100_000), NotOnHub, "no JSON object", id="nesting without end"),
    pytest.param(always(200, " " * (LIMIT_BYTES + 1)), NotOnHub, "larger", id="more than is read"),
    pytest.param(always(302, "", {"Location": "http://127.0.0.1:1/x"}), NotOnHub, "HTTP 302", id="another host"),
    pytest.param(always(302, "", {"Location": "http://[x"}), NotOnHub, "HTTP 302", id="sent nowhere"),
    pytest.param(always(302), NotOnHub, "HTTP 302", id="a redirect without a target"),
    pytest.param(always(429), HubSilent, "HTTP 429", id="too many questions"),
    pytest.param(always(500), HubSilent, "HTTP 500", id="a broken hub"),
]


@pytest.mark.parametrize(("handler", "kind", "words"), ANSWERS)
async def test_what_each_answer_means(handler: Handler, kind: type[object], words: str) -> None:
    async with served(handler) as (hub, _):
        answer = await hub.config("org/model", None)
        assert isinstance(answer, kind), answer
        assert words in getattr(answer, "message", "")


async def test_a_redirect_within_the_hub_is_followed_to_the_commit() -> None:
    target = f"/api/cache/org/model/{COMMIT}/config.json"

    async def handler(request: web.Request) -> web.Response:
        if request.path == target:
            return web.Response(text='{"model_type":"bert"}')
        return web.Response(status=307, headers={"Location": target})

    async with served(handler) as (hub, asked):
        assert await hub.config("org/model", None) == HubConfig({"model_type": "bert"})
        assert asked == ["/org/model/resolve/main/config.json", target]


async def test_a_hub_that_redirects_in_circles_is_silent() -> None:
    async with served(always(307, "", {"Location": "/again"})) as (hub, asked):
        assert isinstance(await hub.config("org/model", None), HubSilent)
        assert len(asked) == module.MOST_REDIRECTS + 1


async def test_a_body_that_comes_in_pieces_is_read_whole() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"model_', b'type":', b'"t5"}'):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async with served(handler) as (hub, _):
        assert await hub.config("t5", COMMIT) == HubConfig({"model_type": "t5"})


async def test_a_slow_hub_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)

    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async with served(handler) as (hub, _):
        assert isinstance(await hub.config("org/model", None), HubSilent)


async def test_a_hub_that_is_not_there_is_silent() -> None:
    for endpoint in ("http://127.0.0.1:1", "no url at all", "file:///etc"):
        assert isinstance(await Hub(endpoint).config("org/model", None), HubSilent), endpoint


async def test_no_hub_is_an_answer_too() -> None:
    answer = await Hub(None).config("org/model", None)
    assert isinstance(answer, NotOnHub) and "switched off" in answer.message


async def test_answers_are_remembered_by_model_and_commit_and_silence_is_not() -> None:
    statuses = [500, 404, 200]

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=statuses.pop(0), text="{}")

    async with served(handler) as (hub, asked):
        assert isinstance(await hub.config("m", None), HubSilent)
        assert isinstance(await hub.config("m", None), NotOnHub)
        assert isinstance(await hub.config("m", None), NotOnHub)
        assert isinstance(await hub.config("m", COMMIT), HubConfig)
        assert isinstance(await hub.config("m", COMMIT), HubConfig)
    assert asked == ["/m/resolve/main/config.json"] * 2 + [f"/m/resolve/{COMMIT}/config.json"]


async def test_no_more_than_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 2)
    async with served(always(404)) as (hub, asked):
        for model in ("a", "b", "c", "c", "b", "a"):
            await hub.config(model, None)
    assert [path[1] for path in asked] == ["a", "b", "c", "a"]


async def test_a_hub_out_of_reach_is_tried_by_one_question_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)
    statuses = [200]

    async def handler(_: web.Request) -> web.Response:
        if not statuses:
            await asyncio.sleep(60)
        return web.Response(status=statuses.pop(0), text="{}")

    async with served(handler) as (hub, asked):
        known = await hub.config("known", None)
        monkeypatch.setattr(module, "KEPT_SECONDS", 0.0)
        assert isinstance(await hub.config("m", None), HubSilent)
        assert isinstance(await hub.config("m", None), HubSilent)
        assert await hub.config("known", None) == known  # what it said before is better than nothing
        assert len(asked) == 2
        monkeypatch.setattr(hub, "_tried_again_at", 0.0)
        statuses.append(200)
        assert isinstance(await hub.config("m", None), HubConfig)
