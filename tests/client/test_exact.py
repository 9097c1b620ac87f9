"""Is the text exact, and paid for once, whatever happens to the connection?"""

import random

import pytest
from client.driving import Page, check_exact, page, url_of

from cutting import cutting
from service.simulator import Pause, Raw, in_pieces, stream_of
from support import Running, running

pytestmark = pytest.mark.servers

TEXT = "Über 世界 👩‍👩‍👧\r\n" * 20
TRANSPORTS = ("sse", "websocket")
OTHER = {"sse": "websocket", "websocket": "sse"}


def slowly(text: str) -> Raw:
    pieces = in_pieces(b"".join(stream_of(text, 4)), 400)
    return Raw([part for piece in pieces for part in (piece, Pause(0.001))])


def port(served: Running) -> int:
    assert served.client.port
    return served.client.port


@pytest.mark.parametrize("seed", range(4))
async def test_any_cut_leaves_the_text_exact(transport: str, seed: int) -> None:
    chance = random.Random(seed)
    cuts = [chance.randint(0, 3000) for _ in range(8)]
    async with running() as served, cutting(port(served), cuts) as network:
        served.script.always(slowly(TEXT))
        async with page(network.url, transport) as told:
            told.start()
            await told.end()

    check_exact(told, TEXT)
    assert len(network.cuts) < 5  # at least four were there before the end
    assert len(served.script.requests) == 1


@pytest.mark.parametrize("seed", range(4))
async def test_any_switch_and_cut_of_its_own_leaves_the_text_exact(
    transport: str, seed: int
) -> None:
    chance = random.Random(seed)
    async with running() as served:
        served.script.always(slowly(TEXT))
        async with page(url_of(served), transport) as told:
            told.start()
            to = transport
            for seq in sorted(chance.sample(range(40), 6)):
                to = OTHER[to]
                told.at(seq, "transport", transport=to)
                told.at(chance.randint(0, 40), "cut")
            await told.end()

    check_exact(told, TEXT)
    assert len(served.script.requests) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_many_runs_at_once_stay_apart(seed: int) -> None:
    chance = random.Random(seed)
    names = [f"run {number}" for number in range(5)]
    async with running() as served, cutting(port(served), [4000, 5000]) as network:
        served.script.always(slowly(TEXT))
        async with page(network.url, chance.choice(TRANSPORTS)) as told:
            for name in names:
                told.start(name)
                told.at(chance.randint(0, 40), "cut", name)
            told.at(20, "transport", names[0], transport=chance.choice(TRANSPORTS))
            for name in names:
                await told.end(name)

    for name in names:
        check_exact(told, TEXT, name)
    assert len(served.script.requests) == len(names)


async def test_a_socket_reads_no_more_runs_than_the_service_allows() -> None:
    names = [f"run {number}" for number in range(7)]
    async with running(SOCKET_MAX_RUNS="2", SOCKET_MESSAGES_PER_SECOND="50") as served:
        served.script.always(slowly(TEXT))
        async with page(url_of(served)) as told:
            for name in names:
                told.start(name)
            for name in names:
                await told.end(name)

    for name in names:
        check_exact(told, TEXT, name)


async def test_a_socket_says_no_more_at_once_than_the_service_allows() -> None:
    names = [f"run {number}" for number in range(12)]
    async with running(SOCKET_MESSAGES_BURST="8", SOCKET_MESSAGES_PER_SECOND="5") as served:
        served.script.always(slowly("Hello"))
        async with page(url_of(served)) as told:
            for name in names:
                told.start(name)
            for name in names:
                await told.end(name)

    for name in names:
        check_exact(told, "Hello", name)
    assert {one["attempt"] for one in told.told("connection")} == {0}


async def test_a_page_that_reads_a_run_of_before_has_all_of_it(transport: str) -> None:
    async with running() as served:
        served.script.always(slowly(TEXT))
        url = url_of(served)
        async with page(url, transport) as before:
            before.start()
            last = await before.end()
        async with page(url, transport) as told:
            told.do("resume", run="a", id=last["id"])
            told.do("resume", run="end", id=last["id"], after=last["lastSeq"])
            told.do("resume", run="text", id=last["id"], after=5, content=said_to(before, 5))
            await told.end()
            at_the_end = await told.end("end")
            given = await told.end("text")

    check_exact(told, TEXT)
    assert at_the_end["finished"] == last["finished"]
    assert given["content"] == TEXT
    assert given["status"] == "finished"


def said_to(told: Page, seq: int) -> str:
    return "".join(event.get("content", "") for event in told.events()[: seq + 1])
