"""A Groq look-alike on loopback, and a client of ours for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import groq
import pytest

from asking import CATALOGUE, LIMITS, QUIET, Clock, without_complaints
from service.groq.client import make_client
from service.groq.model import GroqModel
from service.simulator import Script, make_simulator, run_simulator
from support import KEY, simulated_models


@pytest.fixture(autouse=True)
def no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading those of all the world takes longer than most of these tests, and none needs them."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(__file__).parent))


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def groq_url(script: Script) -> AsyncIterator[str]:
    look_alike = make_simulator(
        simulated_models(CATALOGUE),
        tokens_per_second=0,
        time_to_first_token_seconds=0,
        api_key=KEY,
        script=script,
    )
    async with without_complaints(), run_simulator(look_alike) as url:
        yield url


@pytest.fixture
async def client(groq_url: str) -> AsyncIterator[groq.AsyncGroq]:
    client = make_client(KEY, groq_url, connections=150, connect_timeout_seconds=2)
    yield client
    await client.close()


@pytest.fixture
def model(client: groq.AsyncGroq) -> GroqModel:
    return GroqModel(client, LIMITS, QUIET)


@pytest.fixture
async def clock() -> Clock:
    return Clock()
