"""How is the HTTP API described to machines? As OpenAPI 3.1, from the code's own types."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import get_args

from aiohttp import hdrs, web

from service.core.catalogue import Catalogue, Model
from service.core.errors import Kind
from service.core.events import Event, ProblemBody, encode
from service.core.request import JsonObject
from service.web.cors import EXPOSED
from service.web.keys import OPENAPI
from service.web.middleware import WELL_FORMED, X_REQUEST_ID, X_RUN_ID, X_SIMULATED
from service.web.operation import JSON, TAGS, Answer, Content, Link, Operation, Parameter
from service.web.operations import EVENT_FRAME, OPERATIONS
from service.web.parameters import REQUEST_ID
from service.web.problems import CHALLENGE, CONTENT_TYPE
from service.web.ratelimit import LIMIT, LIMITS, POLICY, REMAINING, RESET
from service.web.runs import EVENT_ID
from service.web.schemas import Schema, ref, schemas

_ABOUT = """\
A run is one generation: a log of events, numbered from 0 by `seq`. A stream is a reader of it: a
lost connection loses nothing, and whoever comes back goes on after the last event that came, on
any connection. Ignore members of answers that you do not know; unknown members of what you send
are errors. Errors are problems (RFC 9457), also for browsers of the origins in `CORS_ORIGINS`,
which may read the headers """

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer", "minimum": 0}
_HEADERS: Mapping[str, tuple[str, Schema, bool]] = {
    X_REQUEST_ID: (
        "The id of the request: its own, where it sent a well-formed one.",
        {"type": "string", "pattern": f"^{WELL_FORMED}$"},
        True,
    ),
    X_SIMULATED: ("There where the built-in simulator answers.", {"const": "true"}, False),
    X_RUN_ID: ("The id of the run.", _TEXT, True),
    "X-Run-Recovered": (
        "In an answer to a reader that comes to a run: false where a `snapshot` stands in.",
        {"enum": ["true", "false"]},
        False,
    ),
    hdrs.LOCATION: ("The path of the run.", {"type": "string", "pattern": "^/api/runs/"}, True),
    hdrs.RETRY_AFTER: ("Seconds.", {"type": "integer", "minimum": 1}, False),
    LIMIT: ("Of the limit of the owner that is nearest to its end.", _NUMBER, False),
    REMAINING: ("What is left of it.", _NUMBER, False),
    RESET: ("Seconds until its window ends.", _NUMBER, False),
    POLICY: (
        'All limits and the seconds of their windows, such as `60;w=60;comment="requests"`.',
        _TEXT,
        False,
    ),
    hdrs.WWW_AUTHENTICATE: ("RFC 6750.", {"const": CHALLENGE}, True),
    hdrs.CACHE_CONTROL: ("For proxies.", {"const": "no-cache, no-transform"}, True),
    "X-Accel-Buffering": ("For nginx.", {"const": "no"}, True),
    "ETag": ("Changes with the content.", {"type": "string", "pattern": '^".+"$'}, True),
    hdrs.CONTENT_SECURITY_POLICY: ("What the page may load.", _TEXT, True),
    hdrs.CONTENT_DISPOSITION: (
        "The name of the file.",
        {"type": "string", "pattern": "^attachment; filename="},
        True,
    ),
}
"""What each header of a response says, and whether it is always there."""
_ALWAYS = (X_REQUEST_ID, X_SIMULATED)

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "an API key, or a JWT",
}
_OF_STATUS: Mapping[int, Sequence[str]] = {
    HTTPStatus.UNAUTHORIZED: (hdrs.WWW_AUTHENTICATE, hdrs.RETRY_AFTER),
    HTTPStatus.TOO_MANY_REQUESTS: (hdrs.RETRY_AFTER, *LIMITS),
    HTTPStatus.SERVICE_UNAVAILABLE: (hdrs.RETRY_AFTER,),
}
"""Headers of problems."""
_RUN_IF_ANY = {"description": "Of the run, where there was one.", "schema": _TEXT}
_ANYWHERE = (
    Kind.BAD_REQUEST,
    Kind.FORBIDDEN,
    Kind.EXPECTATION_FAILED,
    Kind.HEADERS_TOO_LARGE,
    Kind.INTERNAL_ERROR,
)
"""Problems of any request, whatever it asks for."""


async def openapi(request: web.Request) -> web.StreamResponse:
    """`GET /openapi.json`."""
    return web.Response(body=request.app[OPENAPI], content_type=JSON)


def describe_http(version: str, catalogue: Catalogue, *, authentication: bool) -> bytes:
    """The document, as JSON."""
    secured: JsonObject = {"security": [{"bearer": []}]} if authentication else {}
    schemes: JsonObject = {"securitySchemes": {"bearer": _BEARER}} if authentication else {}
    return encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "AI Library",
                "version": version,
                "description": f"{_ABOUT}{', '.join(f'`{name}`' for name in EXPOSED)}.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "tags": [{"name": tag, "description": about} for tag, about in TAGS.items()],
            "servers": [{"url": "/"}],
            **secured,
            "paths": _paths(authentication=authentication),
            "components": {
                "parameters": {it.key: _parameter(it) for it in _parameters()},
                "headers": {
                    name: _header(name)
                    for name in _HEADERS
                    if authentication or name != hdrs.WWW_AUTHENTICATE
                },
                "schemas": _schemas(catalogue),
                **schemes,
            },
        }
    )


def _parameters() -> Iterable[Parameter]:
    return [REQUEST_ID, *(it for known in OPERATIONS.values() for it in known.parameters)]


def _parameter(parameter: Parameter) -> JsonObject:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.about,
        "required": parameter.required,
        "schema": parameter.schema,
        "example": parameter.example,
    }


def _header(name: str) -> JsonObject:
    about, schema, required = _HEADERS[name]
    return {"description": about, "required": required, "schema": schema}


def _schemas(catalogue: Catalogue) -> JsonObject:
    bodies = [known.body.kind for known in OPERATIONS.values() if known.body]
    found = schemas(
        received=dict.fromkeys(bodies),
        sent=[*_sent(), *get_args(Event), ProblemBody, Model],
        catalogue=catalogue,
    )
    return {**found, EVENT_FRAME: _EVENT_FRAME}


def _sent() -> Iterable[type]:
    """The classes that answers are made of."""
    return dict.fromkeys(
        content.kind
        for known in OPERATIONS.values()
        for answer in known.answers
        for content in answer.content.values()
        if content.kind
    )


_EVENT_FRAME: Schema = {
    "description": "One event of a stream. On the wire: `data: …`, `id: …`, an empty line.",
    "type": "object",
    "properties": {
        "data": {
            "description": "The event, in JSON.",
            "type": "string",
            "contentMediaType": JSON,
            "contentSchema": {"oneOf": [ref(kind) for kind in get_args(Event)]},
        },
        "id": {"description": "`RUN_ID:SEQ`", "type": "string", "pattern": f"^{EVENT_ID}$"},
    },
    "required": ["data", "id"],
}


def _paths(*, authentication: bool) -> JsonObject:
    paths: dict[str, dict[str, object]] = defaultdict(dict)
    for (method, path), known in OPERATIONS.items():
        described = _operation(known, authentication=authentication)
        paths[path][method.lower()] = described
        if known.head:
            paths[path]["head"] = _without_content(described)
    return paths


def _operation(known: Operation, *, authentication: bool) -> JsonObject:
    described: dict[str, object] = {
        "operationId": known.name,
        "tags": [known.tag],
        "summary": known.about,
        "parameters": [
            {"$ref": f"#/components/parameters/{parameter.key}"}
            for parameter in (*known.parameters, REQUEST_ID)
        ],
        "responses": _responses(known, authentication=authentication),
    }
    if known.body:
        examples = {example.note: example.payload for example in known.body.examples}
        described["requestBody"] = {
            "required": known.body.required,
            "content": {JSON: _content(Content(ref(known.body.kind), examples))},
        }
    if known.public and authentication:
        described["security"] = []
    return described


def _without_content(described: JsonObject) -> JsonObject:
    """The operation as HEAD answers it."""
    responses = described["responses"]
    assert isinstance(responses, dict)
    return {
        **described,
        "operationId": f"{described['operationId']}_head",
        "responses": {
            status: {key: value for key, value in response.items() if key != "content"}
            for status, response in responses.items()
        },
    }


def _responses(known: Operation, *, authentication: bool) -> JsonObject:
    kinds = [*known.problems, *_ANYWHERE]
    if authentication and not known.public:
        kinds.append(Kind.UNAUTHORIZED)
    by_status: dict[int, list[Kind]] = defaultdict(list)
    for kind in Kind:
        if kind in kinds:
            by_status[kind.status].append(kind)
    responses: dict[str, dict[str, object]] = {
        f"{answer.status:d}": _answer(answer) for answer in known.answers
    }
    of_runs = any(X_RUN_ID in answer.headers for answer in known.answers)
    for status, told in sorted(by_status.items()):
        responses[f"{status}"] = _problems(status, told, of_runs=of_runs)
    return responses


def _answer(answer: Answer) -> dict[str, object]:
    described: dict[str, object] = {
        "description": answer.about,
        "headers": _headers(answer.headers),
    }
    if answer.content:
        described["content"] = {kind: _content(it) for kind, it in answer.content.items()}
    if answer.links:
        described["links"] = {link.operation: _link(link) for link in answer.links}
    return described


def _problems(status: int, kinds: Sequence[Kind], *, of_runs: bool) -> dict[str, object]:
    slugs = [f"/problems/{kind.slug}" for kind in kinds]
    told: Schema = {"properties": {"type": {"enum": slugs}, "status": {"const": status}}}
    return {
        "description": "; ".join(f"{kind.title} (`{kind.slug}`)" for kind in kinds),
        "headers": {
            **_headers(_OF_STATUS.get(status, ())),
            **({X_RUN_ID: _RUN_IF_ANY} if of_runs else {}),
        },
        "content": {CONTENT_TYPE: {"schema": {"allOf": [ref(ProblemBody), told]}}},
    }


def _headers(names: Sequence[str]) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*_ALWAYS, *names)}


def _content(content: Content) -> JsonObject:
    described: dict[str, object] = {"schema": content.schema}
    if content.examples:
        described["examples"] = {
            f"example{number}": {"summary": note, "value": value}
            for number, (note, value) in enumerate(content.examples.items(), 1)
        }
    return described


def _link(link: Link) -> JsonObject:
    return {
        "operationId": link.operation,
        "parameters": {
            name: f"$response.body#{pointer}" for name, pointer in link.parameters.items()
        },
    }
