"""A loop whose clock jumps, for every test of the core; and time enough for hypothesis."""

import asyncio
from collections.abc import Callable, Mapping

from hypothesis import HealthCheck, settings

from clock import JumpingLoop

# A busy machine is no fault of what is tested.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}
