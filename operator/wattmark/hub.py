"""Configurations of models that the registry does not know, from a public hub: bounded in time and size."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import aiohttp

TIMEOUT_SECONDS = 10.0
LIMIT_BYTES = 1024 * 1024
KEPT_SECONDS = 600.0
MOST_KEPT = 512


@dataclass(frozen=True, slots=True)
class HubConfig:
    """config.json of a hub repository, and the commit it is of."""

    config: dict[str, Any]
    revision: str | None


@dataclass(frozen=True, slots=True)
class NotOnHub:
    """The hub answered, and has no such model for everybody to read."""

    message: str


@dataclass(frozen=True, slots=True)
class HubSilent:
    """The hub could not be asked; it may answer later."""

    message: str


class Hub:
    """Asks one hub, and remembers the answers for ten minutes."""

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint.rstrip("/") if endpoint else None
        self._kept: dict[tuple[str, str], tuple[float, HubConfig | NotOnHub]] = {}

    async def config(self, model: str, revision: str | None) -> HubConfig | NotOnHub | HubSilent:
        """config.json of a model at a commit (default: the main branch's head). Never raises."""
        if self._endpoint is None:
            return NotOnHub(f'"{model}" is not in the registry, and looking models up on a hub is switched off')
        key, now = (model, revision or "main"), asyncio.get_running_loop().time()
        kept = self._kept.get(key)
        if kept and now - kept[0] < KEPT_SECONDS:
            return kept[1]
        answer = await self._ask(self._endpoint, *key)
        if not isinstance(answer, HubSilent):
            if len(self._kept) >= MOST_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = (now, answer)
        return answer

    async def _ask(self, endpoint: str, model: str, revision: str) -> HubConfig | NotOnHub | HubSilent:
        url = f"{endpoint}/{model}/resolve/{revision}/config.json"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)) as session,
                session.get(url, allow_redirects=False) as response,
            ):
                if response.status in (401, 403):
                    return NotOnHub(
                        f'the hub does not give "{model}" to everybody (HTTP {response.status}): it is gated, '
                        "private or "
                        "does not exist; give its configuration with source.type Inline"
                    )
                if response.status in (404, 400) or 300 <= response.status < 400:
                    return NotOnHub(
                        f'the hub has no model "{model}" at {revision} (HTTP {response.status}); check spec.model.id'
                    )
                if response.status != 200:
                    return HubSilent(f"the hub answers HTTP {response.status}; asked again soon")
                body = await response.content.read(LIMIT_BYTES + 1)
                commit = response.headers.get("X-Repo-Commit")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return HubSilent(f"the hub cannot be reached ({type(error).__name__}); asked again soon")
        if len(body) > LIMIT_BYTES:
            return NotOnHub(f'config.json of "{model}" is larger than {LIMIT_BYTES} bytes; it is not read')
        try:
            config = json.loads(body)
        except ValueError:
            config = None
        if not isinstance(config, dict):
            return NotOnHub(f'config.json of "{model}" is no JSON object')
        return HubConfig(config, commit)
