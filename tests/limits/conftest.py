"""A loop whose clock jumps, for every test of the limits."""

import asyncio
from collections.abc import Callable, Mapping

from clock import JumpingLoop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}
