"""What is there to say of one operation over HTTP? What it takes, and what it answers."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus

from attrs import field, frozen

from service.core.errors import Kind
from service.web.examples import Example
from service.web.schemas import Schema, ref

JSON = "application/json"


class Tag(StrEnum):
    """What an operation is about."""

    CHAT = "chat"
    RUNS = "runs"
    CONVERSATIONS = "conversations"
    MODELS = "models"
    USAGE = "usage"
    HEALTH = "health"
    CONTRACT = "contract"
    PAGES = "pages"


TAGS: Mapping[Tag, str] = {
    Tag.CHAT: "Ask, and read the answer as it is written.",
    Tag.RUNS: "Start, read, resume and cancel answers, on whatever connection.",
    Tag.CONVERSATIONS: "What was said: list, search, branch, export, delete.",
    Tag.MODELS: "Which models there are, and what each takes.",
    Tag.USAGE: "What answers cost.",
    Tag.HEALTH: "For people, orchestrators and Prometheus.",
    Tag.CONTRACT: "The descriptions of all this.",
    Tag.PAGES: "For browsers.",
}


class Place(StrEnum):
    """Where a parameter is."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"


@frozen
class Parameter:
    """A parameter of a request."""

    name: str
    place: Place
    about: str
    schema: Schema
    example: object = None
    required: bool = False

    @property
    def key(self) -> str:
        """Its name among the components."""
        return f"{self.place}.{self.name}"


@frozen
class Body:
    """A JSON object that is sent."""

    kind: type
    examples: Sequence[Example]
    required: bool = True


@frozen
class Content:
    """What a body holds, in one content type."""

    schema: Schema
    examples: Mapping[str, object] = field(factory=dict)
    """By what they show."""
    kind: type | None = None
    """What it is made of."""


@frozen
class Link:
    """What can be asked next, and which member of the answer goes into which parameter."""

    operation: str
    parameters: Mapping[str, str]
    """JSON pointers into the answer."""


@frozen
class Answer:
    """A response without a problem; `headers` are those besides what every response has."""

    status: HTTPStatus
    about: str
    content: Mapping[str, Content] = field(factory=dict)
    """By content type."""
    headers: Sequence[str] = ()
    links: Sequence[Link] = ()


@frozen
class Operation:
    """A method of a path."""

    name: str
    """Of the handler."""
    tag: Tag
    about: str
    answers: Sequence[Answer]
    parameters: Sequence[Parameter] = ()
    body: Body | None = None
    problems: Sequence[Kind] = ()
    """Besides that of a defect."""
    public: bool = False
    """Asks for no credentials, also where authentication is on."""
    head: bool = False
    """Answers HEAD as well."""


def json_of(kind: type, example: Example | None = None) -> Mapping[str, Content]:
    """A JSON object made of a class."""
    examples = {example.note: example.payload} if example else {}
    return {JSON: Content(ref(kind), examples, kind)}
