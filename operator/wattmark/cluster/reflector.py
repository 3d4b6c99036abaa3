"""A local copy of one list of objects, kept current by a watch, holding only what decisions need."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from sys import intern
from typing import Any, Generic, TypeVar

import aiohttp

from wattmark.cluster.client import Client, Conflict, Refused, Unreachable

T = TypeVar("T")
Name = tuple[str, str]
"""Namespace and name; the namespace is empty for objects of the cluster."""

PAGE = "500"
WATCH_SECONDS = "600"  # the server ends the watch then; it is resumed without a new list
LASTING_SECONDS = 60.0  # a watch that breaks sooner counts as another failure in a row
PAUSE_SECONDS = 0.2  # before a watch is resumed: one that ends at once must not become a loop of requests
ABSENT_SECONDS = 300.0  # what was not served is asked for again this often
MOST_LINE_BYTES = 8 * 2**20
_LOG = logging.getLogger(__name__)


class _StaleError(Exception):
    """The watch cannot go on from where it was: list anew."""


class Reflector(Generic[T]):
    """`items` is the copy. `convert` keeps what is needed of a body, or None to leave the object out.

    What is `optional` may not be served, or not be ours to read: then nothing is held, which is told once, and it is
    asked for again every five minutes.

    `changed(name, old, new)` is called for every difference, deletions found by a new list included. It must not raise
    or wait.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        convert: Callable[[dict[str, Any]], T | None],
        changed: Callable[[Name, T | None, T | None], None],
        selectors: Mapping[str, str] | None = None,
        *,
        optional: bool = False,
    ) -> None:
        self.items: dict[Name, T] = {}
        self.synced = asyncio.Event()
        self.last_heard = 0.0  # loop time of the last sign of life
        self.absent = False  # optional, and not served
        self._client = client
        self._path = path
        self._convert = convert
        self._changed = changed
        self._selectors = dict(selectors or {})
        self._optional = optional
        self._versions: dict[Name, int] = {}

    def put(self, body: dict[str, Any]) -> None:
        """Take in an object that a request of ours returned, before the watch tells of it."""
        self._take(body, deleted=False)

    async def run(self) -> None:
        """List and watch for ever."""
        failures = 0
        while True:
            listed = float("inf")
            try:
                version = await self._list()
                self.absent = False
                listed = asyncio.get_running_loop().time()
                self.synced.set()
                while True:
                    version = await self._watch(version)
                    await asyncio.sleep(PAUSE_SECONDS)
            except _StaleError as stale:
                _LOG.info("listing %s anew: %s", self._path, stale)
            except (Unreachable, Refused, Conflict, ValueError) as error:
                if self._optional and isinstance(error, Refused) and error.status in (403, 404):
                    self._miss(error)
                    await asyncio.sleep(ABSENT_SECONDS)
                    continue
                if isinstance(error, Refused):
                    self._heard()  # an answer, if not the one wished for: a restart would not mend missing rights
                _LOG.warning("watching %s failed: %s", self._path, error)
            lasted = asyncio.get_running_loop().time() - listed > LASTING_SECONDS
            failures = 0 if lasted else failures + 1
            await asyncio.sleep(min(30.0, 0.2 * 2 ** min(failures, 8)) * random.uniform(0.5, 1.0))  # noqa: S311

    def _miss(self, answer: Refused) -> None:
        """Hold nothing: this is not there."""
        if not self.absent:
            _LOG.info("%s is not read: %s", self._path, answer)
        self.absent = True
        for name in list(self.items):
            self._replace(name, None)
        self._versions.clear()
        self.synced.set()

    async def _list(self) -> str:
        seen: set[Name] = set()
        params = {**self._selectors, "limit": PAGE}
        while True:
            page = await self._client.page(self._path, params)
            self._heard()
            for body in page.get("items") or ():
                seen.add(_name(body))
                self._take(body, deleted=False)
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            params = {**params, "continue": metadata["continue"]}
        version = str(metadata.get("resourceVersion", ""))
        for name in [n for n in self.items if n not in seen and self._versions[n] <= _number(version)]:
            self._replace(name, None)  # what is newer than the list was put while it was read
            self._versions.pop(name, None)
        return version

    async def _watch(self, version: str) -> str:
        params = {
            **self._selectors,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": WATCH_SECONDS,
        }
        try:
            async with self._client.watch(self._path, params) as stream:
                async for line in _lines(stream):
                    self._heard()
                    version = self._event(json.loads(line)) or version
        except Refused as refused:
            if refused.status == 410:
                raise _StaleError(str(refused)) from refused
            raise
        return version

    def _event(self, event: dict[str, Any]) -> str:
        """Take in one watch event; the resource version that it brings."""
        kind, body = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            if body.get("code") == 410:
                raise _StaleError(str(body.get("message")))
            raise Unreachable(f"watch error: {body.get('message')}")
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            self._take(body, deleted=kind == "DELETED")
        return str((body.get("metadata") or {}).get("resourceVersion", ""))

    def _take(self, body: dict[str, Any], deleted: bool) -> None:
        name, version = _name(body), _version(body)
        if version < self._versions.get(name, 0):
            return  # an answer of ours was newer
        if deleted:
            self._versions.pop(name, None)
            self._replace(name, None)
            return
        converted = self._convert(body)
        if converted is None:
            self._versions.pop(name, None)
        else:
            self._versions[name] = version
        self._replace(name, converted)

    def _replace(self, name: Name, new: T | None) -> None:
        old = self.items.get(name)
        if new is None:
            self.items.pop(name, None)
        else:
            self.items[name] = new
        if old != new:
            self._changed(name, old, new)

    def _heard(self) -> None:
        self.last_heard = asyncio.get_running_loop().time()


def _name(body: Mapping[str, Any]) -> Name:
    metadata = body.get("metadata") or {}
    # Many share a namespace: it is held once.
    return intern(str(metadata.get("namespace", ""))), str(metadata.get("name", ""))


def _version(body: Mapping[str, Any]) -> int:
    """Resource versions are compared as numbers, as the API allows within one resource."""
    return _number(str((body.get("metadata") or {}).get("resourceVersion", "")))


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line
        if len(rest) > MOST_LINE_BYTES:
            raise Unreachable("a watch event is too long")
