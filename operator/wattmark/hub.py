"""Configurations of models that the registry does not know, from a public hub: bounded in time and size."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp

TIMEOUT_SECONDS = 10.0
LIMIT_BYTES = 1024 * 1024
PAUSE_SECONDS = 30.0  # a hub that could not be reached is tried again after so long
KEPT_SECONDS = 600.0
MOST_KEPT = 512
MOST_REDIRECTS = 3


@dataclass(frozen=True, slots=True)
class HubConfig:
    """config.json of a hub repository."""

    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class NotOnHub:
    """The hub answered, and has no such model for everybody to read."""

    message: str


@dataclass(frozen=True, slots=True)
class HubSilent:
    """The hub could not be asked; it may answer later. `reached`: it said so itself."""

    message: str
    reached: bool = True


class Hub:
    """Asks one hub, and remembers the answers for ten minutes."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._kept: dict[tuple[str, str], tuple[float, HubConfig | NotOnHub]] = {}
        self._out_of_reach: HubSilent | None = None
        self._tried_again_at = 0.0  # loop time

    @property
    def switched_off(self) -> bool:
        """Whether no hub is asked at all."""
        return self._endpoint is None

    async def config(self, model: str, revision: str | None) -> HubConfig | NotOnHub | HubSilent:
        """config.json of a model at a commit (default: the main branch's head). Never raises."""
        if self._endpoint is None:
            return NotOnHub(f'"{model}" is not in the registry, and looking models up on a hub is switched off')
        key, now = (model, revision or "main"), asyncio.get_running_loop().time()
        kept = self._kept.get(key)
        if kept and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        before = kept[1] if kept and isinstance(kept[1], HubConfig) else None  # better than nothing from a silent hub
        if self._out_of_reach is not None:
            # Every question occupies a worker until it times out: one at a time tries whether the hub is back.
            if now < self._tried_again_at:
                return before or self._out_of_reach
            self._tried_again_at = now + PAUSE_SECONDS
        answer = await self._ask(self._endpoint, *key)
        if isinstance(answer, HubSilent):
            self._out_of_reach = None if answer.reached else answer
            self._tried_again_at = asyncio.get_running_loop().time() + PAUSE_SECONDS
            return before or answer
        self._out_of_reach = None
        if len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        self._kept[key] = (now, answer)
        return answer

    async def _ask(self, endpoint: str, model: str, revision: str) -> HubConfig | NotOnHub | HubSilent:
        url = f"{endpoint}/{model}/resolve/{revision}/config.json"
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as session:
                for _ in range(MOST_REDIRECTS + 1):
                    async with session.get(url, allow_redirects=False) as response:
                        onward = _onward(url, response)
                        if onward is None:
                            return await _answer(response, model, revision)
                        url = onward
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return HubSilent(f"the hub cannot be reached ({type(error).__name__}); asked again soon", reached=False)
        return HubSilent("the hub redirects without end; asked again soon")


def _onward(url: str, response: aiohttp.ClientResponse) -> str | None:
    """Where a redirect leads within the hub itself (hubs redirect a branch to its commit); nowhere else is gone."""
    location = response.headers.get("Location")
    if response.status not in (301, 302, 307, 308) or not location:
        return None
    try:
        target = urljoin(url, location)
        return target if urlsplit(target)[:2] == urlsplit(url)[:2] else None
    except ValueError:
        return None


async def _answer(response: aiohttp.ClientResponse, model: str, revision: str) -> HubConfig | NotOnHub | HubSilent:
    status = response.status
    if status in (401, 403):
        return NotOnHub(
            f'the hub does not give "{model}" to everybody (HTTP {status}): it is gated, private or does not exist; '
            "give its configuration with source.type Inline"
        )
    if status in (404, 400) or 300 <= status < 400:
        return NotOnHub(f'the hub has no model "{model}" at {revision} (HTTP {status}); check spec.model.id')
    if status != 200:
        return HubSilent(f"the hub answers HTTP {status}; asked again soon")
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LIMIT_BYTES:
            return NotOnHub(f'config.json of "{model}" is larger than {LIMIT_BYTES} bytes; it is not read')
    try:
        config = json.loads(body)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        return NotOnHub(f'config.json of "{model}" is no JSON object')
    return HubConfig(config)
