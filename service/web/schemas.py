"""What is the JSON Schema of what travels? msgspec's, with what only parser and encoder know."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.json import schema_components

from service.core.catalogue import (
    INSIDE,
    PARAMETER_TYPES,
    Catalogue,
    Model,
    Parameter,
    ParameterType,
)
from service.core.errors import Kind
from service.core.events import ProblemBody
from service.core.request import ChatRequest, ConversationChange, RegenerateRequest
from service.web.meanings import MEANINGS

REF = "#/components/schemas/{name}"

Schema = Mapping[str, object]
_NULL: Schema = {"type": "null"}


def schemas(
    received: Iterable[type], sent: Iterable[type], catalogue: Catalogue
) -> dict[str, Schema]:
    """The schemas of these classes, and of those that they are made of, by name.

    What is received is parsed strictly, and an optional member may be null. What is sent may get
    more members, and none of those that it has is ever left out for being the default.
    """
    strict = {kind.__name__ for kind in received}
    _, found = schema_components(
        [*received, *sent], ref_template=REF, schema_hook=lambda _: {"description": "any JSON"}
    )
    made = {
        name: _strict(schema) if name in strict else _whole(schema)
        for name, schema in found.items()
    }
    for kind, complete in _completions(catalogue).items():
        if kind.__name__ in made:
            made[kind.__name__] = complete(made[kind.__name__])
    return {name: _explained(name, schema) for name, schema in made.items()}


def ref(kind: type) -> Schema:
    """Where the schema of a class is."""
    return {"$ref": REF.format(name=kind.__name__)}


def with_members(schema: Schema, members: Mapping[str, Schema]) -> Schema:
    """A schema with these members in the place of its own, or before them."""
    own = _members(schema)
    new = {name: member for name, member in members.items() if name not in own}
    return {
        **schema,
        "properties": {**new, **own, **members},
        "required": [*new, *_required(schema)],
    }


def _completions(catalogue: Catalogue) -> Mapping[type, Callable[[Schema], Schema]]:
    """What the types do not tell."""
    asked = {"hyperparameters": _or_null(_hyperparameters(catalogue))}
    models = [model.id for model in catalogue.models if model.replacement is None]
    model: Schema = {"type": "string", "examples": models}
    slugs: Schema = {"type": "string", "examples": [f"/problems/{kind.slug}" for kind in Kind]}
    return {
        ChatRequest: lambda schema: {
            **with_members(schema, asked | {"model": model}),
            "anyOf": [{"properties": {"parent_message_id": _NULL}}, _given("conversation_id")],
        },
        RegenerateRequest: lambda schema: with_members(schema, asked | {"model": _or_null(model)}),
        ConversationChange: lambda schema: {
            **schema,
            "anyOf": [_given("title"), _given("active_message_id")],
        },
        ProblemBody: lambda schema: with_members(schema, {"type": slugs}),
        Parameter: _seen,
        Model: lambda schema: {
            **schema,
            "description": (
                "A model that can be asked for; `available` is null until Groq's own list was seen."
            ),
        },
    }


def _explained(of: str, schema: Schema) -> Schema:
    """A schema with what each of its members means; one that refers elsewhere is told there."""
    if "properties" not in schema:
        return schema
    members = {
        name: member
        if {"description", "$ref"} & member.keys()
        else {"description": MEANINGS.get(f"{of}.{name}") or MEANINGS[name], **member}
        for name, member in _members(schema).items()
    }
    return {**schema, "properties": members}


def _given(name: str) -> Schema:
    """A member is there, and not null."""
    return {"properties": {name: {"not": _NULL}}, "required": [name]}


def _seen(schema: Schema) -> Schema:
    """A parameter as clients see it; `max_items` is told of arrays only."""
    return {
        **schema,
        "description": (
            "What one model takes for one hyperparameter; `default` is what Groq uses where a"
            " request gives none."
        ),
        "properties": {k: v for k, v in _members(schema).items() if k not in INSIDE},
        "required": [name for name in _required(schema) if name not in {*INSIDE, "max_items"}],
    }


def _strict(schema: Schema) -> Schema:
    required = _required(schema)
    members = {
        name: member if name in required else _or_null(member)
        for name, member in _members(schema).items()
    }
    return {**schema, "properties": members, "additionalProperties": False}


def _whole(schema: Schema) -> Schema:
    if "properties" not in schema:
        return schema
    members = _members(schema)
    required = [name for name in members if name in _required(schema) or "default" in members[name]]
    bare = {
        name: {key: value for key, value in member.items() if key != "default"}
        for name, member in members.items()
    }
    return {**schema, "properties": bare, "required": required}


def _hyperparameters(catalogue: Catalogue) -> Schema:
    entries = [catalogue.general, *(model.parameters for model in catalogue.models)]
    return {
        "description": (
            "The widest ranges; `GET /api/models` tells which of them a model takes, and in which."
        ),
        "type": "object",
        "properties": {
            name: {
                "description": MEANINGS[name],
                **_or_null(_widest([entry[name] for entry in entries])),
            }
            for name in PARAMETER_TYPES
        },
        "additionalProperties": False,
    }


def _widest(entries: Sequence[Parameter]) -> Schema:
    """Whatever one of these takes."""
    kind = entries[0].type
    schema: dict[str, object] = {"type": kind.value}
    if kind is ParameterType.ARRAY:
        schema["items"] = {"type": "string", "minLength": 1}
    lowest = [entry.minimum for entry in entries if entry.minimum is not None]
    highest = [entry.maximum for entry in entries if entry.maximum is not None]
    most = [entry.max_items for entry in entries if entry.max_items is not None]
    enums = [entry.enum for entry in entries if entry.enum is not None]
    count = len(entries)  # one without a limit takes whatever there is
    if len(lowest) == count:
        schema["minimum"] = min(lowest)
    if len(highest) == count:
        schema["maximum"] = max(highest)
    if len(most) == count:
        schema["maxItems"] = max(most)
    if len(enums) == count:
        schema["enum"] = list(dict.fromkeys(value for enum in enums for value in enum))
    return schema


def _or_null(schema: Schema) -> Schema:
    return schema if "anyOf" in schema else {"anyOf": [schema, _NULL]}


def _members(schema: Schema) -> dict[str, Schema]:
    members = schema["properties"]
    assert isinstance(members, dict)
    return members


def _required(schema: Schema) -> list[str]:
    required = schema.get("required", [])
    assert isinstance(required, list)
    return required
