"""What does the client make of a wire that is not as it should be, or seldom is?"""

import hashlib
import random

import pytest
from aiohttp import web
from client.driving import check_exact, page
from client.scripted import HANG, STARTED, Answer, frame, message, scripted
from web.outside import Json

pytestmark = pytest.mark.servers

SOON = {"silenceSeconds": 0.3}


def proof(text: str) -> Json:
    data = text.encode()
    return {
        "content": "",
        "finish_reason": "stop",
        "usage": None,
        "timing": {"time_to_first_token": 0.1, "total_time": 0.2},
        "message_id": None,
        "content_length": len(data),
        "content_sha256": hashlib.sha256(data).hexdigest(),
    }


def frames(*parts: str) -> list[bytes]:
    deltas = [frame(seq, content=part) for seq, part in enumerate(parts, 1)]
    last = frame(len(parts) + 1, "finished", **proof("".join(parts)))
    return [frame(0, "started", **STARTED), *deltas, last]


def messages(*parts: str) -> list[Json | str | int]:
    deltas = [message(seq, content=part) for seq, part in enumerate(parts, 1)]
    last = message(len(parts) + 1, "finished", **proof("".join(parts)))
    return [message(0, "started", **STARTED), *deltas, last]


# Streams.


@pytest.mark.parametrize("seed", range(4))
async def test_a_stream_may_come_in_any_pieces_and_with_any_line_ends(seed: int) -> None:
    chance = random.Random(seed)
    parts = ["Ü", "世界", "👩‍👩‍👧", "\r\n", "x" * 3000, ""]
    whole = b": keep-alive\n".join(frames(*parts))
    whole = whole.replace(b"\n", chance.choice([b"\n", b"\r", b"\r\n"]))
    pieces = []
    while whole:
        size = chance.randint(1, 40)
        pieces.append(whole[:size])
        whole = whole[size:]
    async with scripted([pieces]) as service, page(service.url, "sse") as told:
        told.start()
        await told.end()

    check_exact(told, "".join(parts))


async def test_what_is_unknown_or_there_already_is_passed_over() -> None:
    known = frames("Hel", "lo")
    strange = frame(2, "surprise", news=1)
    last = frame(3, content="lo"), frame(4, "finished", **proof("Hello"))
    stream = [b"event: message\nretry: 1\nwhat\n", known[0], known[1], known[0], known[1]]
    async with scripted([[*stream, strange, *last]]) as service, page(service.url, "sse") as told:
        told.start()
        await told.end()

    check_exact(told, "Hello")
    assert [event["type"] for event in told.events()][2] == "surprise"


@pytest.mark.parametrize(
    "fault",
    [
        b"data: {\nid: run:1\n\n",
        b"data: []\nid: run:1\n\n",
        b'data: {"type":"delta","content":"?","finished":false}\n\n',
        frame(2, content="lo"),
        b'data: {"type":"del',
    ],
    ids=["no JSON", "no object", "no id", "a gap", "half a frame"],
)
async def test_a_bad_frame_is_asked_for_again(fault: bytes) -> None:
    good = frames("Hel", "lo")
    async with scripted([[good[0], fault], good[1:]]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert service.asked[1]["Last-Event-ID"] == "run:0"


async def test_a_stream_that_is_not_utf_8_is_asked_for_again() -> None:
    good = frames("Hel", "lo")
    fault = b'data: {"type":"delta","content":"\xff"}\nid: run:1\n\n'
    async with scripted([[good[0], fault], good]) as service, page(service.url, "sse") as told:
        told.start()
        await told.end()

    check_exact(told, "Hello")
    assert len(service.asked) == 2


async def test_what_stays_bad_is_given_up() -> None:
    bad = [frame(2, content="lo")]
    async with scripted([[frames()[0], *bad], bad, bad]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            end = await told.end()

    assert end["failure"]["slug"] == "bad-stream"
    assert end["content"] == ""


async def test_a_text_that_is_not_what_was_sent_is_never_taken_for_it() -> None:
    stream = [*frames("Hel", "lo")[:2], frame(2, "finished", **proof("Hello"))]
    async with scripted([stream]) as service, page(service.url, "sse") as told:
        told.start()
        end = await told.end()

    assert (end["status"], end["failure"]["slug"]) == ("failed", "text-mismatch")
    assert end["finished"] is None


async def test_what_a_proxy_answers_in_the_service_s_place_is_not_taken_for_an_answer() -> None:
    page_of_a_proxy = web.Response(text="<p>Welcome to our WLAN", content_type="text/html")
    too_early = web.Response(status=502, text="Bad Gateway")
    async with scripted([page_of_a_proxy, too_early, frames("Hello")]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert len({asked["Idempotency-Key"] for asked in service.asked}) == 1


# Silence, and when to come back.


async def test_a_silent_stream_is_lost() -> None:
    good = frames("Hel", "lo")
    async with scripted([[good[0], good[1], HANG], good[2:]]) as service:
        async with page(service.url, "sse", timing=SOON) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert service.asked[1]["Last-Event-ID"] == "run:1"


async def test_comments_are_no_silence() -> None:
    good = frames("Hello")
    comments: list[bytes | float] = [0.1, b": keep-alive\n"]
    async with scripted([[good[0], *8 * comments, *good[1:]]]) as service:
        async with page(service.url, "sse", timing=SOON) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert len(service.asked) == 1


async def test_a_silent_socket_is_lost() -> None:
    good = messages("Hel", "lo")
    async with scripted(sockets=[good[:2], good[2:]]) as service:
        async with page(service.url, timing=SOON) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert [asked["type"] for asked in service.asked] == ["chat", "resume"]
    assert service.asked[1]["after"] == 1


async def test_a_service_says_when_to_come_back() -> None:
    draining = {"type": "/problems/draining", "status": 503, "detail": "going", "retry_after": 0.5}
    refusal = web.json_response(draining, status=503, content_type="application/problem+json")
    async with scripted([refusal, frames("Hello")]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            await told.hears("connection", state="waiting")
            told.do("reconnect")
            await told.end()

    check_exact(told, "Hello")
    first, second = service.asked
    assert second["at"] - first["at"] >= 0.45
    assert first["Idempotency-Key"] == second["Idempotency-Key"]


async def test_the_wait_grows_and_is_told() -> None:
    timing = {"backoffSeconds": 0.02, "backoffMaxSeconds": 0.08, "startSeconds": 2}
    async with page("http://127.0.0.1:1", "sse", timing=timing) as told:
        told.start()
        end = await told.end()
        waits = told.told("connection", state="waiting")

    assert (end["failure"]["slug"], end["failure"]["status"]) == ("network", 0)
    assert [wait["attempt"] for wait in waits] == list(range(1, len(waits) + 1))
    assert len(waits) > 5
    for wait in waits:
        assert 0 <= wait["retryInSeconds"] <= min(0.02 * 2 ** (wait["attempt"] - 1), 0.08)
    assert told.told("connection")[-1]["state"] == "idle"


async def test_a_run_whose_service_stays_away_is_given_up() -> None:
    good = frames("Hello")
    streams: list[Answer] = [good[:1], *(web.Response(status=502) for _ in range(200))]
    async with scripted(streams) as service:
        async with page(service.url, "sse", timing={"patienceSeconds": 0.3}) as told:
            told.start()
            end = await told.end()

    assert (end["status"], end["id"]) == ("failed", "run")
    assert len(service.asked) > 2


# Sockets.


@pytest.mark.parametrize("bad", ["{", "[]", 1011, 4400, 4429])
async def test_a_socket_that_goes_wrong_is_made_anew(bad: str | int) -> None:
    good = messages("Hel", "lo")
    first = [*good[:2], bad, 1011] if isinstance(bad, str) else [*good[:2], bad]
    async with scripted(sockets=[first, good[2:]]) as service, page(service.url) as told:
        told.start()
        await told.end()

    check_exact(told, "Hello")
    assert service.asked[1] == {"type": "resume", "id": "r2", "run_id": "run", "after": 1}


async def test_a_gap_on_a_socket_is_asked_for_again() -> None:
    good = messages("Hel", "lo")
    async with scripted(sockets=[[good[0], good[2]], good[1:]]) as service:
        async with page(service.url) as told:
            told.start()
            await told.hears("connection", state="waiting")
            told.do("cut")
            await told.end()

    check_exact(told, "Hello")


async def test_a_page_of_a_wrong_origin_is_told() -> None:
    async with scripted(sockets=[[4403]]) as service, page(service.url) as told:
        told.start()
        end = await told.end()

    assert end["failure"]["slug"] == "forbidden"


# Snapshots.


async def test_a_snapshot_stands_in_for_what_was_before() -> None:
    snapshot = frame(7, "snapshot", content="Other", reasoning="thought")
    rest = [snapshot, frame(8, content=" text"), frame(9, "finished", **proof("Other text"))]
    async with scripted([frames("Hel", "lo")[:2], rest]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            told.do("iterate", run="a")
            end = await told.end()
            iterated = await told.hears("iterated")

    assert (end["status"], end["content"], end["reasoning"]) == (
        "finished",
        "Other text",
        "thought",
    )
    assert iterated["seqs"] == [0, 1, 7, 8, 9]


async def test_a_snapshot_makes_a_run_whole_that_was_read_from_its_middle() -> None:
    socket: list[Json | str | int] = [
        {"type": "resumed", "run_id": "run", "after": 9, "last_seq": 3, "status": "running"},
        message(3, "snapshot", content="Hel", reasoning=""),
        message(4, content="lo"),
        message(5, "finished", **proof("Hello, but not")),
    ]
    async with scripted(sockets=[socket]) as service, page(service.url) as told:
        told.do("resume", run="a", id="run", after=9)
        end = await told.end()

    assert end["content"] == "Hello"
    assert end["failure"]["slug"] == "text-mismatch"
