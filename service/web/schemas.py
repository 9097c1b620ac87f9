"""What is the JSON Schema of what travels? msgspec's, with what only parser and encoder know."""

from collections.abc import Iterable, Mapping

from msgspec.json import schema_components

from service.core.catalogue import PARAMETER_TYPES, ParameterType
from service.core.errors import Kind
from service.core.events import ProblemBody
from service.core.request import ChatRequest

REF = "#/components/schemas/{name}"

Schema = Mapping[str, object]
_NULL: Schema = {"type": "null"}


def schemas(received: Iterable[type], sent: Iterable[type]) -> dict[str, Schema]:
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
    if ChatRequest.__name__ in made:
        members = {"hyperparameters": _or_null(_hyperparameters())}
        made[ChatRequest.__name__] = with_members(made[ChatRequest.__name__], members)
    if ProblemBody.__name__ in made:
        slugs: Schema = {"type": "string", "examples": [f"/problems/{kind.slug}" for kind in Kind]}
        made[ProblemBody.__name__] = with_members(made[ProblemBody.__name__], {"type": slugs})
    return made


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


def _hyperparameters() -> Schema:
    return {
        "description": "`GET /api/models` tells which a model takes, and in which range.",
        "type": "object",
        "properties": {name: _or_null(_of_type(kind)) for name, kind in PARAMETER_TYPES.items()},
        "additionalProperties": False,
    }


def _of_type(kind: ParameterType) -> Schema:
    if kind is ParameterType.ARRAY:
        return {"type": "array", "items": {"type": "string", "minLength": 1}}
    return {"type": kind.value}


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
