"""Who may stay on a socket: said in the handshake, or in the first message."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError
from structlog.testing import capture_logs
from web.outside import Held, connections, later, until, wired
from web.speaking import (
    PATH,
    PING,
    PONG,
    Peer,
    RawPeer,
    frame,
    handshake,
    raw,
    refused,
    sockets_open,
    speaking,
    stuck,
    text_frame,
)

from credentials import asked_by, bearer, entries, key_of
from service.web.keys import SOCKETS
from service.web.ws import GOING_AWAY, NOT_AUTHENTICATED, NOT_SAID_WHO
from signing import jwks, p256
from support import Running, running

PAGE = {"Origin": "http://localhost:3000"}
BAD = "ail_nobody_has_this_key"
AUTH = text_frame("auth", token=key_of("ann"))


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Running]:
    """A service that ann has a key of, and bob, and that takes JWTs."""
    known = tmp_path / "jwks.json"
    known.write_bytes(jwks(p256().jwk()))
    async with running(API_KEYS=entries("ann", "bob"), JWT_JWKS=str(known)) as service:
        yield service


@asynccontextmanager
async def opened(served: Running, **headers: str) -> AsyncIterator[Peer]:
    """A client that has not been welcomed yet."""
    async with served.client.ws_connect(PATH, headers=headers) as made:
        yield Peer(made)


async def sent_away(peer: Peer, status: int = 401, slug: str = "unauthorized") -> str:
    """What was said before the socket closed for want of a credential."""
    problem = await refused(peer, status, slug)
    assert await peer.closed() == NOT_AUTHENTICATED
    return str(problem["detail"])


async def nobody_left(served: Running) -> None:
    """Wait until the service has no socket and no connection any more."""
    places = served.service.app[SOCKETS]
    await until(lambda: (places.count, sockets_open(served), connections(served)) == (0, 0, 0))


# In the handshake.


async def test_a_key_in_the_handshake_is_welcomed(guarded: Running) -> None:
    async with speaking(guarded, headers=asked_by("ann")) as peer:
        await peer.nothing_more()


async def test_a_jwt_in_the_handshake_is_welcomed(guarded: Running) -> None:
    async with speaking(guarded, headers=bearer(p256().token())) as peer:
        await peer.nothing_more()


@pytest.mark.parametrize("sent", [f"Bearer {BAD}", "Bearer", "", f"Basic {BAD}", BAD])
async def test_a_bad_credential_is_a_401_to_who_can_read_it(guarded: Running, sent: str) -> None:
    with pytest.raises(WSServerHandshakeError) as caught:
        await guarded.client.ws_connect(PATH, headers={"Authorization": sent})

    assert caught.value.status == 401
    assert caught.value.headers
    assert caught.value.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("sent", [f"Bearer {BAD}", "Bearer", "", f"Basic {BAD}", BAD])
async def test_a_page_is_told_after_the_upgrade(guarded: Running, sent: str) -> None:
    async with opened(guarded, Authorization=sent, **PAGE) as peer:
        detail = await sent_away(peer)

    assert "API key" in detail
    assert BAD not in detail
    await nobody_left(guarded)


@pytest.mark.parametrize("name", ["token", "access_token", "api_key", "authorization"])
async def test_the_query_is_no_place_for_a_credential(guarded: Running, name: str) -> None:
    query = {name: key_of("ann")}
    async with guarded.client.ws_connect(PATH, params=query) as made:
        peer = Peer(made)
        await peer.say("ping")
        await sent_away(peer)


async def test_a_credential_means_nothing_where_nobody_has_to_say_who_they_are(
    served: Running,
) -> None:
    async with speaking(served, headers=bearer(BAD)) as peer:
        await peer.say("auth", token=key_of("ann"))
        problem = await refused(peer, 422, "validation-error")

    assert problem["errors"][0]["pointer"] == "#/type"


# In the first message.


@pytest.mark.parametrize("headers", [{}, PAGE])
async def test_a_key_in_the_first_message_is_welcomed(
    guarded: Running, headers: Mapping[str, str]
) -> None:
    async with opened(guarded, **headers) as peer:
        await peer.say("auth", token=key_of("ann"))
        welcome = await peer.hear()
        await peer.nothing_more()

    assert welcome["type"] == "welcome"


async def test_a_jwt_in_the_first_message_is_welcomed(guarded: Running) -> None:
    async with opened(guarded) as peer:
        await peer.say("auth", token=p256().token())

        assert (await peer.hear())["type"] == "welcome"


async def test_who_was_welcomed_is_who_they_said(guarded: Running) -> None:
    held = Held()
    guarded.script.next(held.answer)
    async with opened(guarded) as peer:
        await peer.say("auth", token=key_of("ann"))
        await peer.chat("a")
        run_id = (await peer.hear_to("started"))[-1]["run_id"]
        statuses = {}
        for name in ("ann", "bob"):
            path = f"/api/runs/{run_id}"
            async with guarded.client.get(path, headers=asked_by(name)) as response:
                statuses[name] = response.status
        held.let_go()
        await peer.hear_end("a")

    assert statuses == {"ann": 200, "bob": 404}


async def test_what_follows_auth_at_once_is_heard(guarded: Running) -> None:
    async with raw(guarded) as peer:
        await peer.say(AUTH + text_frame("ping") + text_frame("leave", id="a"))
        heard = [await peer.hear_text() for _ in range(3)]

    assert [message["type"] for message in heard] == ["welcome", "pong", "error"]


@pytest.mark.parametrize("token", [BAD, "", "Bearer " + key_of("ann"), "ü" * 9000, "a.b.c"])
async def test_a_wrong_token_is_told_and_closes_the_socket(guarded: Running, token: str) -> None:
    async with opened(guarded) as peer:
        await peer.say("auth", token=token)
        detail = await sent_away(peer)

    assert "API key" in detail
    assert not token or token not in detail
    await nobody_left(guarded)


async def test_who_has_not_said_who_they_are_starts_nothing(guarded: Running) -> None:
    async with raw(guarded) as peer:
        await peer.say(text_frame("chat", id="a", request={}) + AUTH)
        heard = await peer.hear_text()
        code = await peer.close_code()

    assert heard["error"]["detail"] == "the first message must be `auth`"
    assert code == NOT_AUTHENTICATED
    assert guarded.script.requests == []


@pytest.mark.parametrize(
    ("sent", "status", "slug"),
    [
        (text_frame("ping"), 401, "unauthorized"),
        (text_frame("what"), 401, "unauthorized"),
        (frame(b"{}"), 401, "unauthorized"),
        (text_frame("auth"), 422, "validation-error"),
        (text_frame("auth", token=None), 422, "validation-error"),
        (text_frame("auth", token=[key_of("ann")]), 422, "validation-error"),
        (text_frame("auth", token=key_of("ann"), more=1), 422, "validation-error"),
        (frame(b"x"), 400, "malformed-json"),
        (frame(b"[]"), 400, "malformed-json"),
        (frame(key_of("ann").encode()), 400, "malformed-json"),
        (frame(b'{"type":"auth","token":"\xff"}'), 400, "malformed-json"),
        (frame(AUTH, 0x82), 400, "malformed-json"),
        (frame(b"", 0x82), 400, "malformed-json"),
    ],
)
async def test_anything_but_auth_is_told_and_closes_the_socket(
    guarded: Running, sent: bytes, status: int, slug: str
) -> None:
    async with raw(guarded) as peer:
        await peer.say(sent)
        heard = await peer.hear_text()
        code = await peer.close_code()

    assert (heard["type"], heard["id"]) == ("error", None)
    assert (heard["error"]["status"], heard["error"]["type"]) == (status, f"/problems/{slug}")
    assert key_of("ann") not in json.dumps(heard)
    assert code == NOT_AUTHENTICATED
    await nobody_left(guarded)


async def test_a_first_message_may_be_no_larger_than_any() -> None:
    async with running(API_KEYS=entries("ann"), MAX_BODY_BYTES="1024") as served:
        async with opened(served) as peer:
            await peer.say("auth", token="x" * 1024)

            assert await peer.closed() == 1009


@pytest.mark.parametrize("said_in_handshake", [True, False])
async def test_to_say_it_again_is_a_fault_and_changes_nothing(
    guarded: Running, said_in_handshake: bool
) -> None:
    async with opened(guarded, **asked_by("ann") if said_in_handshake else {}) as peer:
        if not said_in_handshake:
            await peer.say("auth", token=key_of("ann"))
        await peer.hear()
        await peer.say("auth", token=key_of("bob"))
        problem = await refused(peer, 422, "validation-error")
        await peer.chat("a")
        run_id = (await peer.hear_end("a"))[0]["run_id"]
        async with guarded.client.get(f"/api/runs/{run_id}", headers=asked_by("ann")) as response:
            assert response.status == 200

    assert [fault["pointer"] for fault in problem["errors"]] == ["#/type"]
    assert key_of("bob") not in json.dumps(problem)


# Time.


async def test_who_says_nothing_in_time_is_sent_away(
    guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(guarded) as peer:
        await until(lambda: sockets_open(guarded) == 1)
        later(monkeypatch, 10.1)

        assert await peer.closed() == NOT_SAID_WHO

    await nobody_left(guarded)


async def test_pings_are_answered_and_win_no_time(
    guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with raw(guarded) as peer:
        await peer.say(frame(b"one", 0x80 | PING) + frame(b"", 0x80 | PONG))
        first = await peer.hear()
        later(monkeypatch, 9.5)
        await peer.say(frame(b"two", 0x80 | PING))
        second = await peer.hear()
        later(monkeypatch, 0.6)
        code = await peer.close_code()

    assert (first, second) == ((PONG, b"one"), (PONG, b"two"))
    assert code == NOT_SAID_WHO


async def test_who_pings_first_may_still_say_who_they_are(guarded: Running) -> None:
    async with raw(guarded) as peer:
        await peer.say(frame(b"x", 0x80 | PING) + AUTH)
        first = await peer.hear()
        second = await peer.hear_text()

    assert first == (PONG, b"x")
    assert second["type"] == "welcome"


# The peer goes, or does not.


async def test_who_goes_before_auth_leaves_nothing(guarded: Running) -> None:
    with capture_logs() as logs:
        async with opened(guarded) as closing, opened(guarded) as cutting:
            await until(lambda: sockets_open(guarded) == 2)
            await closing.socket.close()
            cutting.cut()
            await nobody_left(guarded)

    assert defects(logs) == []
    assert closing.socket.close_code == 1000


@pytest.mark.parametrize(
    "last",
    [
        b"",
        frame(b"x", 0x80 | PING) * 9,
        text_frame("auth", token=BAD),
        frame(b"x", 0x80 | PING) * 9 + text_frame("auth", token=BAD),
        AUTH,
    ],
)
async def test_who_goes_with_the_last_word_leaves_nothing(guarded: Running, last: bytes) -> None:
    with capture_logs() as logs:
        for _ in range(5):
            await say_and_go(guarded, last)
        await nobody_left(guarded)

    assert defects(logs) == []


async def test_who_goes_with_the_handshake_leaves_nothing(guarded: Running) -> None:
    with capture_logs() as logs:
        for number in range(10):
            made = socket.create_connection((guarded.client.host, guarded.client.port))
            made.setblocking(False)
            async with wired(guarded.client, sock=made) as wire:
                wire.writer.write(handshake() + number % 2 * text_frame("auth", token=BAD))
                wire.writer.write_eof()
                await wire.rest()
        await nobody_left(guarded)

    assert defects(logs) == []


async def say_and_go(served: Running, last: bytes) -> None:
    """Say something, and end the connection with the same segment."""
    made = socket.create_connection((served.client.host, served.client.port))
    made.setblocking(False)
    async with wired(served.client, sock=made) as wire:
        await wire.send(handshake())
        await wire.head()
        wire.writer.write(last)
        wire.writer.write_eof()
        await wire.rest()


@pytest.mark.parametrize(
    "headers", [[], [f"Authorization: Bearer {BAD}", "Origin: http://service"]]
)
async def test_who_answers_no_close_is_dropped(
    guarded: Running, headers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with capture_logs() as logs:
        async with raw(guarded, *headers) as peer:
            if not headers:
                await peer.say(text_frame("auth", token=BAD))
            await peer.hear_text()
            code = await peer.close_code()
            later(monkeypatch, 3)
            rest = await peer.wire.rest()
        await nobody_left(guarded)

    assert (code, rest) == (NOT_AUTHENTICATED, b"")
    assert defects(logs) == []


async def test_who_takes_nothing_is_dropped(
    guarded: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood = frame(b"x" * 125, 0x80 | PING) * 1000
    with capture_logs() as logs:
        async with stuck(guarded) as peer:
            flooding = asyncio.create_task(keep_sending(peer, flood))
            await until(
                lambda: any(one.writing_paused for one in guarded.client.server.handler.connections)
            )
            later(monkeypatch, 11)  # for the first message
            await until(lambda: sockets_open(guarded) == 0)
            later(monkeypatch, 3)  # for the close
            await nobody_left(guarded)
            flooding.cancel()
            await asyncio.wait({flooding})

    assert defects(logs) == []


async def keep_sending(peer: RawPeer, data: bytes) -> None:
    while True:
        await peer.say(data)


def defects(logs: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Lines that tell of something that nobody expected."""
    return [line for line in logs if line["log_level"] in ("warning", "error", "critical")]


# The service goes.


async def test_when_the_service_stops_who_was_not_known_yet_is_told_too(guarded: Running) -> None:
    async with opened(guarded) as waiting, opened(guarded, **asked_by("ann")) as known:
        await known.hear()
        await until(lambda: sockets_open(guarded) == 2)
        async with asyncio.timeout(1.5):  # less than the last responses have
            stopping = asyncio.create_task(guarded.client.server.close())
            codes = [await waiting.closed(), await known.closed()]
            await stopping

    assert codes == [GOING_AWAY, GOING_AWAY]


async def test_while_it_drains_that_is_told_after_the_welcome(guarded: Running) -> None:
    async with opened(guarded) as peer:
        await until(lambda: sockets_open(guarded) == 1)
        guarded.service.app[SOCKETS].announce_draining()
        await peer.say("auth", token=key_of("ann"))
        heard = [await peer.hear(), await peer.hear()]

    assert [message["type"] for message in heard] == ["welcome", "draining"]


# Places.


async def test_who_is_not_known_yet_has_a_place() -> None:
    async with running(API_KEYS=entries("ann"), MAX_SOCKETS="1") as served:
        async with opened(served) as peer:
            with pytest.raises(WSServerHandshakeError) as caught:
                await served.client.ws_connect(PATH, headers=asked_by("ann"))
            await peer.say("ping")
            await peer.closed()
        await until(lambda: served.service.app[SOCKETS].count == 0)
        async with speaking(served, headers=asked_by("ann")) as known:
            await known.nothing_more()

    assert caught.value.status == 503


async def test_a_run_outlives_the_socket_of_its_owner(guarded: Running) -> None:
    held = Held()
    guarded.script.next(held.answer)
    async with opened(guarded) as peer:
        await peer.say("auth", token=key_of("ann"))
        await peer.chat("a")
        run_id = (await peer.hear_to("started"))[-1]["run_id"]
    held.let_go()
    async with opened(guarded) as peer:
        await peer.say("auth", token=key_of("ann"))
        await peer.hear()
        await peer.say("resume", id="b", run_id=run_id)
        heard = await peer.hear_end("b")

    assert heard[-1]["type"] == "finished"
