"""Does the running service keep what it is told in confidence? In its log and in its metrics."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from attrs import define

from credentials import entries, hash_of, key_of
from service.simulator import make_simulator, run_simulator
from signing import jwks, p256
from support import CONFIG, KEY, MODEL, catalogue, simulated_models

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parent.parent
PASSWORD = "veiled-password"
PROMPT = "a question that is nobody's business"
GOOD = [key_of("ann"), p256().token({"sub": "eve", "exp": 2**32})]  # whenever this test's turn is
BAD = [
    "ail_nobody_has_this_key_0123456789",
    key_of("ann")[:-1],
    p256().token({"exp": 1}),
    p256().token(header={"kid": "veiled-kid"}),
    p256().token() + "x",
    "veiled words with spaces",
    "v\xefiled",
]
SECRET = [KEY, PASSWORD, PROMPT, "veiled", hash_of("ann"), hash_of("bob"), *GOOD, *BAD]


@define
class Told:
    """What a process has said."""

    url: str
    output: str = ""


@asynccontextmanager
async def serving(directory: Path, known: str, groq: str) -> AsyncIterator[Told]:
    """A service that logs all that it can; when this is left its output is whole."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "CONFIG_DIR": str(CONFIG),
        "CONVERSATION_STORE": f"sqlite:///{directory}/kept.db",
        "PORT": "0",
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "DEBUG",
        "DEBUG": "true",
        "DRAIN_TIMEOUT": "0",
        "GROQ_API_KEY": KEY,
        "GROQ_BASE_URL": groq,
        "API_KEYS": entries("ann", "bob"),
        "JWT_JWKS": known,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "service"),
        cwd=directory,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    told = Told("")
    try:
        while not told.url:
            line = (await process.stdout.readline()).decode()
            told.output += line
            told.url = json.loads(line).get("url", "")
        yield told
        process.terminate()
        told.output += (await process.stdout.read()).decode()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def asked(session: aiohttp.ClientSession, url: str, credential: str) -> Sequence[object]:
    """What comes of asking with a credential, in every way there is."""
    carried = {"Authorization": f"Bearer {credential}"}
    body = {"model": MODEL, "user_prompt": PROMPT}
    query = {"token": credential}
    outcomes: list[object] = []
    for headers in (carried, {"Authorization": credential}):
        async with session.post(f"{url}/api/chat", json=body, headers=headers) as response:
            outcomes.append(response.status)
    async with session.get(f"{url}/api/models", params=query) as response:
        outcomes.append(response.status)
    async with session.post(f"{url}/api/chat", json={"token": credential}) as response:
        outcomes.append(response.status)
    return [
        *outcomes,
        await greeted(session, url, carried, None),
        await greeted(session, url, carried | {"Origin": "http://localhost:3000"}, None),
        await greeted(session, url, {}, {"type": "auth", "token": credential}),
        await greeted(session, url, {}, {"type": "auth", "more": credential}),
        await greeted(session, url, {}, credential),
    ]


async def greeted(
    session: aiohttp.ClientSession, url: str, headers: dict[str, str], first: object
) -> object:
    """How a socket begins: a status, or the type of its first message."""
    try:
        async with session.ws_connect(f"{url}/api/chat/ws", headers=headers) as socket:
            if first:
                await socket.send_json(first)
            told = await socket.receive_json(timeout=10)
            return told["type"]
    except aiohttp.WSServerHandshakeError as refused:
        return refused.status


LET_IN = [200, 401, 401, 401, "welcome", "welcome", "welcome", "error", "error"]
SENT_AWAY = [401, 401, 401, 401, 401, "error", "error", "error", "error"]


@asynccontextmanager
async def look_alike() -> AsyncIterator[str]:
    made = make_simulator(simulated_models(catalogue()), tokens_per_second=0, api_key=KEY)
    async with run_simulator(made) as url:
        yield url


def leaked(*texts: str) -> list[str]:
    """The secrets in texts that were told, also as JSON has them."""
    forms = {form: one for one in SECRET for form in (one, json.dumps(one)[1:-1], repr(one)[1:-1])}
    return [one for form, one in forms.items() if any(form in text for text in texts)]


async def test_no_credential_is_told_to_whoever_reads_logs_or_metrics(tmp_path: Path) -> None:
    known = tmp_path / "jwks.json"
    known.write_bytes(jwks(p256().jwk()))
    async with (
        look_alike() as groq,
        serving(tmp_path, str(known), groq) as told,
        aiohttp.ClientSession() as session,
    ):
        good = [await asked(session, told.url, one) for one in GOOD]
        bad = [await asked(session, told.url, one) for one in BAD]
        async with session.get(f"{told.url}/metrics") as response:
            metrics = await response.text()

    assert good == [LET_IN] * len(GOOD)
    assert bad == [SENT_AWAY] * len(BAD)
    assert leaked(told.output, metrics) == []
    assert told.output.count('"run_ended"') == len(GOOD)
    assert '"level":"debug"' in told.output
    assert '"defect"' not in told.output


async def test_nor_is_where_the_keys_come_from(tmp_path: Path) -> None:
    known = f"http://veiled-user:{PASSWORD}@127.0.0.1:9/jwks?key=veiled"
    async with (
        look_alike() as groq,
        serving(tmp_path, known, groq) as told,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{told.url}/health/ready") as response:
            ready = await response.text()
        jwt = {"Authorization": f"Bearer {GOOD[1]}"}
        async with session.get(f"{told.url}/api/models", headers=jwt) as response:
            refused = await response.text()
        async with session.get(f"{told.url}/metrics") as response:
            metrics = await response.text()

    assert "cannot be asked" in told.output
    assert "could not be read" in refused
    assert leaked(told.output, metrics, ready, refused) == []
