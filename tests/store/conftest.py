"""Each store there is, open and empty."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.core.ports import ConversationStore
from service.store.open import open_store
from store.samples import STORES

SERVERS = {"mongodb"}
KINDS = [
    pytest.param(kind, marks=pytest.mark.servers if kind in SERVERS else ()) for kind in STORES
]


@pytest.fixture(params=KINDS)
def unopened(request: pytest.FixtureRequest, tmp_path: Path) -> ConversationStore:
    return open_store(STORES[request.param](tmp_path))


@pytest.fixture
async def store(unopened: ConversationStore) -> AsyncIterator[ConversationStore]:
    await unopened.open()
    yield unopened
    await unopened.close()
