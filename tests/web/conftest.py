"""The service as it is without settings of its own, in front of a look-alike that obeys."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from support import Running, running


@pytest.fixture(scope="session", autouse=True)
def _no_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS, and reading the certificates takes longer than most tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        patch.setenv("SSL_CERT_DIR", str(tmp_path_factory.mktemp("none")))
        yield


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    async with running() as service:
        yield service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Running]:
    """One service for all tests of a module that leave nothing behind in it.

    Such a module says `pytestmark = pytest.mark.asyncio(loop_scope="module")`.
    """
    async with running(MAX_BODY_BYTES="4096") as service:
        yield service
