"""The service as it is without settings of its own, for pages that come from elsewhere."""

from collections.abc import AsyncIterator

import pytest

from support import Running, running


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    async with running() as service:
        yield service


@pytest.fixture(params=["sse", "websocket"])
def transport(request: pytest.FixtureRequest) -> str:
    return str(request.param)
