"""A simulator with two models on loopback, and clients for it."""

from collections.abc import AsyncIterator

import aiohttp
import groq
import pytest

from service.simulator import Script, SimulatedModel, make_simulator, run_simulator

MODELS = [
    SimulatedModel(
        "openai/gpt-oss-20b", 131_072, 65_536, reasoning=True, supported_features=["reasoning"]
    ),
    SimulatedModel("allam-2-7b", 4_096, 4_096),
    SimulatedModel("llama-3.1-8b-instant", 131_072, 131_072, active=False),
]


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
async def url(script: Script) -> AsyncIterator[str]:
    application = make_simulator(
        MODELS, tokens_per_second=0, time_to_first_token_seconds=0, script=script
    )
    async with run_simulator(application) as address:
        yield address


@pytest.fixture
async def session(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(f"{url}/openai/v1/", timeout=timeout) as session:
        yield session


@pytest.fixture
async def client(url: str) -> AsyncIterator[groq.AsyncGroq]:
    async with groq.AsyncGroq(base_url=url, api_key="key", timeout=10, max_retries=0) as client:
        yield client
