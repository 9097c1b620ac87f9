"""Is the HTTP API what /openapi.json says that it is?"""

import json
import re
from typing import Any

import attrs
import pytest
from aiohttp import hdrs
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from web.described import (
    BY_NAME,
    DOCUMENT,
    SECURED,
    VERSION,
    Asker,
    Described,
    check,
    check_headers,
    found,
    operations,
)
from web.outside import Held, Json, asked, chat, start

from credentials import entries
from service.core.catalogue import PARAMETER_TYPES, Catalogue, Model
from service.core.errors import Kind
from service.simulator import Refusal, error_data
from service.web.openapi import describe_http
from service.web.routes import ROUTES
from support import Running, catalogue, path_of, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEMAS: Json = DOCUMENT["components"]["schemas"]
NO_OPERATION = {Kind.METHOD_NOT_ALLOWED}
"""The problem of requests that no operation takes."""
STARTS = ["stream_chat", "chat", "start_run", "regenerate"]
SUCCESSES = {
    (it.name, int(status))
    for it in operations()
    for status in it.told["responses"]
    if status.startswith("2") or (it.path, status) == ("/health/ready", "503")
}
"""Of every operation; the handshake has a test of its own."""


class TestTheDocument:
    @pytest.mark.parametrize("document", [DOCUMENT, SECURED])
    async def test_is_valid_by_the_schema_of_openapi(self, document: Json) -> None:
        assert document["openapi"].startswith("3.1.")
        OpenAPIV31SpecValidator(document).validate()

    async def test_has_schemas_that_are_schemas(self) -> None:
        for schema in SCHEMAS.values():
            Draft202012Validator.check_schema(schema)

    async def test_refers_only_to_what_is_in_it(self) -> None:
        references = set(re.findall(r'"\$ref": "(#/[^"]+)"', json.dumps(DOCUMENT)))
        links = [
            link["operationId"]
            for operation in operations()
            for response in operation.told["responses"].values()
            for link in response.get("links", {}).values()
        ]

        assert references
        assert all(found({"$ref": reference}) for reference in references)
        assert set(links) <= set(BY_NAME)

    async def test_uses_every_component(self) -> None:
        text = json.dumps(DOCUMENT)

        for group, members in DOCUMENT["components"].items():
            for name in members:
                assert f'"#/components/{group}/{name}"' in text, name

    async def test_is_served(self, shared: Running) -> None:
        response = await shared.client.get("/openapi.json")
        body = await response.json()

        assert body == DOCUMENT | {"info": body["info"]}
        assert DOCUMENT["info"]["version"] == VERSION

    async def test_says_what_everything_is(self) -> None:
        said = [operation.told["summary"] for operation in operations()]
        said += [it["description"] for it in DOCUMENT["components"]["parameters"].values()]
        said += [it["description"] for it in DOCUMENT["components"]["headers"].values()]
        said += [it["description"] for it in DOCUMENT["tags"]]
        said += [
            response["description"]
            for operation in operations()
            for response in operation.told["responses"].values()
        ]
        unsaid = [
            f"{name}.{member}"
            for name, schema in SCHEMAS.items()
            for member, told in schema.get("properties", {}).items()
            if not {"description", "$ref"} & told.keys()
        ]

        assert all(said)
        assert unsaid == []
        assert {it["name"] for it in DOCUMENT["tags"]} == {
            tag for operation in operations() for tag in operation.told["tags"]
        }

    async def test_names_every_problem_of_an_operation(self) -> None:
        told = [
            slug
            for operation in operations(SECURED)
            for response in operation.told["responses"].values()
            for content in response.get("content", {}).values()
            for part in content["schema"].get("allOf", [])
            for slug in part.get("properties", {}).get("type", {}).get("enum", [])
        ]

        assert set(told) == {f"/problems/{kind.slug}" for kind in set(Kind) - NO_OPERATION}

    async def test_tells_the_ranges_of_the_catalogue(self) -> None:
        general, members = catalogue().general, {}
        for kind in ("ChatRequest", "RegenerateRequest"):
            asked_for, null = SCHEMAS[kind]["properties"]["hyperparameters"]["anyOf"]
            members = {name: it["anyOf"][0] for name, it in asked_for["properties"].items()}
            assert null == {"type": "null"}
            assert list(members) == list(PARAMETER_TYPES)

        for name, member in members.items():
            entry = general[name]
            assert member.get("minimum") == entry.minimum
            assert member.get("enum") == (entry.enum and list(entry.enum))
            assert member.get("maxItems") == entry.max_items
        assert members["temperature"]["maximum"] == 2.0
        assert members["max_tokens"]["maximum"] == 32000

    async def test_tells_the_widest_range_of_any_model(self) -> None:
        general = catalogue().general
        wide = attrs.evolve(general["top_p"], minimum=None, maximum=4.0)
        model = Model(id="wide", name="Wide", parameters={**general, "top_p": wide})
        document = json.loads(
            describe_http(VERSION, Catalogue([model], general), authentication=False)
        )
        schema = document["components"]["schemas"]["ChatRequest"]["properties"]["hyperparameters"]

        assert schema["anyOf"][0]["properties"]["top_p"]["anyOf"][0] == {
            "type": "number",
            "maximum": 4.0,
        }


async def test_limits_of_an_owner_are_told_as_described() -> None:
    async with running(RATE_LIMIT_REQUESTS="4/day") as service:
        client, ids = Asker(service), await ids_of(service)
        for name in STARTS[:3]:
            await client.ask(name, 202 if name == "start_run" else 200, asked())
        _, path = own(BY_NAME["regenerate"], "", {}, ids)
        for name in STARTS:
            regenerating = name == "regenerate"
            sent = path if regenerating else {}
            await client.ask(name, 429, {} if regenerating else asked(), **sent)


async def test_a_credential_that_is_missing_is_told_as_described() -> None:
    [described] = [it for it in operations(SECURED) if it.name == "list_models"]
    headers = described.told["responses"]["401"]["headers"]
    challenge = SECURED["components"]["headers"]["WWW-Authenticate"]["schema"]["const"]
    async with running(API_KEYS=entries("ann")) as service:
        async with service.client.get(described.path) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"] == challenge

    assert set(headers) == {"X-Request-Id", "X-Simulated", "WWW-Authenticate", "Retry-After"}


class TestEveryRoute:
    async def test_is_in_the_document_and_back(self, shared: Running) -> None:
        served = {
            (route.method, resource.canonical)
            for resource in shared.client.server.app.router.resources()  # type: ignore[attr-defined]
            for route in resource
            if route.method != hdrs.METH_OPTIONS
        }

        assert {(it.method, it.path) for it in operations()} == served

    async def test_has_the_name_of_its_handler(self) -> None:
        named = {(it.method, it.path): it.name for it in operations()}

        for route in ROUTES:
            assert named[route.method, path_of(route)] == route.handler.__name__

    @pytest.mark.parametrize("operation", operations(), ids=lambda it: it.name)
    async def test_tells_the_parameters_of_its_path(self, operation: Described) -> None:
        told = [it["name"] for it in operation.parameters if it["in"] == "path"]

        assert told == re.findall(r"{(\w+)}", operation.path)

    @pytest.mark.parametrize("operation", operations(), ids=lambda it: it.name)
    async def test_has_examples_that_are_as_described(self, operation: Described) -> None:
        for parameter in operation.parameters:
            check(parameter["schema"], parameter["example"])
        for content in operation.contents:
            for example in content.get("examples", {}).values():
                check(content["schema"], example["value"])

    async def test_is_open_only_where_it_says_so(self) -> None:
        public = {it.name for it in operations(SECURED) if it.told.get("security") == []}
        closed = {it.name for it in operations(SECURED) if "401" in it.told["responses"]}

        assert SECURED["security"] == [{"bearer": []}]
        assert SECURED["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
        assert closed == set(BY_NAME) - public
        assert {it.path for it in operations(SECURED) if it.name in closed} == {
            path for path in DOCUMENT["paths"] if path.startswith("/api/")
        }

    async def test_asks_for_nobody_where_there_is_no_authentication(self) -> None:
        assert "security" not in json.dumps(DOCUMENT)
        assert not [it.name for it in operations() if "401" in it.told["responses"]]


# On the wire.


def examples(*names: str) -> list[Any]:
    """Name of the operation, note and value of each example of a request."""
    return [
        pytest.param(name, example["summary"], example["value"], id=f"{name}-{key}")
        for name in names
        for content in BY_NAME[name].told["requestBody"]["content"].values()
        for key, example in content["examples"].items()
    ]


def own(operation: Described, note: str, body: Json, ids: Json) -> tuple[Json, Json]:
    """Body and parameters of an example, with ids that exist where it says that they go."""
    put_in = re.findall("your own `(.+?)`", note)
    return body | {name: ids[name] for name in put_in}, {
        name: ids[name] for name in re.findall(r"{(\w+)}", operation.path)
    }


async def ids_of(service: Running) -> Json:
    """The ids of a run, its conversation and its messages; and the path of a file."""
    answer = await chat(service)
    return answer | {"active_message_id": answer["message_id"], "path": "chat-client.js"}


@pytest.mark.parametrize(("name", "note", "body"), examples(*STARTS, "change_conversation"))
async def test_an_example_of_a_body_is_answered_as_described(
    name: str, note: str, body: Json
) -> None:
    async with running() as service:
        sent, path = own(BY_NAME[name], note, body, await ids_of(service))
        await Asker(service).ask(name, 202 if name == "start_run" else 200, sent, **path)


@pytest.mark.parametrize(
    ("operation", "parameter"),
    [
        pytest.param(operation, parameter, id=f"{operation.name}-{parameter['name']}")
        for operation in operations()
        for parameter in operation.parameters
        if parameter["in"] != "path" and operation.name != "chat_socket"
        if parameter["name"] != "X-Request-Id" or operation.name == "live"
    ],
)
async def test_an_example_of_a_parameter_is_accepted(operation: Described, parameter: Json) -> None:
    body = asked() if operation.name in STARTS[:3] else None
    body = {"title": "Another"} if operation.name == "change_conversation" else body
    status = next(iter(operation.told["responses"]))
    async with running() as service:
        ids = await ids_of(service)
        _, path = own(operation, "", {}, ids)
        example = str(parameter["example"]).replace("True", "true")
        example = re.sub("^.+:1$", f"{ids['run_id']}:1", example)
        name = parameter["name"].lower().replace("-", "_")
        await Asker(service).ask(operation.name, int(status), body, **path, **{name: example})


async def test_whatever_succeeds_is_as_described() -> None:
    async with running() as service:
        client = Asker(service)
        answer = await client.ask("chat", 200, asked())
        run_id, here = answer["run_id"], {"conversation_id": answer["conversation_id"]}
        await client.ask("stream_chat", 200, asked(**here))
        await client.ask("stream_chat", 200, last_event_id=f"{run_id}:0")
        started = await client.ask("start_run", 202, asked(save_conversation=False))
        await client.ask("run_events", 200, **started)
        state = await client.ask("run_state", 200, **started)
        await client.ask("cancel_run", 200, run_id=run_id)
        await client.ask("run_events", 204, **started, after=str(state["last_seq"]))
        await client.ask("regenerate", 200, **here, message_id=answer["message_id"])
        await client.ask("list_conversations", 200, limit="1", q="hello")
        await client.ask("show_conversation", 200, **here, tree="true")
        await client.ask("change_conversation", 200, {"title": "Another"}, **here)
        await client.ask("export_conversation", 200, **here)
        await client.ask("export_conversation", 200, **here, format="markdown")
        await client.ask("delete_conversation", 204, **here)
        await client.ask("show_usage", 200, group_by="model")
        for name in ("list_models", "openapi", "asyncapi", "metrics"):
            await client.ask(name, 200)
        await client.ask("static_file", 200, path="chat-client.js")
        await client.ask("static_file_head", 200, path="chat-client.js")
        for name in ("health", "live", "ready", "playground", "docs"):
            await client.ask(name, 200)
            await client.ask(f"{name}_head", 200)
        await service.service.chat.drain(0)
        await client.ask("ready", 503)
        await client.ask("ready_head", 503)

    assert client.seen >= SUCCESSES


async def test_a_socket_is_opened_as_described() -> None:
    operation = BY_NAME["chat_socket"]
    sent = {it["name"]: it["example"] for it in operation.parameters}
    async with running() as service:
        async with service.client.get(operation.path, headers=sent) as response:
            check_headers(operation.told["responses"]["101"], response.headers)

    assert response.status == 101


@pytest.mark.parametrize("name", STARTS)
async def test_a_run_is_refused_as_described(name: str) -> None:
    held, again = Held(), name == "regenerate"
    async with running(MAX_BODY_BYTES="4096", MAX_ACTIVE_RUNS="1") as service:
        client, ids = Asker(service), await ids_of(service)
        body = {} if again else asked(conversation_id=ids["conversation_id"])
        _, path = own(BY_NAME[name], "", {}, ids)
        unknown = path | {"message_id": "no"} if again else {}

        await client.ask(name, 400, [], **path)
        await client.ask(name, 413, body | {"system_prompt": "long" * 1024}, **path)
        await client.ask(name, 422, body | {"model": "unheard-of"}, **path)
        await client.ask(name, 422, body | {"hyperparameters": {"top_p": 3}}, **path)
        await client.ask(name, 422, body, **path, idempotency_key="a key")
        await client.ask(name, 404, body if again else asked(conversation_id="no"), **unknown)
        service.script.next(held.answer)
        await start(service)
        await client.ask(name, 503, body, **path)
        held.let_go()

    assert client.seen == {(name, status) for status in (400, 413, 422, 404, 503)}


@pytest.mark.parametrize("name", STARTS)
async def test_a_run_that_is_in_the_way_is_told_as_described(name: str) -> None:
    held = Held()
    async with running() as service:
        client, ids = Asker(service), await ids_of(service)
        body = {} if name == "regenerate" else asked(conversation_id=ids["conversation_id"])
        _, path = own(BY_NAME[name], "", {}, ids)
        service.script.next(held.answer)
        await start(service, conversation_id=ids["conversation_id"])
        await client.ask(name, 409, body, **path)
        held.let_go()


@pytest.mark.parametrize("name", ["stream_chat", "chat", "regenerate"])
@pytest.mark.parametrize(
    ("refusal", "status"),
    [
        (Refusal(400, error_data("no")), 502),
        (Refusal(401, error_data("no")), 502),
        (Refusal(408, error_data("no")), 504),
        (Refusal(413, error_data("no")), 413),
        (Refusal(429, error_data("no"), {"retry-after": "99"}), 429),
        (Refusal(500, error_data("no")), 502),
    ],
)
async def test_what_groq_refuses_is_told_as_described(
    name: str, refusal: Refusal, status: int
) -> None:
    async with running(UPSTREAM_MAX_RETRIES="0") as service:
        ids = await ids_of(service)
        service.script.next(refusal)
        _, path = own(BY_NAME[name], "", {}, ids)
        await Asker(service).ask(name, status, {} if path else asked(), **path)


async def test_whatever_else_is_refused_is_as_described(shared: Running) -> None:
    client, here = Asker(shared), {"conversation_id": "unknown"}
    for name in ("run_state", "run_events", "cancel_run"):
        await client.ask(name, 404, run_id="unknown")
    for name in ("show_conversation", "export_conversation", "delete_conversation"):
        await client.ask(name, 404, **here)
    await client.ask("stream_chat", 404, asked(), last_event_id="unknown:1")
    await client.ask("stream_chat", 422, asked(), last_event_id="unknown")
    await client.ask("list_conversations", 422, limit="0", cursor="made up")
    await client.ask("show_conversation", 422, **here, tree="yes")
    await client.ask("export_conversation", 422, **here, format="pdf")
    await client.ask("change_conversation", 422, {"title": ""}, **here)
    await client.ask("change_conversation", 404, {"title": "Another"}, **here)
    await client.ask("chat_socket", 422)
    started = await start(shared)
    await client.ask("run_events", 422, run_id=started, after="1000")
