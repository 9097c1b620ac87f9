"""Where the simulator listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 1.0


@asynccontextmanager
async def run_simulator(application: web.Application, *, port: int = 0) -> AsyncIterator[str]:
    """Serve the application on loopback, and yield its URL, such as `http://127.0.0.1:40123`.

    Port 0 is any free one. Leaving ends the answers that are still under way, silent ones too.
    Raises OSError when the port is taken.
    """
    runner = web.AppRunner(
        application,
        handler_cancellation=True,
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        await site.start()
        yield f"http://{HOST}:{site.port}"
    finally:
        await runner.cleanup()
