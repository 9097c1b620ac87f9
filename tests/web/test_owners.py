"""Is what belongs to somebody else the same as what is not there? Everywhere.

Ann tries every route and every message twice: with ids that nobody has, and then with those of
bob, who has done much in between. She must not be able to tell which was which.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uuid_utils
from aiohttp import ClientResponse
from attrs import asdict, field, frozen
from web.outside import Held, Json, asked
from web.speaking import PATH, Peer, refused

from credentials import asked_by, entries, key_of
from service.simulator import Raw
from service.web.authentication import SOCKET_PATH
from service.web.messages import CLIENT_MESSAGES
from service.web.routes import ROUTES
from support import Running, path_of, running

ANN, BOB = asked_by("ann"), asked_by("bob")
WORD = "zanzibar"
"""What bob speaks of, and nobody else."""
READER = "a-reader"
"""The id under which bob reads on his socket."""
IDEMPOTENCY_KEY = "a-key"


@frozen
class Ids:
    """What there may be of somebody; by default nothing of anybody."""

    conversation_id: str = field(factory=lambda: str(uuid_utils.uuid7()))
    question_id: str = field(factory=lambda: str(uuid_utils.uuid7()))
    message_id: str = field(factory=lambda: str(uuid_utils.uuid7()))
    run_id: str = field(factory=lambda: str(uuid_utils.uuid7()))


@frozen
class Try:
    """What ann asks for; `{own}` stands for a conversation of hers, other names for ids."""

    query: str = ""
    body: object = None
    headers: Mapping[str, str] = field(factory=dict)
    path: Mapping[str, str] = field(factory=dict)
    """Members of the path that are not as they are called."""


def chats() -> list[Json]:
    """Requests that go on with something of somebody else's."""
    here: Json = {"conversation_id": "{conversation_id}"}
    return [
        asked(**here),
        asked(**here, save_conversation=False),
        asked(**here, parent_message_id="{message_id}"),
        asked(**here, parent_message_id="root"),
        asked(conversation_id="{own}", parent_message_id="{message_id}"),
        asked(conversation_id="{own}", parent_message_id="{question_id}"),
    ]


USED = {"Idempotency-Key": IDEMPOTENCY_KEY}
STARTS = [Try(body=body) for body in chats()] + [Try(body=chats()[0], headers=USED)]
READS = [
    Try(),
    Try("?after=0"),
    Try("?after=999999"),
    Try(headers={"Last-Event-ID": "{run_id}:0"}),
    Try(headers={"Last-Event-ID": "{run_id}:999999"}),
]
CONVERSATION = "/api/conversations/{conversation_id}"
OWN = {"conversation_id": "{own}"}

TRIES: Mapping[tuple[str, str], Sequence[Try]] = {
    ("POST", "/api/chat/stream"): [*STARTS, *READS[3:]],
    ("POST", "/api/chat"): STARTS,
    ("POST", "/api/runs"): STARTS,
    ("GET", "/api/runs/{run_id}"): [Try()],
    ("GET", "/api/runs/{run_id}/events"): READS,
    ("POST", "/api/runs/{run_id}/cancel"): [Try()],
    ("GET", "/api/conversations"): [Try(), Try(f"?q={WORD}"), Try("?limit=1")],
    ("GET", CONVERSATION): [Try(), Try("?tree=true")],
    ("PATCH", CONVERSATION): [
        Try(body={"title": "Mine now"}),
        Try(body={"active_message_id": "{message_id}"}),
        Try(body={"active_message_id": "{message_id}"}, path=OWN),
        Try(body={"title": "Mine now", "active_message_id": "{question_id}"}, path=OWN),
    ],
    ("DELETE", CONVERSATION): [Try()],
    ("POST", f"{CONVERSATION}/messages/{{message_id}}/regenerate"): [
        Try(),
        Try(body={"model": "openai/gpt-oss-120b"}),
        Try(headers=USED),
        Try(path=OWN),
    ],
    ("GET", f"{CONVERSATION}/export"): [Try(), Try("?format=markdown")],
    ("GET", "/api/models"): [Try()],
    ("GET", "/api/usage"): [
        Try("?from=2020-01-01&to=2999-01-01"),
        Try("?from=2020-01-01&to=2999-01-01&group_by=model"),
    ],
}
PUBLIC = {
    ("GET", "/openapi.json"),
    ("GET", "/asyncapi.json"),
    ("GET", "/health"),
    ("GET", "/health/live"),
    ("GET", "/health/ready"),
    ("GET", "/metrics"),
    ("GET", "/docs"),
    ("GET", "/"),
    ("GET", "/static/{path}"),
}
"""For anybody; they tell nothing of anybody."""
SOCKET = ("GET", SOCKET_PATH)

MESSAGES: Mapping[str, Sequence[Json]] = {
    "auth": [{"token": key_of("bob")}],
    "chat": [
        *({"id": "mine", "request": request} for request in chats()),
        {"id": "mine", "request": chats()[0], "idempotency_key": IDEMPOTENCY_KEY},
        {"id": READER, "request": chats()[0]},
    ],
    "resume": [
        {"id": "mine", "run_id": "{run_id}"},
        {"id": "mine", "run_id": "{run_id}", "after": 0},
        {"id": "mine", "run_id": "{run_id}", "after": 999_999},
        {"id": READER, "run_id": "{run_id}"},
    ],
    "cancel": [{"id": READER}, {"id": "{run_id}"}],
    "leave": [{"id": READER}, {"id": "{run_id}"}],
    "ping": [{}],
}


def test_the_walk_leaves_nothing_out() -> None:
    assert {(route.method, path_of(route)) for route in ROUTES} == {*TRIES, *PUBLIC, SOCKET}
    assert MESSAGES.keys() == CLIENT_MESSAGES.keys()
    assert all(TRIES.values())
    assert all(MESSAGES.values())


# What ann does.


def filled(value: Any, ids: Mapping[str, str]) -> Any:
    """A value with ids for their names."""
    match value:
        case str():
            for name, told in ids.items():
                value = value.replace(f"{{{name}}}", told)
            return value
        case Mapping():
            return {key: filled(member, ids) for key, member in value.items()}
        case _:
            return value


async def walked(served: Running, own: str, theirs: Ids) -> dict[str, object]:
    """All that ann is told."""
    ids = {**asdict(theirs), "own": own}
    told: dict[str, object] = {}
    for (method, path), tries in TRIES.items():
        for number, one in enumerate(tries):
            there = filled(filled(path, filled(one.path, ids)), ids) + one.query
            async with served.client.request(
                method, there, json=filled(one.body, ids), headers=ANN | filled(one.headers, ids)
            ) as response:
                told[f"{method} {path} {number}"] = await answer(response)
    async with served.client.ws_connect(PATH, headers=ANN) as made:
        peer = Peer(made)
        await peer.hear()
        for kind, messages in MESSAGES.items():
            for number, message in enumerate(messages):
                await peer.say(kind, **filled(message, ids))
                heard = await peer.hear()
                heard.pop("id", None)  # she chose it
                told[f"{kind} {number}"] = without_id(heard)
        await peer.nothing_more()
    return told


async def answer(response: ClientResponse) -> object:
    """All of an answer that does not change with the time."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name.lower() not in ("date", "x-request-id", "content-length")
    }
    if "json" not in response.content_type:
        return response.status, headers, await response.text()
    return response.status, headers, without_id(await response.json(content_type=None))


def without_id(told: Json) -> Json:
    """An answer or a message without the id of its request."""
    if isinstance(told.get("error"), dict):
        told = told | {"error": without_id(told["error"])}
    return {name: value for name, value in told.items() if name != "request_id"}


# What bob does.


@asynccontextmanager
async def bob(served: Running, answered: Raw | None = None) -> AsyncIterator[tuple[Peer, Ids]]:
    """Bob on a socket, and what he has as soon as his answer has begun."""
    if answered:
        served.script.next(answered)
    async with served.client.ws_connect(PATH, headers=BOB) as made:
        peer = Peer(made)
        await peer.hear()
        request = asked(user_prompt=f"Tell me of {WORD}")
        await peer.say("chat", id=READER, request=request, idempotency_key=IDEMPOTENCY_KEY)
        (*_, started) = await peer.hear_to("started")
        yield (
            peer,
            Ids(
                conversation_id=started["conversation_id"],
                question_id=started["user_message_id"],
                message_id=started["message_id"],
                run_id=started["run_id"],
            ),
        )


async def bobs(served: Running, path: str) -> Json:
    """What bob is told."""
    async with served.client.get(path, headers=BOB) as response:
        told: Json = await response.json(content_type=None)
        return told


async def anns(served: Running) -> str:
    """The id of a conversation that ann has."""
    async with served.client.post("/api/chat", json=asked(), headers=ANN) as response:
        return str((await response.json())["conversation_id"])


def check_same(nobodys: Mapping[str, object], bobs: Mapping[str, object]) -> None:
    """Ann was told the same, so nothing of bob's."""
    assert bobs.keys() == nobodys.keys()
    for name, told in bobs.items():
        assert told == nobodys[name], name


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where conversations are kept."""
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/kept.db"


KEYS = entries("ann", "bob")


async def test_while_bobs_run_is_under_way(store: str) -> None:
    held = Held()
    async with running(API_KEYS=KEYS, CONVERSATION_STORE=store) as served:
        own = await anns(served)
        nobodys = await walked(served, own, Ids())
        async with bob(served, held.answer) as (peer, ids):
            await peer.hear_to("delta")
            paths = [f"/api/runs/{ids.run_id}", f"/api/conversations?q={WORD}"]
            before = [await bobs(served, path) for path in paths]
            theirs = await walked(served, own, ids)
            after = [await bobs(served, path) for path in paths]
            held.let_go()
            (*_, last) = await peer.hear_end(READER)
        whole = await bobs(served, f"/api/conversations/{ids.conversation_id}")

    check_same(nobodys, theirs)
    assert before == after
    assert (before[0]["status"], len(before[1]["items"])) == ("running", 1)
    assert last["finish_reason"] == "stop"
    assert whole["messages"][-1]["content"] == held.text


async def test_when_bobs_run_has_ended(store: str) -> None:
    async with running(API_KEYS=KEYS, CONVERSATION_STORE=store) as served:
        own = await anns(served)
        nobodys = await walked(served, own, Ids())
        async with bob(served) as (peer, ids):
            await peer.hear_end(READER)
            paths = [
                f"/api/conversations/{ids.conversation_id}?tree=true",
                f"/api/runs/{ids.run_id}",
                f"/api/conversations?q={WORD}",
                "/api/usage?from=2020-01-01&to=2999-01-01",
            ]
            before = [await bobs(served, path) for path in paths]
            theirs = await walked(served, own, ids)
            after = [await bobs(served, path) for path in paths]

    check_same(nobodys, theirs)
    assert before == after
    assert [len(before[2]["items"]), before[3]["total"]["answers"]] == [1, 1]


async def test_when_bobs_run_has_expired(store: str) -> None:
    async with running(API_KEYS=KEYS, CONVERSATION_STORE=store, RUN_RETENTION_BYTES="0") as served:
        own = await anns(served)
        nobodys = await walked(served, own, Ids())
        async with bob(served) as (peer, ids):
            await peer.hear_end(READER)
            theirs = await walked(served, own, ids)
        gone = await bobs(served, f"/api/runs/{ids.run_id}")

    check_same(nobodys, theirs)
    assert gone["type"] == "/problems/run-expired"


async def test_when_bobs_conversation_is_removed(store: str) -> None:
    async with running(API_KEYS=KEYS, CONVERSATION_STORE=store) as served:
        own = await anns(served)
        nobodys = await walked(served, own, Ids())
        async with bob(served) as (peer, ids):
            await peer.hear_end(READER)
            path = f"/api/conversations/{ids.conversation_id}"
            async with served.client.delete(path, headers=BOB) as response:
                assert response.status == 204
            theirs = await walked(served, own, ids)

    check_same(nobodys, theirs)


async def test_nobodys_is_not_found() -> None:
    async with running(API_KEYS=KEYS) as served:
        own = await anns(served)
        told = await walked(served, own, Ids())

    statuses = {name: one[0] for name, one in told.items() if isinstance(one, tuple)}
    lists = ("/api/conversations ", "/api/models ", "/api/usage ")
    found = {name for name, status in statuses.items() if status != 404}
    assert found == {name for name in statuses if name.partition(" ")[2].startswith(lists)}


async def test_what_is_public_tells_nothing_of_bob() -> None:
    async with running(API_KEYS=KEYS) as served, bob(served) as (peer, ids):
        await peer.hear_end(READER)
        bodies = {}
        for _, path in PUBLIC:
            async with served.client.get(path) as response:
                bodies[path] = await response.text()

    told_of = ["key:bob", "bob", WORD, *asdict(ids).values()]
    assert {(path, one) for path, body in bodies.items() for one in told_of if one in body} == set()


# What needs more than one try.


async def test_a_key_of_idempotency_is_its_owners() -> None:
    runs = []
    async with running(API_KEYS=KEYS) as served:
        for headers in (ANN, BOB, ANN, BOB):
            async with served.client.post(
                "/api/chat", json=asked(), headers=headers | USED
            ) as response:
                runs.append((await response.json())["run_id"])

    assert runs[:2] == runs[2:]
    assert runs[0] != runs[1]
    assert len(served.script.requests) == 2


async def test_so_it_is_with_different_requests_and_on_sockets() -> None:
    async with running(API_KEYS=KEYS) as served, bob(served) as (peer, ids):
        await peer.hear_end(READER)
        async with served.client.ws_connect(PATH, headers=ANN) as made:
            ann = Peer(made)
            await ann.hear()
            await ann.say("chat", id=READER, request=asked(), idempotency_key=IDEMPOTENCY_KEY)
            (*_, started) = await ann.hear_to("started")
            await ann.hear_end(READER)

    assert started["run_id"] != ids.run_id


async def test_ann_cancels_her_own_run_under_the_same_id() -> None:
    held = Held(), Held()
    async with running(API_KEYS=KEYS) as served, bob(served, held[0].answer) as (peer, ids):
        served.script.next(held[1].answer)
        async with served.client.ws_connect(PATH, headers=ANN) as made:
            ann = Peer(made)
            await ann.hear()
            await ann.chat(READER)
            await ann.hear_to("started")
            await ann.say("cancel", id=READER)
            (*_, anns) = await ann.hear_end(READER)
        state = await bobs(served, f"/api/runs/{ids.run_id}")
        held[0].let_go()
        (*_, last) = await peer.hear_end(READER)

    assert anns["finish_reason"] == "cancelled"
    assert state["status"] == "running"
    assert last["finish_reason"] == "stop"


async def test_a_place_in_bobs_list_shows_ann_nothing() -> None:
    async with running(API_KEYS=KEYS) as served:
        for _ in range(2):
            await served.client.post("/api/chat", json=asked(), headers=BOB)
        cursor = (await bobs(served, "/api/conversations?limit=1"))["next_cursor"]
        path = f"/api/conversations?cursor={cursor}"
        async with served.client.get(path, headers=ANN) as response:
            told = await response.json()

    assert told == {"items": [], "next_cursor": None}


async def test_of_a_socket_that_of_ann_nothing_is_bobs() -> None:
    async with running(API_KEYS=KEYS) as served, bob(served) as (peer, ids):
        await peer.hear_end(READER)
        async with served.client.ws_connect(PATH) as made:
            ann = Peer(made)
            await ann.say("auth", token=key_of("ann"))
            await ann.hear()
            await ann.say("resume", id="mine", run_id=ids.run_id)
            problem = await refused(ann, 404, "run-not-found", "mine")

    assert WORD not in json.dumps(problem)
