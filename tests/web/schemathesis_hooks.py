"""What must schemathesis be told that no schema says? It loads this file as its hooks."""

from typing import Any

import schemathesis
from schemathesis import Case, HookContext


def without_points(value: object) -> object:
    """The same JSON with 7 for 7.0."""
    match value:
        case dict():
            return {name: without_points(member) for name, member in value.items()}
        case list():
            return [without_points(item) for item in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


@schemathesis.hook
def map_body(_context: HookContext, body: object) -> object:
    """For JSON Schema 7.0 is an integer, for the contract it is not."""
    return without_points(body)


@schemathesis.hook
def filter_case(_context: HookContext, case: "Case[Any]") -> bool:
    """No handshake that succeeds: after it the connection does not speak HTTP any longer."""
    sent = {name.lower(): value.lower() for name, value in case.headers.items()}
    return not (
        sent.get("upgrade") == "websocket"
        and "upgrade" in sent.get("connection", "")
        and sent.get("sec-websocket-version") == "13"
    )
