"""Many sockets with many runs each, all at once, and all exact."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, TCPConnector
from web.outside import asked, until
from web.speaking import PATH, TERMINAL, sockets_open

from service.simulator import Pause, Raw, in_pieces, stream_of
from support import Running, running

SOCKETS, RUNS = 200, 5
TEXT = "Über 世界, word after word; " * 20


def answer() -> Raw:
    pieces = in_pieces(b"".join(stream_of(TEXT, 16)), 2500)
    return Raw([part for piece in pieces for part in (piece, Pause(0.01))])


@asynccontextmanager
async def serving() -> AsyncIterator[Running]:
    async with running(MAX_ACTIVE_RUNS=str(SOCKETS * RUNS)) as served:
        served.script.always(answer())
        yield served


@pytest.fixture
async def quiet_loop() -> None:
    """Debugging the loop would cost more than what is tested here."""
    asyncio.get_running_loop().set_debug(False)


@pytest.mark.usefixtures("quiet_loop")
async def test_two_hundred_sockets_of_five_runs_are_all_exact() -> None:
    async with serving() as served, ClientSession(connector=TCPConnector(limit=0)) as client:
        url = str(served.client.make_url(PATH))
        heard = await asyncio.gather(*(talk(client, url) for _ in range(SOCKETS)))
        await until(lambda: sockets_open(served) == 0)
        active = served.service.chat.runs.active_count

    assert active == 0
    assert len(served.script.requests) == SOCKETS * RUNS
    digest = hashlib.sha256(TEXT.encode()).hexdigest()
    for texts in heard:
        assert texts == {f"r{number}": (TEXT, digest) for number in range(RUNS)}


async def talk(client: ClientSession, url: str) -> Mapping[str, tuple[str, str]]:
    """The text of each run on a socket, and the hash that the service tells."""
    texts = dict.fromkeys([f"r{number}" for number in range(RUNS)], "")
    seqs = dict.fromkeys(texts, -1)
    told: dict[str, tuple[str, str]] = {}
    async with client.ws_connect(url, max_msg_size=0) as socket:
        assert (await socket.receive_json())["type"] == "welcome"
        for reader_id in texts:
            request = asked(save_conversation=False)
            await socket.send_json({"type": "chat", "id": reader_id, "request": request})
        while len(told) < RUNS:
            event = await socket.receive_json()
            reader_id = event["id"]
            seqs[reader_id] += 1
            assert event["seq"] == seqs[reader_id]
            texts[reader_id] += event.get("content", "")
            if event["type"] in TERMINAL:
                told[reader_id] = (texts[reader_id], event["content_sha256"])
    return told
