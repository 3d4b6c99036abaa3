"""A proxy between an operator and the API server that counts the operator's writes and spoils those that it is told to.

A write is named by the BenchmarkJob it is for and its number among the writes for it, from 1: the same run makes the
same writes in the same order.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import aiohttp
from aiohttp import web

WRITES = ("POST", "PATCH", "PUT", "DELETE")
HOP_BY_HOP = {"connection", "host", "transfer-encoding", "content-length", "keep-alive", "upgrade"}


class Fault(Enum):
    """What happens to a write."""

    KILL_BEFORE = "the operator is killed before the API server sees it"
    KILL_AFTER = "the operator is killed after the API server did it, before the answer arrives"
    LOST = "the API server does it, and the answer is lost"
    CONFLICT = "409"
    THROTTLED = "429"
    BROKEN = "500"

    @property
    def status(self) -> int | None:
        """The HTTP status that is answered in the API server's place, if any."""
        return int(self.value) if self.value.isdecimal() else None


@dataclass(frozen=True)
class Write:
    """One write by the operator."""

    of: str  # the BenchmarkJob's name
    method: str
    path: str
    body: Any
    fault: Fault | None


@dataclass
class Proxy:
    """Serves on loopback from a thread of its own. `upstream` is the port of the `kubectl proxy` behind it."""

    upstream: int
    user: str
    kill: Callable[[], None] = lambda: None
    writes: list[Write] = field(default_factory=list)
    faults: dict[tuple[str, int], Fault] = field(default_factory=dict)
    reads: Counter[str] = field(default_factory=Counter)
    port: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._watches: dict[asyncio.Task[Any], tuple[web.StreamResponse, asyncio.Transport]] = {}
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Proxy":
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(10)

    def numbered(self, of: str) -> list[Write]:
        """The writes for one BenchmarkJob, in order."""
        return [w for w in self.writes if w.of == of]

    def spoilt(self, of: str, number: int, seconds: float = 60.0) -> Fault | None:
        """What happened to one of the writes for a BenchmarkJob; waits until it is made."""
        deadline = time.monotonic() + seconds
        while len(self.numbered(of)) < number:
            assert time.monotonic() < deadline, f"write {number} for {of} is not made: {self.numbered(of)}"
            time.sleep(0.01)
        return self.numbered(of)[number - 1].fault

    def cut_watches(self) -> int:
        """End every watch in the middle of a line; returns how many there were."""

        async def cut() -> int:
            watches = dict(self._watches)
            for task, (stream, transport) in watches.items():
                await stream.write(b'{"type":"MODIFIED","object":{"metadata":{"na')
                transport.abort()
                task.cancel()
            return len(watches)

        return asyncio.run_coroutine_threadsafe(cut(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        left = asyncio.all_tasks(self._loop)  # watches of an operator that was killed
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            application = web.Application(client_max_size=8 * 2**20)
            application.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]
            self._ready.set()
            await self._stopped.wait()
            await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.method not in WRITES:
            watching = "watch" in request.query
            self.reads["WATCH" if watching else request.method] += 1
            return await self._forward(request, body, watching)
        of = _subject(request.path, body)
        number = len(self.numbered(of)) + 1
        fault = self.faults.pop((of, number), None)
        self.writes.append(Write(of, request.method, request.path, json.loads(body or b"null"), fault))
        if fault is Fault.KILL_BEFORE:
            self.kill()
            return _drop(request)
        if fault is not None and fault.status is not None:
            return _refusal(fault.status)
        answer = await self._forward(request, body, False)
        if fault is Fault.KILL_AFTER:
            self.kill()
        return answer if fault is None else _drop(request)

    async def _forward(self, request: web.Request, body: bytes, watching: bool) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_BY_HOP}
        headers.pop("Authorization", None)
        headers |= {"Impersonate-User": self.user, "Accept-Encoding": "identity"}
        url = f"http://127.0.0.1:{self.upstream}{request.raw_path}"
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kind = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            if not watching:
                return web.Response(status=answer.status, body=await answer.read(), headers=kind)
            stream = web.StreamResponse(status=answer.status, headers=kind)
            await stream.prepare(request)
            task, transport = asyncio.current_task(), request.transport
            assert task is not None
            assert transport is not None
            self._watches[task] = stream, transport
            try:
                async for chunk in answer.content.iter_any():
                    await stream.write(chunk)
            finally:
                del self._watches[task]
            return stream


def _drop(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=502)


def _refusal(status: int) -> web.Response:
    reason = {409: "Conflict", 429: "TooManyRequests", 500: "InternalError"}[status]
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": status}
    return web.json_response({**said, "message": f"injected: {reason}"}, status=status)


def _subject(path: str, body: bytes) -> str:
    """The object of ours that a write is for."""
    parts = path.strip("/").split("/")
    for plural in ("benchmarkjobs", "modelchecks"):
        if plural in parts:
            return parts[parts.index(plural) + 1]
    sent = json.loads(body or b"{}")
    if parts[-1] == "events":
        return str(sent["involvedObject"]["name"])
    name = str(sent["metadata"]["name"]) if parts[-1] == "jobs" else parts[-1]
    return name.removesuffix("-run").removesuffix("-trace")
