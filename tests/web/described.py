"""What does /openapi.json promise? Its operations, and a client that holds answers against them."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import ClientResponse
from attrs import define, field, frozen
from jsonschema import Draft202012Validator
from web.outside import Json

from service.web.openapi import describe_http
from support import Running, catalogue

VERSION = "1.2.3"
DOCUMENT: Json = json.loads(describe_http(VERSION, catalogue(), authentication=False))
SECURED: Json = json.loads(describe_http(VERSION, catalogue(), authentication=True))


@frozen
class Described:
    """An operation of the document."""

    method: str
    path: str
    told: Json = field(repr=False)

    @property
    def name(self) -> str:
        """Its operationId."""
        return str(self.told["operationId"])

    @property
    def parameters(self) -> list[Json]:
        """What it takes beside a body."""
        return [found(parameter) for parameter in self.told["parameters"]]

    @property
    def contents(self) -> Iterator[Json]:
        """What the bodies hold that it takes and answers."""
        for body in (self.told.get("requestBody", {}), *self.told["responses"].values()):
            yield from body.get("content", {}).values()


def operations(document: Json = DOCUMENT) -> list[Described]:
    """All of a document."""
    return [
        Described(method.upper(), path, told)
        for path, methods in document["paths"].items()
        for method, told in methods.items()
    ]


BY_NAME = {it.name: it for it in operations()}


def found(value: Any) -> Any:
    """What a reference leads to, or the value itself."""
    while "$ref" in value:
        target: Any = DOCUMENT
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value


def check(schema: Json, value: object) -> None:
    """Raise unless a value is as its schema says, and so is the JSON in its strings."""
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)
    if isinstance(value, dict):
        for name, member in found(schema).get("properties", {}).items():
            if "contentSchema" in member:
                assert member["contentMediaType"] == "application/json"
                check(member["contentSchema"], json.loads(value[name]))


OF_EVERY_RESPONSE = {
    "content-length",
    "content-type",
    "connection",
    "date",
    "server",
    "transfer-encoding",
    "vary",
    "cache-control",
    "content-security-policy",
    "cross-origin-resource-policy",
    "referrer-policy",
    "x-content-type-options",
    "x-frame-options",
    "content-encoding",
    "upgrade",
    "sec-websocket-accept",
    "sec-websocket-protocol",
}
"""Headers that HTTP and browsers need, or the handshake; no client has to look at them."""


def check_headers(told: Json, headers: Mapping[str, str]) -> None:
    """Raise unless the headers of a response are as the response is described, and no others."""
    described = {name.lower() for name in told["headers"]} | OF_EVERY_RESPONSE
    assert not [name for name in headers if name.lower() not in described]
    for name, reference in told["headers"].items():
        header, value = found(reference), headers.get(name)
        assert value is not None or not header.get("required"), name
        if value is not None:
            number = header["schema"].get("type") == "integer"
            check(header["schema"], int(value) if number else value)


def check_text(content: Json, content_type: str, text: str) -> None:
    """Raise unless a body is as it is described; of a stream every event."""
    match content_type.partition("/"):
        case "text", _, "event-stream":
            *frames, rest = text.split("\n\n")
            assert rest == ""
            for frame in frames:
                check(content["schema"], dict(line.split(": ", 1) for line in frame.split("\n")))
        case "text", _, _:
            check(content["schema"], text)
        case _:
            check(content["schema"], json.loads(text))


@define
class Asker:
    """A client that holds every response against the document."""

    service: Running
    seen: set[tuple[str, int]] = field(factory=set)
    """Names of operations, and the statuses that they were answered with."""

    async def ask(self, name: str, status: int, body: object = None, **values: str) -> Any:
        """The body of the response, which has that status; *values* are parameters by name."""
        operation = BY_NAME[name]
        places: dict[str, dict[str, str]] = {"path": {}, "query": {}, "header": {}}
        for parameter in operation.parameters:
            key = parameter["name"].lower().replace("-", "_")
            if key in values:
                places[parameter["in"]][parameter["name"]] = values.pop(key)
        assert not values, "no such parameters"
        async with self.service.client.request(
            operation.method,
            operation.path.format(**places["path"]),
            params=places["query"],
            headers=places["header"],
            json=body,
        ) as response:
            return await self._checked(operation, status, response)

    async def _checked(self, operation: Described, status: int, response: ClientResponse) -> Any:
        text = await response.text()
        assert response.status == status, text
        told = operation.told["responses"][str(status)]
        check_headers(told, response.headers)
        if "content" in told:
            check_text(told["content"][response.content_type], response.content_type, text)
        else:
            assert text == ""
        self.seen.add((operation.name, status))
        return json.loads(text) if response.content_type.endswith("json") and text else text
