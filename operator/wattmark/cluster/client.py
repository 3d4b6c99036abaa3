"""Requests to the API server: raw JSON over the official client's configuration and authentication."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject

TIMEOUT_SECONDS = 30.0
SILENCE_SECONDS = 150.0  # bookmarks come every minute; a watch that is silent for longer is dead
MOST_AT_ONCE = 32
MERGE_PATCH = "application/merge-patch+json"


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The API server will say no again: bad manifest, forbidden, quota. `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Conflict(Exception):  # noqa: N818
    """Somebody was faster: the object exists already, or is not the version that was seen. Look again."""


class Unreachable(Exception):  # noqa: N818
    """Timeout, broken connection, 429 or 5xx: the queue tries again later."""


class Client:
    """The few verbs that the operator needs. At most MOST_AT_ONCE requests are under way, watches apart."""

    def __init__(self, configuration: Configuration, session: aiohttp.ClientSession) -> None:
        self._configuration = configuration
        self._session = session
        self._base = str(configuration.host).rstrip("/")
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def _headers(self) -> dict[str, str]:
        token = await self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return {"Authorization": str(token)} if token else {}

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """One request; the answer's body. Raises Refused, Conflict or Unreachable."""
        sent = {**await self._headers(), **(headers or {})}
        data = None
        if body is not None:
            data = json.dumps(body, separators=(",", ":")).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            async with (
                self._slots,
                self._session.request(
                    method,
                    self._base + path,
                    data=data,
                    params=params,
                    headers=sent,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
                ) as response,
            ):
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"{method} {path}: {error or type(error).__name__}") from error
        if status < 300:
            return answer
        raise _failure(status, f"{method} {path}", answer)

    async def get(self, path: str) -> dict[str, Any] | None:
        """One object; None where there is none."""
        try:
            return _object(await self.request("GET", path))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def page(self, path: str, params: Mapping[str, str], metadata_only: bool = False) -> dict[str, Any]:
        """One page of a list."""
        accept = (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1" if metadata_only else "application/json"
        )
        return _object(await self.request("GET", path, params=params, headers={"Accept": accept}))

    async def create(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The created object. Raises Conflict where one of that name exists."""
        return _object(await self.request("POST", path, body))

    async def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """The object after a merge patch; None where it is gone."""
        try:
            return _object(await self.request("PATCH", path, body, headers={"Content-Type": MERGE_PATCH}))
        except Refused as refused:
            if refused.status == 404:
                return None
            raise

    async def delete(self, path: str, uid: str) -> None:
        """Delete the object of this UID and, in the background, what it owns; gone already is fine."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self.request("DELETE", path, body)
        except Refused as refused:
            if refused.status != 404:
                raise

    @asynccontextmanager
    async def watch(self, path: str, params: Mapping[str, str]) -> AsyncIterator[aiohttp.StreamReader]:
        """The byte stream of a watch. Raises Refused, Conflict or Unreachable."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT_SECONDS, sock_read=SILENCE_SECONDS)
        try:
            async with self._session.get(
                self._base + path,
                params={**params, "watch": "1"},
                headers=await self._headers(),
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                if response.status >= 300:
                    raise _failure(response.status, f"WATCH {path}", await response.read())
                yield response.content
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"WATCH {path}: {error or type(error).__name__}") from error


def _object(answer: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(answer)
    except ValueError:
        parsed = None
    if not isinstance(parsed, dict):
        raise Unreachable("the API server's answer is no JSON object")
    return parsed


def _failure(status: int, request: str, answer: bytes) -> Exception:
    try:
        message = str(json.loads(answer).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    text = message or f"{request}: HTTP {status}"
    if status == 409:
        return Conflict(text)
    if status == 429 or status >= 500 or status == 401:  # a rotated token heals by itself
        return Unreachable(f"{request}: HTTP {status} {message}")
    return Refused(status, text)


@asynccontextmanager
async def connected() -> AsyncIterator[Client]:
    """A client for the cluster that this process runs in, else for the current kubeconfig context."""
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        await config.load_kube_config(client_configuration=configuration)
    tls = RESTClientObject(configuration).ssl_context
    connector = aiohttp.TCPConnector(ssl=tls, limit=0, keepalive_timeout=60)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(configuration, session)
