"""Is this request fit? A JSON value becomes a typed request, or every fault in it is told."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Annotated, TypeVar
from urllib.parse import quote

import attrs
from attrs import field, frozen
from cattrs import Converter
from msgspec import Meta
from msgspec.json import Encoder

from service.core.catalogue import Catalogue, Model, Parameter, ParameterType
from service.core.conversation import Hyperparameters, HyperparameterValue
from service.core.errors import MOST_FAULTS, Fault, Kind, ServiceError, invalid

ROOT = "root"
"""The `parent_message_id` of a first question."""

LONGEST_TITLE = 200
LONGEST_ECHO = 60
"""Characters of a value that an error repeats."""

JsonObject = Mapping[str, object]
"""A JSON object that is looked into later."""

# What `Meta` says is for descriptions; validators see to it here.
NotBlank = Annotated[str, Meta(pattern=r"\S")]
Title = Annotated[str, Meta(min_length=1, max_length=LONGEST_TITLE, pattern=r"\S")]

T = TypeVar("T")
_canonical = Encoder(order="sorted").encode


class OnDisconnect(StrEnum):
    """What becomes of a run when its last reader leaves."""

    CONTINUE = "continue"
    CANCEL = "cancel"


class UnsupportedParameters(StrEnum):
    """What is done with a hyperparameter that a model does not take."""

    REJECT = "reject"
    IGNORE = "ignore"


def _not_blank(_instance: object, _attribute: object, value: str) -> None:
    if not value.strip():
        raise ValueError("must hold at least one character that is not white space")


def _title_length(_instance: object, _attribute: object, value: str) -> None:
    if not value.strip() or len(value) > LONGEST_TITLE:
        raise ValueError(f"must be 1 to {LONGEST_TITLE} characters and not blank, got {len(value)}")


@frozen
class ChatRequest:
    """A question, as a client sends it."""

    model: str
    user_prompt: NotBlank = field(validator=_not_blank)
    system_prompt: str | None = None
    hyperparameters: Hyperparameters = field(factory=dict)
    save_conversation: bool = True
    conversation_id: str | None = None
    parent_message_id: str | None = None
    on_disconnect: OnDisconnect | None = None


@frozen
class RegenerateRequest:
    """What shall be different in a new answer beside an old one."""

    model: str | None = None
    system_prompt: str | None = None
    hyperparameters: Hyperparameters | None = None


@frozen
class ConversationChange:
    """What shall be different in a conversation."""

    title: Title | None = field(default=None, validator=attrs.validators.optional(_title_length))
    active_message_id: str | None = None


@frozen
class Fitted:
    """Hyperparameters that a model takes, and the names of those left out."""

    values: Hyperparameters
    ignored: tuple[str, ...]


def fingerprint(value: object, *scope: str) -> bytes:
    """The same for the same JSON value, whatever its spacing or the order of its members.

    Raises `malformed-json` for a value that could be read, but is too deep to be written.
    """
    try:
        return hashlib.sha256(_canonical([scope, value])).digest()
    except RecursionError as exc:
        raise ServiceError(Kind.MALFORMED_JSON, "the body is nested too deeply") from exc


def parse_chat(
    value: object, catalogue: Catalogue, unsupported: UnsupportedParameters
) -> tuple[ChatRequest, Model, Fitted]:
    """A chat request, its model and the hyperparameters to send.

    Raises `ServiceError`: `unknown-model` or `model-unavailable` where that is the only fault,
    else `validation-error` with every fault.
    """
    request, faults = _structured(ChatRequest, value)
    members = value if isinstance(value, dict) else {}
    if members.get("parent_message_id") is not None and members.get("conversation_id") is None:
        faults.append(Fault("#/parent_message_id", "needs a conversation_id"))
    model, fitted = _checked(members, faults, catalogue, unsupported)
    assert request  # else there were faults
    assert model
    return request, model, fitted


def parse_regenerate(
    value: object, catalogue: Catalogue, unsupported: UnsupportedParameters
) -> RegenerateRequest:
    """What a client wants different; raises as `parse_chat`.

    Without a `model`, hyperparameters wait for that of the old answer, which judges them.
    """
    request, faults = _structured(RegenerateRequest, value)
    if request is None or request.model is not None:
        _checked(value if isinstance(value, dict) else {}, faults, catalogue, unsupported)
    assert request  # else there were faults
    return request


def parse_change(value: object) -> ConversationChange:
    """A change of a conversation: a title, an active message, or both."""
    change = parse_as(ConversationChange, value)
    if change.title is None and change.active_message_id is None:
        raise invalid([Fault("#", "must hold title, active_message_id, or both")])
    return change


def usable_model(name: str, catalogue: Catalogue) -> Model:
    """The model of that name; raises `unknown-model` or `model-unavailable`."""
    if refusal := _refused_model(name, catalogue):
        raise refusal
    model = catalogue.find(name)
    assert model  # else it was refused
    return model


def fit(
    asked: Mapping[str, object],
    model: Model | None,
    catalogue: Catalogue,
    unsupported: UnsupportedParameters,
) -> tuple[Fitted, list[Fault]]:
    """Hyperparameters against a model's entry, or the general ranges where it is not known."""
    parameters = model.parameters if model else catalogue.general
    values: dict[str, HyperparameterValue] = {}
    ignored: list[str] = []
    faults: list[Fault] = []
    for name, value in asked.items():
        if len(faults) >= MOST_FAULTS:
            break
        parameter = parameters.get(name)
        if value is None and parameter:
            continue
        if parameter is None:
            faults.append(_unknown(name, parameters))
        elif wrong := _faults_of(parameter, value):
            faults += [fault.under(f"/{name}") for fault in wrong]
        elif parameter.supported or model is None:
            values[name] = tuple(value) if isinstance(value, list) else value  # type: ignore[assignment]  # checked above
        elif value == parameter.neutral:
            continue
        elif unsupported is UnsupportedParameters.IGNORE:
            ignored.append(name)
        else:
            faults.append(Fault(f"#/{name}", _unsupported(name, model, catalogue)))
    return Fitted(values, tuple(ignored)), faults


def _checked(
    members: Mapping[str, object],
    found: Sequence[Fault],
    catalogue: Catalogue,
    unsupported: UnsupportedParameters,
) -> tuple[Model | None, Fitted]:
    """The model and the hyperparameters of a request; raises with the faults found before, too."""
    name, given = members.get("model"), members.get("hyperparameters")
    model = catalogue.find(name) if isinstance(name, str) else None
    asked = given if isinstance(given, dict) else {}
    fitted, wrong = fit(asked, model, catalogue, unsupported)
    faults = [*found, *(fault.under("/hyperparameters") for fault in wrong)]
    refusal = _refused_model(name, catalogue) if isinstance(name, str) else None
    if refusal and faults:
        faults.append(Fault("#/model", refusal.problem.detail))
    if faults:
        raise invalid(faults)
    if refusal:
        raise refusal
    return model, fitted


def _unsupported(name: str, model: Model, catalogue: Catalogue) -> str:
    others = catalogue.supporting(name)
    told = f"supported by {', '.join(others)}" if others else "no model in the catalogue does"
    return f"is not supported by {model.id}; {told}"


def _refused_model(name: str, catalogue: Catalogue) -> ServiceError | None:
    model = catalogue.find(name)
    if model is None:
        known = ", ".join(m.id for m in catalogue.models if m.available is not False)
        return ServiceError(
            Kind.UNKNOWN_MODEL, f"{_shown(name)} is not in the catalogue; known are {known}"
        )
    return unavailable(model) if model.available is False else None


def unavailable(model: Model) -> ServiceError:
    """The problem of a model that Groq does not serve."""
    instead = f"; use {model.replacement} instead" if model.replacement else ""
    return ServiceError(
        Kind.MODEL_UNAVAILABLE, f"Groq does not serve {model.id} to this server's key{instead}"
    )


# Structuring: cattrs dispatches on the type, the hooks below never coerce and tell every fault.


class _FaultsError(ValueError):
    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(*faults)
        self.faults = list(faults)


def _structured(cls: type[T], value: object) -> tuple[T | None, list[Fault]]:
    try:
        return _converter.structure(value, cls), []
    except _FaultsError as exc:
        return None, exc.faults


def parse_as(cls: type[T], value: object) -> T:
    """A JSON value as an attrs class; raises `validation-error` with every fault."""
    result, faults = _structured(cls, value)
    if result is None:
        raise invalid(faults)
    return result


def _class_hook(cls: type[attrs.AttrsInstance]) -> Callable[[object, object], object]:
    known = attrs.fields_dict(cls)

    def structure(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _FaultsError([_wrong("an object", value)])
        unknown = (name for name in value if name not in known)
        faults = [_unknown(name, known) for name in islice(unknown, MOST_FAULTS)]
        members: dict[str, object] = {}
        for name, attribute in known.items():
            try:
                if value.get(name) is not None:
                    members[name] = _member(attribute, value[name])
                elif attribute.default is attrs.NOTHING:
                    faults.append(Fault(f"#/{name}", "is required"))
            except _FaultsError as exc:
                faults += [fault.under(f"/{name}") for fault in exc.faults]
        if faults:
            raise _FaultsError(faults)
        return cls(**members)

    return structure


def _member(attribute: "attrs.Attribute[object]", value: object) -> object:
    assert attribute.type
    result: object = _converter.structure(value, attribute.type)
    if attribute.validator:
        try:
            attribute.validator(None, attribute, result)
        except ValueError as exc:
            raise _FaultsError([Fault("#", str(exc))]) from exc
    return result


def _exactly(kind: type[T], called: str) -> Callable[[object, object], T]:
    def structure(value: object, _: object) -> T:
        if type(value) is not kind:
            raise _FaultsError([_wrong(called, value)])
        return value

    return structure


def _enum_hook(value: object, kind: type[StrEnum]) -> StrEnum:
    if isinstance(value, str) and value in {member.value for member in kind}:
        return kind(value)
    raise _FaultsError([_not_one_of(list(kind), value)])


def _make_converter() -> Converter:
    converter = Converter()
    converter.register_structure_hook_factory(attrs.has, _class_hook)
    converter.register_structure_hook(str, _exactly(str, "a string"))
    converter.register_structure_hook(int, _exactly(int, "an integer"))
    converter.register_structure_hook(bool, _exactly(bool, "true or false"))
    # For the class, not by a function: the hook of `str` would go before it.
    converter.register_structure_hook(StrEnum, _enum_hook)
    mapping = _exactly(dict, "an object")
    converter.register_structure_hook_func(
        lambda kind: kind in (Hyperparameters, JsonObject), mapping
    )
    return converter


_converter = _make_converter()


# One hyperparameter against its entry in the catalogue.


_JSON_TYPES: Mapping[ParameterType, tuple[tuple[type, ...], str]] = {
    ParameterType.NUMBER: ((int, float), "a number"),
    ParameterType.INTEGER: ((int,), "an integer"),
    ParameterType.STRING: ((str,), "a string"),
    ParameterType.ARRAY: ((list,), "an array"),
}


def _faults_of(parameter: Parameter, value: object) -> list[Fault]:
    exact, called = _JSON_TYPES[parameter.type]
    if type(value) not in exact:
        return [_wrong(called, value)]
    if isinstance(value, list):
        return _array_faults(parameter, value)
    if parameter.enum is not None and value not in parameter.enum:
        return [_not_one_of(parameter.enum, value)]
    return _range_faults(parameter, value) if isinstance(value, int | float) else []


def _range_faults(parameter: Parameter, value: float) -> list[Fault]:
    low, high = parameter.minimum, parameter.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return []
    if low is None or high is None:
        bounds = f"at least {low}" if high is None else f"at most {high}"
    else:
        bounds = f"between {low} and {high}"
    return [Fault("#", f"must be {bounds}, got {_shown(value)}")]


def _array_faults(parameter: Parameter, value: list[object]) -> list[Fault]:
    faults = []
    if parameter.max_items is not None and len(value) > parameter.max_items:
        faults.append(
            Fault("#", f"must hold at most {parameter.max_items} items, got {len(value)}")
        )
    for index, item in enumerate(value[:MOST_FAULTS]):
        if not isinstance(item, str):
            faults.append(_wrong("a string", item).under(f"/{index}"))
        elif not item:
            faults.append(Fault(f"#/{index}", "must not be empty"))
    return faults


def _not_one_of(allowed: Sequence[str], value: object) -> Fault:
    return Fault("#", f"must be one of {', '.join(allowed)}; got {_shown(value)}")


def _unknown(name: str, known: Mapping[str, object]) -> Fault:
    pointer = quote(name[:100].replace("~", "~0").replace("/", "~1"))
    return Fault(f"#/{pointer}", f"is not a known field; known are {', '.join(known)}")


def _wrong(called: str, value: object) -> Fault:
    return Fault("#", f"must be {called}, got {_shown(value)}")


def _shown(value: object) -> str:
    """A value of a request as an error may repeat it."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    text = _canonical(value).decode()
    return text if len(text) <= LONGEST_ECHO else text[: LONGEST_ECHO - 1] + "…"
