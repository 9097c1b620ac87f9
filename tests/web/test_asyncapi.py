"""Is the socket what /asyncapi.json says that it is?"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from inspect import getmembers, isclass
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest
from aiohttp import ClientWebSocketResponse
from attrs import field, frozen
from jsonschema import Draft7Validator
from msgspec import Struct
from web.outside import Held, Json, asked, said

from service.core import events
from service.core.catalogue import PARAMETER_TYPES
from service.core.errors import Kind
from service.simulator import Cut, Pause, Refusal, error_data
from service.web import messages
from service.web.asyncapi import CLOSE_CODES, describe_socket
from service.web.keys import SOCKETS
from service.web.ws import SUBPROTOCOL
from support import Running, catalogue, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

PACKAGE = Path(__file__).parent.parent / "node" / "node_modules" / "@asyncapi" / "specs"
"""The official schemas, which no package on PyPI has; `make test` installs them from npm."""
VERSION = "1.2.3"
DOCUMENT: Json = json.loads(describe_socket(VERSION, catalogue()))
[CHANNEL] = DOCUMENT["channels"].values()
MESSAGES: Json = DOCUMENT["components"]["messages"]
SCHEMAS: Json = DOCUMENT["components"]["schemas"]
BY_CLIENT = list(messages.CLIENT_MESSAGES)
WITHOUT_KEYS = [name for name in BY_CLIENT if name != "auth"]
"""What can be said where nobody has to say who they are; `auth` has tests of its own."""
BY_SERVER = [name for name in MESSAGES if name not in BY_CLIENT]
SECONDS = 5


def validator(name: str) -> Draft7Validator:
    """Of the payload of a message."""
    return Draft7Validator({**MESSAGES[name]["payload"], "components": DOCUMENT["components"]})


def examples(names: Sequence[str]) -> list[Any]:
    """Name of the message, summary and payload of each example."""
    return [
        pytest.param(name, example["summary"], example["payload"], id=example["name"])
        for name in names
        for example in MESSAGES[name]["examples"]
    ]


def named(direction: str, *, replies: bool = False) -> set[str]:
    """The messages that operations of a direction refer to."""
    operations = [it for it in DOCUMENT["operations"].values() if it["action"] == direction]
    lists = [(it["reply"] if replies else it)["messages"] for it in operations]
    return {ref["$ref"].rpartition("/")[2] for refs in lists for ref in refs}


def tags(module: ModuleType) -> set[str]:
    """The `type`s of the messages that a module defines or uses."""
    structs = [cls for _, cls in getmembers(module, isclass) if issubclass(cls, Struct)]
    return {str(tag) for cls in structs if (tag := cls.__struct_config__.tag)}


class TestTheDocument:
    async def test_is_valid_by_the_schema_of_asyncapi(self) -> None:
        assert PACKAGE.exists(), f"{PACKAGE} is missing: run `make test`, which installs it"
        schema = PACKAGE / "schemas" / "3.0.0-without-$id.json"

        Draft7Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(DOCUMENT)

    async def test_has_schemas_that_are_schemas(self) -> None:
        for schema in SCHEMAS.values():
            Draft7Validator.check_schema(schema)

    async def test_refers_only_to_what_is_in_it(self) -> None:
        pointers = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT)))

        assert pointers
        for pointer in pointers:
            found = DOCUMENT
            for step in pointer.split("/"):
                found = found[step]

    async def test_is_served(self, shared: Running) -> None:
        response = await shared.client.get("/asyncapi.json")
        body = await response.json()

        assert body == DOCUMENT | {"info": body["info"]}
        assert DOCUMENT["info"]["version"] == VERSION

    async def test_tells_the_address_the_subprotocol_and_the_close_codes(self) -> None:
        told = re.findall(r"^- (\d+): (.+)$", CHANNEL["description"], re.MULTILINE)

        assert CHANNEL["address"] == "/api/chat/ws"
        assert f"`{SUBPROTOCOL}`" in CHANNEL["description"]
        assert [(int(code), meaning) for code, meaning in told] == list(CLOSE_CODES.items())

    async def test_says_what_every_member_is(self) -> None:
        unsaid = [
            f"{name}.{member}"
            for name, schema in SCHEMAS.items()
            for member, told in schema.get("properties", {}).items()
            if not {"description", "$ref", "const"} & told.keys()
        ]

        assert unsaid == []

    async def test_names_every_problem(self) -> None:
        slugs = SCHEMAS["ProblemBody"]["properties"]["type"]["examples"]

        assert slugs == [f"/problems/{kind.slug}" for kind in Kind]


class TestEveryMessage:
    async def test_of_the_code_is_in_the_document_and_back(self) -> None:
        parsed = [cls for _, cls in getmembers(messages, isclass) if attrs.has(cls)]

        assert set(parsed) == set(messages.CLIENT_MESSAGES.values())
        assert set(MESSAGES) == {*BY_CLIENT, *tags(messages), *tags(events)}
        assert set(CHANNEL["messages"]) == set(MESSAGES)

    async def test_is_in_an_operation_of_its_direction(self) -> None:
        assert named("receive") == set(BY_CLIENT)
        assert named("receive", replies=True) | named("send") == set(BY_SERVER)

    @pytest.mark.parametrize(("name", "_note", "payload"), examples([*MESSAGES]))
    async def test_has_examples_that_are_as_described(
        self, name: str, _note: str, payload: Json
    ) -> None:
        assert payload["type"] == name
        validator(name).validate(payload)

    @pytest.mark.parametrize(("name", "_note", "payload"), examples([*MESSAGES]))
    async def test_has_a_schema_that_refuses_what_is_no_such_message(
        self, name: str, _note: str, payload: Json
    ) -> None:
        required = SCHEMAS[MESSAGES[name]["payload"]["$ref"].rpartition("/")[2]]["required"]
        others = set(MESSAGES) - {name}

        assert {"type"} <= set(required)
        for member in required:
            wrong = payload | {member: object()}
            without = {other: value for other, value in payload.items() if other != member}
            assert not validator(name).is_valid(wrong), member
            assert not validator(name).is_valid(without), member
        assert not [other for other in others if validator(other).is_valid(payload)]

    @pytest.mark.parametrize(("name", "_note", "payload"), examples(BY_SERVER))
    async def test_of_the_server_may_get_more_members(
        self, name: str, _note: str, payload: Json
    ) -> None:
        assert validator(name).is_valid(payload | {"new": 1})

    @pytest.mark.parametrize(("name", "_note", "payload"), examples(BY_CLIENT))
    async def test_of_a_client_may_not(self, name: str, _note: str, payload: Json) -> None:
        assert not validator(name).is_valid(payload | {"new": 1})


# On the wire.


@frozen
class Talk:
    """A socket whose every message is checked when it comes."""

    socket: ClientWebSocketResponse
    heard: list[Json] = field(factory=list)

    async def say(self, message: Mapping[str, object]) -> None:
        await self.socket.send_json(message)

    async def hear(self, name: str) -> Json:
        """The next message of that type; those before it are only checked."""
        while True:
            message: Json = await self.socket.receive_json(timeout=SECONDS)
            validator(message["type"]).validate(message)
            self.heard.append(message)
            if message["type"] == name:
                return message


@asynccontextmanager
async def talking(service: Running) -> AsyncIterator[Talk]:
    """A socket that was welcomed."""
    async with service.client.ws_connect("/api/chat/ws", protocols=[SUBPROTOCOL]) as socket:
        talk = Talk(socket)
        await talk.hear("welcome")
        yield talk


def chat(**members: object) -> Json:
    return {"type": "chat", "id": "1", "request": asked()} | members


def asking(**members: object) -> Json:
    return chat(request=asked(**members))


def resume(**members: object) -> Json:
    return {"type": "resume", "id": "1", "run_id": "x"} | members


FIRST = MESSAGES["chat"]["examples"][0]["payload"]
ANSWERED_WITH = {
    "chat": ("finished", "stop"),
    "resume": ("finished", "stop"),
    "cancel": ("finished", "cancelled"),
    "leave": ("left", None),
    "ping": ("pong", None),
}


@pytest.mark.parametrize(("name", "note", "payload"), examples(WITHOUT_KEYS))
async def test_an_example_of_a_client_is_answered_as_described(
    name: str, note: str, payload: Json
) -> None:
    held, payload = Held(), deepcopy(payload)
    kind, finish_reason = ANSWERED_WITH[name]
    async with running() as service, talking(service) as talk:
        service.script.next(held.answer)
        await talk.say(FIRST)
        started = await talk.hear("started")
        if name in {"chat", "resume"}:
            held.let_go()
            await talk.hear("finished")
        request = payload.get("request", payload)
        request |= {member: started[member] for member in re.findall("your own `(.+?)`", note)}
        await talk.say(payload)
        answer = await talk.hear(kind)
        held.let_go()

    assert answer.get("id") == payload.get("id")
    assert answer.get("finish_reason") == finish_reason
    assert "error" not in {message["type"] for message in talk.heard}


async def test_whatever_the_server_says_is_as_described() -> None:
    async with running() as service, talking(service) as talk:
        answers = [said("Hel", "lo"), said("Hel", Pause(0.01), Cut())]
        service.script.next(*answers, Refusal(429, error_data("no"), {"retry-after": "99"}))
        await talk.say(chat())
        run_id = (await talk.hear("started"))["run_id"]
        await talk.hear("finished")
        await talk.say(resume(run_id=run_id))
        await talk.hear("finished")
        await talk.say(chat())
        await talk.hear("failed")
        await talk.say(chat())
        await talk.hear("error")
        await talk.socket.send_str("no JSON")
        await talk.hear("error")
        await talk.say(asking(hyperparameters={"top_p": 3}))
        await talk.hear("error")
        await talk.say(chat())
        await talk.say({"type": "leave", "id": "1"})
        await talk.hear("left")
        await talk.say({"type": "ping"})
        await talk.hear("pong")
        service.service.app[SOCKETS].announce_draining()
        await talk.hear("draining")

    assert {message["type"] for message in talk.heard} == set(BY_SERVER)


@pytest.mark.parametrize(
    "message",
    [
        chat(id="i" * 65),
        chat(id=""),
        chat(id=1),
        chat(extra=1),
        chat(request=[]),
        chat(idempotency_key=""),
        chat(idempotency_key="ö"),
        chat(idempotency_key="k" * 201),
        resume(after=-2),
        resume(after="0"),
        resume(run_id=7),
        {"type": "ping", "id": "1"},
        {"type": "cancel"},
        {"type": "leave", "id": None},
        asking(user_prompt=" \n"),
        asking(model=None),
        asking(temperature=1),
        asking(save_conversation=1),
        asking(on_disconnect="wait"),
        asking(hyperparameters={"heat": 1}),
        asking(hyperparameters={"temperature": "1"}),
        asking(hyperparameters={"max_tokens": 1.5}),
        asking(hyperparameters={"stop": [""]}),
        asking(hyperparameters={"stop": "END"}),
        asking(hyperparameters={"stop": ["END"] * 5}),
        asking(hyperparameters={"top_p": 1.5}),
        asking(hyperparameters={"max_tokens": 0}),
        asking(hyperparameters={"reasoning_effort": "some"}),
        asking(parent_message_id="root"),
    ],
)
async def test_what_its_schema_refuses_is_refused(shared: Running, message: Json) -> None:
    async with talking(shared) as talk:
        await talk.say(message)
        answer = await talk.hear("error")

    assert not validator(message["type"]).is_valid(message)
    assert answer["error"]["type"] == "/problems/validation-error"


@pytest.mark.parametrize(
    "message",
    [
        chat(id="i" * 64),
        chat(id="🎈" * 64),
        chat(idempotency_key="~" * 200),
        chat(idempotency_key=None),
        asking(hyperparameters=None, save_conversation=None, on_disconnect=None),
        asking(system_prompt=None, conversation_id=None, parent_message_id=None),
        asking(hyperparameters=dict.fromkeys(PARAMETER_TYPES)),
        asking(hyperparameters={"temperature": 1, "stop": []}),
    ],
)
async def test_what_its_schema_accepts_is_accepted(shared: Running, message: Json) -> None:
    async with talking(shared) as talk:
        await talk.say(message)
        await talk.hear("finished")

    assert validator(message["type"]).is_valid(message)
    assert "error" not in {message["type"] for message in talk.heard}
