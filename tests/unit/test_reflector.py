"""A reflector against a server that speaks list and watch: what is held, what is told, and what breaks."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from wattmark.cluster import reflector as module
from wattmark.cluster.client import Client
from wattmark.cluster.reflector import Reflector

CUT = "CUT"  # in place of an event: the connection ends in the middle of a line
END = "END"  # in place of an event: the watch ends well


def body(name: str, version: int, value: str = "") -> dict[str, Any]:
    return {"metadata": {"namespace": "team", "name": name, "resourceVersion": str(version)}, "value": value or name}


def event(kind: str, name: str, version: int, value: str = "") -> dict[str, Any]:
    return {"type": kind, "object": body(name, version, value)}


class Server:
    """Lists and watches as they were scripted (a number: a refusal); what is asked beyond the script waits for ever."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self.asked: list[str] = []
        self._lists = lists  # each list is a list of pages
        self._watches = watches
        self._version = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        if "watch" in query:
            self.asked.append(f"watch {query['resourceVersion']}")
            return await self._watch(request)
        page = int(query.get("continue", "0"))
        self.asked.append(f"list {page}")
        if not self._lists:
            await asyncio.Event().wait()
        pages = self._lists[0]
        if isinstance(pages, int):
            self._lists.pop(0)
            return web.json_response({"message": "the server could not find it"}, status=pages)
        versions = [int(b["metadata"]["resourceVersion"]) for p in pages for b in p]
        metadata = {"resourceVersion": str(max(versions, default=100)), "continue": str(page + 1)}
        if page + 1 == len(pages):
            del metadata["continue"]
            self._lists.pop(0)
        return web.json_response({"metadata": metadata, "items": pages[page]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if not self._watches:
            await asyncio.Event().wait()
        told = self._watches.pop(0)
        if isinstance(told, int):
            return web.json_response({"message": "too old"}, status=told)
        response = web.StreamResponse()
        await response.prepare(request)
        for line in told:
            if line == CUT:
                await response.write(b'{"type":"ADDED","obj')
                break
            if line == END:
                break
            text = line if isinstance(line, str) else json.dumps(line)
            await response.write(text.encode() + b"\n")
        else:
            await asyncio.Event().wait()
        await response.write_eof()
        return response


class Copy:
    """A running reflector with all that it told."""

    def __init__(self, client: Client, optional: bool) -> None:
        self.told: list[tuple[str, str | None, str | None]] = []
        self._news = asyncio.Event()
        self.reflector: Reflector[str] = Reflector(
            client, "/things", self._convert, self._changed, {"labelSelector": "a"}, optional=optional
        )

    @staticmethod
    def _convert(found: dict[str, Any]) -> str | None:
        value: str = found["value"]
        return None if value == "left out" else value

    def _changed(self, name: tuple[str, str], old: str | None, new: str | None) -> None:
        self.told.append((name[1], old, new))
        self._news.set()

    async def until(self, **items: str) -> None:
        """Wait until exactly this is held."""
        wanted = {("team", name): value for name, value in items.items()}
        while self.reflector.items != wanted:
            self._news.clear()
            async with asyncio.timeout(10):
                await self._news.wait()


@asynccontextmanager
async def following(server: Server, optional: bool = False) -> AsyncIterator[Copy]:
    application = web.Application()
    application.router.add_get("/things", server.handle)
    async with TestServer(application, shutdown_timeout=0) as running, aiohttp.ClientSession() as session:
        configuration = Configuration()
        configuration.host = str(running.make_url("")).rstrip("/")
        copy = Copy(Client(configuration, session), optional)
        task = asyncio.create_task(copy.reflector.run())
        try:
            yield copy
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(random, "uniform", lambda low, high: 0.0)


async def test_a_list_in_pages_is_one_list_and_the_watch_goes_on_from_it() -> None:
    server = Server([[[body("a", 1), body("b", 2)], [body("c", 3)]]], [[event("ADDED", "d", 4)]])
    async with following(server) as copy:
        await copy.until(a="a", b="b", c="c", d="d")
        assert copy.reflector.synced.is_set()
    assert server.asked == ["list 0", "list 1", "watch 3"]


async def test_events_add_change_and_delete_and_only_differences_are_told() -> None:
    server = Server(
        [[[body("a", 1)]]],
        [[event("MODIFIED", "a", 2), event("MODIFIED", "a", 3, "A"), event("ADDED", "b", 4), event("DELETED", "a", 5)]],
    )
    async with following(server) as copy:
        await copy.until(b="b")
    assert copy.told == [("a", None, "a"), ("a", "a", "A"), ("b", None, "b"), ("a", "A", None)]


async def test_what_is_converted_to_nothing_is_left_out() -> None:
    server = Server(
        [[[body("a", 1, "left out"), body("b", 2)]]], [[event("MODIFIED", "b", 3, "left out"), event("ADDED", "c", 4)]]
    )
    async with following(server) as copy:
        await copy.until(c="c")
    assert copy.told == [("b", None, "b"), ("b", "b", None), ("c", None, "c")]


async def test_a_watch_that_ends_is_resumed_from_where_it_was_without_a_list() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}}
    server = Server([[[body("a", 1)]]], [[event("ADDED", "b", 2), bookmark, END], [event("ADDED", "c", 10)]])
    async with following(server) as copy:
        await copy.until(a="a", b="b", c="c")
    assert server.asked == ["list 0", "watch 1", "watch 9"]


async def test_a_line_that_is_cut_is_not_an_event_and_comes_again() -> None:
    server = Server([[[body("a", 1)]]], [[event("ADDED", "b", 2), CUT], [event("ADDED", "c", 3)]])
    async with following(server) as copy:
        await copy.until(a="a", b="b", c="c")
    assert server.asked == ["list 0", "watch 1", "watch 2"]


EXPIRED = {"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}}
ETCD = {"type": "ERROR", "object": {"code": 500, "message": "etcdserver: leader changed"}}
BREAKS = [
    pytest.param([event("DELETED", "b", 3), EXPIRED], id="an ERROR event of an expired version"),
    pytest.param([ETCD], id="an ERROR event of a broken store"),
    pytest.param(["{not JSON"], id="a line that is not JSON"),
    pytest.param(410, id="an expired version told at once"),
    pytest.param(503, id="a server that is not ready"),
    pytest.param(403, id="rights that are missing for a while"),
]


@pytest.mark.parametrize("broken", BREAKS)
async def test_after_a_break_all_is_listed_anew_and_what_was_deleted_meanwhile_is_told(broken: Any) -> None:
    server = Server([[[body("a", 1), body("b", 2)]], [[body("a", 7, "A"), body("c", 8)]]], [broken])
    async with following(server) as copy:
        await copy.until(a="A", c="c")
    assert ("b", "b", None) in copy.told
    assert server.asked[:2] == ["list 0", "watch 2"]
    assert server.asked[2] == "list 0"


@pytest.mark.parametrize("status", [404, 403], ids=["not served", "not ours to read"])
async def test_what_is_optional_may_be_missing_and_appear_later(
    status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ABSENT_SECONDS", 0.01)
    server = Server([status] * 5 + [[[body("a", 1)]]], [])
    with caplog.at_level("INFO"):
        async with following(server, optional=True) as copy:
            await copy.reflector.synced.wait()
            assert copy.reflector.absent
            await copy.until(a="a")
            assert not copy.reflector.absent
    assert [r.levelname for r in caplog.records if r.name == module.__name__] == ["INFO"], "said once, not at each try"


async def test_what_is_optional_may_go_away_again(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server([[[body("a", 1)]]], [404])
    async with following(server, optional=True) as copy:
        await copy.until(a="a")
        await copy.until()
    assert copy.reflector.absent and copy.told == [("a", None, "a"), ("a", "a", None)]


async def test_an_answer_of_our_own_is_not_overtaken_by_older_events() -> None:
    server = Server(
        [[[body("a", 1)]], [[body("a", 6, "6"), body("z", 9)]]], [[event("MODIFIED", "a", 3, "3"), EXPIRED]]
    )
    async with following(server) as copy:
        await copy.reflector.synced.wait()
        copy.reflector.put(body("a", 5, "5"))
        await copy.until(a="6", z="z")
    assert [new for name, _, new in copy.told if name == "a"] in (["a", "5", "6"], ["a", "3", "5", "6"])


async def test_older_bodies_are_not_taken_in() -> None:
    server = Server([[[body("a", 1)]]], [[]])
    async with following(server) as copy:
        await copy.reflector.synced.wait()
        for version in (5, 3, 5, 4):
            copy.reflector.put(body("a", version, str(version)))
        assert copy.reflector.items == {("team", "a"): "5"}


async def test_what_was_created_while_a_list_was_read_outlives_it() -> None:
    server = Server([[[]], [[body("a", 7)]]], [[EXPIRED]])
    async with following(server) as copy:
        await copy.reflector.synced.wait()
        copy.reflector.put(body("mine", 200))  # newer than the list that will not name it
        await copy.until(a="a", mine="mine")


async def test_silence_is_measured_from_the_last_sign_of_life() -> None:
    server = Server([[[body("a", 1)]]], [[]])
    async with following(server) as copy:
        before = asyncio.get_running_loop().time()
        await copy.reflector.synced.wait()
        assert copy.reflector.last_heard >= before
