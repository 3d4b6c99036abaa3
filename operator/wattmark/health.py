"""Liveness and readiness over HTTP: ready once the caches are filled, alive while the watches are heard of."""

from collections.abc import Callable

from aiohttp import web

MOST_SILENCE_SECONDS = 200.0  # a watch brings bookmarks each minute and is resumed after 150 s of silence


async def serve(port: int, ready: Callable[[], bool], silence_seconds: Callable[[], float]) -> web.AppRunner:
    """Serve /livez and /readyz until the runner that is returned is cleaned up."""

    async def livez(_: web.Request) -> web.Response:
        silence = silence_seconds() if ready() else 0.0
        return web.Response(
            status=200 if silence < MOST_SILENCE_SECONDS else 503, text=f"watches silent for {silence:.0f} s\n"
        )

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(status=200 if ready() else 503, text="ready\n" if ready() else "filling caches\n")

    application = web.Application()
    application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=port).start()
    return runner
