"""What comes of any bytes as a body of a request, or as a message on a socket?"""

from collections.abc import Callable

from fuzzing.promises import check_refusal
from service.core.errors import Kind, ServiceError
from service.core.events import encode
from service.core.request import (
    UnsupportedParameters,
    fingerprint,
    parse_as,
    parse_change,
    parse_chat,
    parse_regenerate,
)
from service.web.body import check_key, decoded
from service.web.messages import CLIENT_MESSAGES, ChatMessage
from support import catalogue

CATALOGUE = catalogue()

UNFIT = frozenset({Kind.VALIDATION_ERROR, Kind.UNKNOWN_MODEL, Kind.MODEL_UNAVAILABLE})


def chat_body(data: bytes) -> None:
    """A body that starts a run is taken, or refused with every fault in it."""
    for_every_policy(data, check_chat)


def regenerate_body(data: bytes) -> None:
    """A body that asks for another answer, as well."""
    for_every_policy(data, check_regenerate)


def change_body(data: bytes) -> None:
    """A body that changes a conversation, as well."""
    value = object_in(data)
    if value is None:
        return
    try:
        change = parse_change(value)
    except ServiceError as error:
        check_refusal(error.problem, {Kind.VALIDATION_ERROR}, value)
    else:
        assert change.title is not None or change.active_message_id is not None
        encode(change)


def socket_message(data: bytes) -> None:
    """A message is one of its type, or refused with every fault in it."""
    value = object_in(data)
    for kind in CLIENT_MESSAGES.values() if value else ():
        try:
            message: object = parse_as(kind, value)
            if isinstance(message, ChatMessage):
                check_chat_message(message)
        except ServiceError as error:
            check_refusal(error.problem, UNFIT, value)


def check_chat_message(message: ChatMessage) -> None:
    """Do with it what the socket does."""
    if message.idempotency_key is not None:
        check_key(message.idempotency_key, "#/idempotency_key")
    try:
        check_chat(message.request, UnsupportedParameters.REJECT)
    except ServiceError as error:
        raise error.under("/request") from None


def object_in(data: bytes) -> dict[str, object] | None:
    """The JSON object that can be told from others; None where there is none."""
    try:
        value = decoded(data)
        assert fingerprint(value) == fingerprint(dict(reversed(value.items())))
    except ServiceError as error:
        check_refusal(error.problem, {Kind.MALFORMED_JSON}, None)
        return None
    return value


def for_every_policy(data: bytes, check: Callable[[object, UnsupportedParameters], None]) -> None:
    """Check what is done with a body where unsupported parameters are rejected, and ignored."""
    value = object_in(data)
    if value is None:
        return
    for unsupported in UnsupportedParameters:
        try:
            check(value, unsupported)
        except ServiceError as error:
            check_refusal(error.problem, UNFIT, value)


def check_chat(value: object, unsupported: UnsupportedParameters) -> None:
    """Fail unless what is accepted can be asked and kept."""
    request, model, fitted = parse_chat(value, CATALOGUE, unsupported)
    assert request.user_prompt.strip()
    assert model.available is not False
    assert all(model.parameters[name].supported for name in fitted.values)
    assert not fitted.ignored or unsupported is UnsupportedParameters.IGNORE
    encode((request, fitted))


def check_regenerate(value: object, unsupported: UnsupportedParameters) -> None:
    """Fail unless what is accepted can be sent on."""
    encode(parse_regenerate(value, CATALOGUE, unsupported))
