"""Which models exist, and what do they take? A file says it, and Groq's own list corrects it."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Self

import attrs
import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1)]
Texts = Annotated[tuple[Text, ...], msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Price = Annotated[float, msgspec.Meta(ge=0)]
Value = float | int | str | tuple[str, ...]
CLASSIFIER_CONTEXT = 512
"""The context window of the classifiers in Groq's list; a chat model has a larger one."""


class CatalogueError(ValueError):
    """The catalogue's file cannot be used; the message names every fault, one to a line."""


class ParameterType(StrEnum):
    NUMBER = "number"
    INTEGER = "integer"
    STRING = "string"
    ARRAY = "array"


# The parameters of the wire contract, in the order in which they are shown.
PARAMETER_TYPES: Mapping[str, ParameterType] = {
    "temperature": ParameterType.NUMBER,
    "top_p": ParameterType.NUMBER,
    "max_tokens": ParameterType.INTEGER,
    "stop": ParameterType.ARRAY,
    "top_k": ParameterType.INTEGER,
    "repetition_penalty": ParameterType.NUMBER,
    "frequency_penalty": ParameterType.NUMBER,
    "presence_penalty": ParameterType.NUMBER,
    "seed": ParameterType.INTEGER,
    "reasoning_effort": ParameterType.STRING,
    "reasoning_format": ParameterType.STRING,
}


@attrs.frozen(kw_only=True)
class Parameter:
    """What one model takes for one hyperparameter.

    `default` is what Groq uses where a request gives none; it is never sent. `neutral` is accepted,
    and not sent, where the parameter is not supported. `sent_as` is its other name towards Groq.
    """

    supported: bool = True
    type: ParameterType
    minimum: float | int | None = None
    maximum: float | int | None = None
    default: Value | None = None
    enum: Texts | None = None
    max_items: Count | None = None
    neutral: Value | None = None
    sent_as: Text | None = None


@attrs.frozen
class Pricing:
    """USD per million tokens."""

    prompt_per_million: Price
    completion_per_million: Price
    cached_prompt_per_million: Price | None = None


@attrs.frozen(kw_only=True)
class Model:
    """A model that can be asked for; `parameters` has every name of PARAMETER_TYPES, in its order.

    `available` is None until Groq's own list has been seen.
    """

    id: Text
    name: Text
    available: bool | None = None
    replacement: Text | None = None
    context_window: Count | None = None
    max_completion_tokens: Count | None = None
    capabilities: tuple[Text, ...] = ()
    pricing: Pricing | None = None
    parameters: Mapping[str, Parameter]


@attrs.frozen(kw_only=True)
class ListedModel:
    """What Groq's own list says of one model; None where it says nothing."""

    id: str
    active: bool
    chat: bool
    name: str | None = None
    context_window: int | None = None
    max_completion_tokens: int | None = None
    pricing: Pricing | None = None
    capabilities: tuple[str, ...] | None = None


def is_chat_model(
    model_id: str,
    input_modalities: Sequence[str] | None,
    output_modalities: Sequence[str] | None,
    context_window: int | None,
) -> bool:
    """Tell whether an entry of Groq's list can chat; what the list leaves out is no obstacle."""
    unsuitable = ["prompt-guard"]
    if not input_modalities or not output_modalities:
        unsuitable += ["whisper", "tts", "orpheus"]
    return (
        (not output_modalities or list(output_modalities) == ["text"])
        and (not input_modalities or "text" in input_modalities)
        and (context_window is None or context_window > CLASSIFIER_CONTEXT)
        and not any(word in model_id.lower() for word in unsuitable)
    )


INSIDE = frozenset({"neutral", "sent_as"})
"""Members of a `Parameter` that clients do not see."""


def describe(model: Model) -> dict[str, object]:
    """Give *model* as an item of GET /api/models, ready for JSON (`max_items` only for arrays)."""
    return attrs.asdict(model, filter=_is_shown)


def _is_shown(attribute: "attrs.Attribute[object]", value: object) -> bool:
    if attribute.name == "max_items":
        return value is not None
    return attribute.name not in INSIDE


class Catalogue:
    """The models of the file, and the chat models that only Groq knows.

    One object that all hold; `listed` replaces its content between awaits, in one assignment.
    """

    def __init__(self, models: Sequence[Model], general: Mapping[str, Parameter]) -> None:
        """Start from the file's *models*; *general* holds for every model that is not in it."""
        self.general = general
        self._file = tuple(models)
        self._models = {model.id: _clamped(model) for model in models}

    @classmethod
    def from_toml(cls, text: str, source: str) -> Self:
        """Read the file named *source*; config/models.toml explains the format.

        Raises CatalogueError with every fault: source, entry, field, what is wrong.
        """
        faults: list[str] = []
        entries, general = _read(text, faults)
        if faults:
            raise CatalogueError("\n".join(f"{source}: {fault}" for fault in faults))
        return cls([msgspec.convert(members, Model) for members in entries], general)

    @property
    def models(self) -> tuple[Model, ...]:
        """All models: the file's in its order, then those that only Groq knows, by id."""
        return tuple(self._models.values())

    def find(self, model_id: str) -> Model | None:
        return self._models.get(model_id)

    def supporting(self, parameter_name: str) -> list[str]:
        """Give the ids of the models that take it, without those known as unavailable."""
        return [
            model.id
            for model in self._models.values()
            if model.available is not False and model.parameters[parameter_name].supported
        ]

    def listed(self, entries: Sequence[ListedModel]) -> bool:
        """Apply Groq's list: what it says wins over the file, except for names and capabilities.

        A model of the file stays, unavailable, when the list does not have it (or has it inactive);
        one that only Groq knows goes. An empty list is a fault of Groq's: returns False, and
        changes nothing.
        """
        if not entries:
            return False
        by_id = {entry.id: entry for entry in entries}
        known = [_joined(model, by_id.pop(model.id, None)) for model in self._file]
        others = [
            _only_listed(entry, self.general) for _, entry in sorted(by_id.items()) if entry.chat
        ]
        self._models = {model.id: _clamped(model) for model in [*known, *others]}
        return True


def _joined(model: Model, entry: ListedModel | None) -> Model:
    if entry is None:
        return attrs.evolve(model, available=False)
    return attrs.evolve(
        model,
        available=entry.active,
        context_window=entry.context_window or model.context_window,
        max_completion_tokens=entry.max_completion_tokens or model.max_completion_tokens,
        pricing=entry.pricing or model.pricing,
    )


def _only_listed(entry: ListedModel, general: Mapping[str, Parameter]) -> Model:
    reasoning = entry.capabilities is None or "reasoning" in entry.capabilities
    parameters = dict(general)
    for name in ("reasoning_effort", "reasoning_format"):
        parameters[name] = attrs.evolve(general[name], supported=reasoning)
    model = Model(
        id=entry.id,
        name=entry.name or entry.id,
        parameters=parameters,
        capabilities=entry.capabilities or (),
    )
    return _joined(model, entry)


def _clamped(model: Model) -> Model:
    """Lower what may be asked of `max_tokens` to what the model can write."""
    limit, parameter = model.max_completion_tokens, model.parameters["max_tokens"]
    if limit is None or (parameter.maximum is not None and parameter.maximum <= limit):
        return model
    default = min(parameter.default, limit) if isinstance(parameter.default, int) else None
    max_tokens = attrs.evolve(parameter, maximum=limit, default=default)
    return attrs.evolve(model, parameters={**model.parameters, "max_tokens": max_tokens})


# Reading the file. Every step adds its faults and goes on with what is sound, so that an operator
# sees all of them at once. A place is where in the file: "[[models]] 2 (allam-2-7b): pricing.".

Members = dict[str, object]


def _types(cls: type[attrs.AttrsInstance]) -> Members:
    return {field.name: field.type for field in attrs.fields(cls)}


_FILE: Members = {"parameters": object, "models": list[object]}
_ENTRY = _types(Model) | {"pricing": object, "parameters": object}
del _ENTRY["available"]
_PARAMETERS: Members = dict.fromkeys(PARAMETER_TYPES, object)
_PRICING = _types(Pricing)


def _read(text: str, faults: list[str]) -> tuple[list[Members], dict[str, Parameter]]:
    try:
        document = tomllib.loads(text)
    except ValueError as exc:  # TOMLDecodeError, or an integer too long for int()
        faults.append(f"not TOML: {exc}")
        return [], {}
    except RecursionError:
        faults.append("not TOML: nested too deeply")
        return [], {}
    members = _members(document, _FILE, "", faults)
    ranges = members.get("parameters", {})
    bare = {name: Parameter(type=type_) for name, type_ in PARAMETER_TYPES.items()}
    general = _parameters(ranges, bare, "[parameters]: ", faults, required=PARAMETER_TYPES)
    tables = msgspec.convert(members.get("models", []), list[object])
    places = [_place(number, table) for number, table in enumerate(tables, 1)]
    entries = [_entry(*at, general, faults) for at in zip(tables, places, strict=True)]
    faults.extend(_cross_faults(places, entries))
    return entries, general


def _place(number: int, table: object) -> str:
    model_id = table.get("id") if isinstance(table, dict) else None
    name = f" ({model_id})" if isinstance(model_id, str) else ""
    return f"[[models]] {number}{name}: "


def _entry(
    table: object, place: str, general: Mapping[str, Parameter], faults: list[str]
) -> Members:
    """Give what a Model is made of."""
    members = _members(table, _ENTRY, place, faults, required=("id", "name"))
    own = members.get("parameters", {})
    members["parameters"] = _parameters(own, general, f"{place}parameters.", faults)
    if "pricing" in members:
        needed = ("prompt_per_million", "completion_per_million")
        prices = _members(members["pricing"], _PRICING, f"{place}pricing.", faults, required=needed)
        members["pricing"] = prices
    return members


def _parameters(
    table: object,
    base: Mapping[str, Parameter],
    place: str,
    faults: list[str],
    *,
    required: Iterable[str] = (),
) -> dict[str, Parameter]:
    own = _members(table, _PARAMETERS, place, faults, required=required)
    changed = {name: _parameter(own[name], base[name], f"{place}{name}.", faults) for name in own}
    return {**base, **changed}


def _parameter(table: object, base: Parameter, place: str, faults: list[str]) -> Parameter:
    own = _members(table, _parameter_types(base.type), place, faults)
    parameter = msgspec.convert(attrs.asdict(base, recurse=False) | own, Parameter)
    faults.extend(f"{place}{fault}" for fault in _contradictions(parameter))
    return parameter


def _parameter_types(type_: ParameterType) -> Members:
    """Say which members a parameter of this type has in the file, and of which type."""
    common: Members = {"supported": bool, "sent_as": Text}
    match type_:
        case ParameterType.NUMBER:
            return common | dict.fromkeys(("minimum", "maximum", "default", "neutral"), float | int)
        case ParameterType.INTEGER:
            return common | dict.fromkeys(("minimum", "maximum", "default", "neutral"), int)
        case ParameterType.STRING:
            return common | {"enum": Texts, "default": Text, "neutral": Text}
        case ParameterType.ARRAY:
            return common | {"max_items": Count, "default": Texts, "neutral": Texts}


def _contradictions(parameter: Parameter) -> Iterator[str]:
    low, high, enum = parameter.minimum, parameter.maximum, parameter.enum
    if low is not None and high is not None and low > high:
        yield f"minimum: must not exceed the maximum {high}, got {low}"
    for name, value in (("default", parameter.default), ("neutral", parameter.neutral)):
        match value:
            case int() | float() if low is not None and value < low:
                yield f"{name}: must be at least {low}, got {value}"
            case int() | float() if high is not None and value > high:
                yield f"{name}: must be at most {high}, got {value}"
            case str() if enum is not None and value not in enum:
                yield f"{name}: must be one of {', '.join(enum)}, got {value}"
            case tuple() if parameter.max_items is not None and len(value) > parameter.max_items:
                yield f"{name}: must have at most {parameter.max_items} items, got {len(value)}"


def _members(
    table: object, types: Members, place: str, faults: list[str], *, required: Iterable[str] = ()
) -> Members:
    """Give the members of *table* that are known and of their type."""
    if not isinstance(table, dict):
        faults.append(f"{place.rstrip('.: ')}: must be a table")
        return {}
    faults.extend(f"{place}{name}: is missing" for name in required if name not in table)
    members: Members = {}
    for name, value in table.items():
        if name not in types:
            faults.append(f"{place}{name}: unknown, must be one of {', '.join(types)}")
        elif isinstance(value, int | float) and not -(2**63) <= value < 2**63:
            faults.append(f"{place}{name}: must be finite and fit in 64 bits, got {value}")
        else:
            try:
                members[name] = msgspec.convert(value, types[name])
            except msgspec.ValidationError as exc:
                faults.append(f"{place}{name}: {exc}")
    return members


def _cross_faults(places: list[str], entries: list[Members]) -> Iterator[str]:
    ids = [members.get("id") for members in entries]
    replaced = [members.get("id") for members in entries if "replacement" in members]
    for place, members in zip(places, entries, strict=True):
        if "id" in members and ids.count(members["id"]) > 1:
            yield f"{place}id: is given more than once"
        replacement = members.get("replacement")
        if replacement is not None and replacement not in ids:
            yield f"{place}replacement: {replacement} is not the id of an entry"
        elif replacement is not None and replacement in replaced:
            yield f"{place}replacement: {replacement} is itself replaced, name what replaces it"
