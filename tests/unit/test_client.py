"""How answers of the API server become results, refusals, conflicts or retries; over a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from wattmark.cluster.client import MOST_AT_ONCE, Client, Conflict, Refused, Unreachable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler, token: str = "") -> AsyncIterator[Client]:
    """A client of a server that answers everything by one handler."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(application) as server, aiohttp.ClientSession() as session:
        configuration = Configuration()
        configuration.host = str(server.make_url("")).rstrip("/")
        if token:
            configuration.api_key = {"BearerToken": f"Bearer {token}"}
        yield Client(configuration, session)


def always(status: int, body: object = None, headers: dict[str, str] | None = None) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        text = body if isinstance(body, str) else json.dumps(body or {})
        return web.Response(status=status, text=text, headers=headers)

    return handler


SAYS_NO = {"kind": "Status", "message": 'jobs "bert-run" is forbidden: exceeded quota'}
FAILURES = [
    pytest.param(400, Refused, id="bad request"),
    pytest.param(403, Refused, id="forbidden"),
    pytest.param(404, Refused, id="not found"),
    pytest.param(410, Refused, id="gone"),
    pytest.param(422, Refused, id="unprocessable"),
    pytest.param(302, Refused, id="a redirect is not followed"),
    pytest.param(409, Conflict, id="conflict"),
    pytest.param(401, Unreachable, id="a token that is being rotated heals by itself"),
    pytest.param(429, Unreachable, id="too many requests"),
    pytest.param(500, Unreachable, id="internal error"),
    pytest.param(503, Unreachable, id="unavailable"),
    pytest.param(504, Unreachable, id="gateway timeout"),
]


@pytest.mark.parametrize(("status", "kind"), FAILURES)
async def test_what_each_status_means(status: int, kind: type[Exception]) -> None:
    async with served(always(status, SAYS_NO, {"Location": "/elsewhere"})) as client:
        with pytest.raises(kind) as failure:
            await client.request("GET", "/any")
        assert "exceeded quota" in str(failure.value)
        with pytest.raises(kind):
            async with client.watch("/any", {}):
                pass


async def test_a_failure_without_words_names_the_request() -> None:
    async with served(always(418, "<html>")) as client:
        with pytest.raises(Refused, match="GET /any: HTTP 418") as refusal:
            await client.request("GET", "/any")
    assert refusal.value.status == 418


async def test_absence_is_an_answer() -> None:
    async with served(always(404, SAYS_NO)) as client:
        assert await client.get("/any") is None
        assert await client.patch("/any", {}) is None
        await client.delete("/any", "uid")


@pytest.mark.parametrize("body", ["not JSON", "[]", ""])
async def test_an_answer_that_is_no_object_is_asked_for_again(body: str) -> None:
    async with served(always(200, body or " ")) as client:
        with pytest.raises(Unreachable):
            await client.get("/any")


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    async with served(always(200)) as client:
        client._base = "http://127.0.0.1:1"
        with pytest.raises(Unreachable):
            await client.get("/any")
        with pytest.raises(Unreachable):
            async with client.watch("/any", {}):
                pass


async def test_each_verb_sends_what_it_means() -> None:
    sent: list[tuple[str, str, str | None, str | None, Any]] = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        headers = request.headers
        sent.append((request.method, request.path_qs, headers.get("Content-Type"), headers.get("Accept"), body))
        assert headers["Authorization"] == "Bearer secret"
        return web.json_response({"kind": "Any"})

    async with served(handler, "secret") as client:
        await client.get("/o")
        await client.page("/l", {"limit": "1"}, metadata_only=True)
        await client.create("/l", {"a": 1})
        await client.patch("/o", {"b": None})
        await client.delete("/o", "the-uid")
        async with client.watch("/l", {"resourceVersion": "5"}) as stream:
            await stream.read()
    everything, merge, plain = "*/*", "application/merge-patch+json", "application/json"
    assert sent == [
        ("GET", "/o", None, everything, None),
        ("GET", "/l?limit=1", None, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", None),
        ("POST", "/l", plain, everything, {"a": 1}),
        ("PATCH", "/o", merge, everything, {"b": None}),
        ("DELETE", "/o", plain, everything, {"propagationPolicy": "Background", "preconditions": {"uid": "the-uid"}}),
        ("GET", "/l?resourceVersion=5&watch=1", None, everything, None),
    ]


async def test_only_so_many_requests_are_under_way_at_once() -> None:
    at_once, most, go = 0, 0, asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        if at_once == MOST_AT_ONCE:
            go.set()
        await go.wait()
        at_once -= 1
        return web.json_response({})

    async with served(handler) as client:
        await asyncio.gather(*(client.get("/any") for _ in range(2 * MOST_AT_ONCE)))
    assert most == MOST_AT_ONCE
