"""Messages that are not fit: each is answered with every fault, and harms nothing else."""

import pytest
from web.outside import Held, Json, asked, faults_of
from web.speaking import check_whole, refused, speaking

from support import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVE = "a"
ABSENT = "0198c2f0-0000-7000-8000-000000000000"

NOT_OBJECTS = [
    "",
    "{",
    "[]",
    '"chat"',
    "1",
    "null",
    "{}{}",
    '{"a":NaN}',
    '{"type":"ping"',
    "[" * 3000,
]


@pytest.mark.parametrize("text", NOT_OBJECTS)
async def test_what_is_no_json_object_is_malformed(shared: Running, text: str) -> None:
    async with speaking(shared) as peer:
        await peer.socket.send_str(text)
        await refused(peer, 400, "malformed-json")
        await peer.nothing_more()


async def test_a_binary_frame_is_malformed_whatever_it_holds(shared: Running) -> None:
    async with speaking(shared) as peer:
        await peer.socket.send_bytes(b'{"type":"ping"}')
        await refused(peer, 400, "malformed-json")
        await peer.nothing_more()


LONG = "x" * 65
UNFIT: list[tuple[Json, list[str]]] = [
    ({}, ["#/type"]),
    ({"type": None}, ["#/type"]),
    ({"type": "chats"}, ["#/type"]),
    ({"type": "welcome"}, ["#/type"]),
    ({"type": 1}, ["#/type"]),
    ({"type": ["chat"]}, ["#/type"]),
    ({"type": {}}, ["#/type"]),
    ({"type": "ping", "id": "b"}, ["#/id"]),
    ({"type": "ping", "x/y~": 1}, ["#/x~1y~0"]),
    ({"type": "chat"}, ["#/id", "#/request"]),
    ({"type": "chat", "id": "b"}, ["#/request"]),
    ({"type": "chat", "id": "b", "request": []}, ["#/request"]),
    ({"type": "chat", "id": "b", "request": "x"}, ["#/request"]),
    ({"type": "chat", "id": "", "request": asked()}, ["#/id"]),
    ({"type": "chat", "id": LONG, "request": asked()}, ["#/id"]),
    ({"type": "chat", "id": 1, "request": asked()}, ["#/id"]),
    ({"type": "chat", "id": None, "request": asked()}, ["#/id"]),
    ({"type": "chat", "id": "b", "request": asked(), "after": 1}, ["#/after"]),
    ({"type": "chat", "id": "b", "request": {}}, ["#/request/model", "#/request/user_prompt"]),
    ({"type": "chat", "id": "b", "request": asked(prompt=1)}, ["#/request/prompt"]),
    (
        {"type": "chat", "id": "b", "request": asked(hyperparameters={"top_p": 2, "stop": [""]})},
        ["#/request/hyperparameters/top_p", "#/request/hyperparameters/stop/0"],
    ),
    ({"type": "chat", "id": "b", "request": asked(), "idempotency_key": ""}, ["#/idempotency_key"]),
    ({"type": "chat", "id": "b", "request": asked(), "idempotency_key": 1}, ["#/idempotency_key"]),
    (
        {"type": "chat", "id": "b", "request": asked(), "idempotency_key": "k" * 201},
        ["#/idempotency_key"],
    ),
    ({"type": "resume"}, ["#/id", "#/run_id"]),
    ({"type": "resume", "id": "b", "run_id": 1}, ["#/run_id"]),
    ({"type": "resume", "id": "b", "run_id": ABSENT, "after": -2}, ["#/after"]),
    ({"type": "resume", "id": "b", "run_id": ABSENT, "after": "1"}, ["#/after"]),
    ({"type": "resume", "id": "b", "run_id": ABSENT, "after": 1.0}, ["#/after"]),
    ({"type": "resume", "id": "b", "run_id": ABSENT, "after": True}, ["#/after"]),
    ({"type": "cancel"}, ["#/id"]),
    ({"type": "cancel", "id": "b", "run_id": ABSENT}, ["#/run_id"]),
    ({"type": "leave"}, ["#/id"]),
    ({"type": "leave", "id": LONG}, ["#/id"]),
]


def id_told(message: Json) -> str | None:
    """The id that an error answers under: the message's, if it is one."""
    given = message.get("id")
    return given if isinstance(given, str) and 1 <= len(given) <= 64 else None


@pytest.mark.parametrize(("message", "pointers"), UNFIT)
async def test_an_unfit_message_is_refused_with_every_fault_and_harms_no_run(
    shared: Running, message: Json, pointers: list[str]
) -> None:
    held = Held()
    shared.script.next(held.answer)

    async with speaking(shared) as peer:
        await peer.chat(LIVE)
        heard = await peer.hear_to("delta")
        await peer.socket.send_json(message)
        problem = await refused(peer, 422, "validation-error", id_told(message))
        held.let_go()
        heard += await peer.hear_end(LIVE)

    assert sorted(faults_of(problem)) == sorted(pointers)
    assert check_whole(heard) == held.text
