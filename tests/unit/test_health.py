"""Probes: ready once the caches are filled, alive while the watches are heard of."""

import aiohttp
import pytest

from wattmark.health import MOST_SILENCE_SECONDS, serve

STATES = [
    pytest.param(False, 0.0, 200, 503, id="while the caches fill it is alive and not ready"),
    pytest.param(False, 10_000.0, 200, 503, id="however long that takes"),
    pytest.param(True, 0.0, 200, 200, id="with full caches it is ready"),
    pytest.param(True, MOST_SILENCE_SECONDS - 1, 200, 200, id="a watch may be silent for a while"),
    pytest.param(True, MOST_SILENCE_SECONDS, 503, 200, id="a watch that is silent for too long asks for a restart"),
]


@pytest.mark.parametrize(("ready", "silence", "alive_status", "ready_status"), STATES)
async def test_probes(ready: bool, silence: float, alive_status: int, ready_status: int) -> None:
    runner = await serve(0, lambda: ready, lambda: silence)
    try:
        port = next(port for host, port, *_ in runner.addresses if host == "0.0.0.0")  # one for each family
        async with aiohttp.ClientSession() as session:
            for path, status in (("livez", alive_status), ("readyz", ready_status), ("metrics", 404)):
                async with session.get(f"http://127.0.0.1:{port}/{path}") as answer:
                    assert answer.status == status
    finally:
        await runner.cleanup()
