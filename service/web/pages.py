"""What can be asked for by browsers that open a page? The pages, and what they load."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from aiohttp import hdrs

from service.core.errors import Kind
from service.web import parameters
from service.web.files import TYPES
from service.web.operation import Answer, Content, Operation, Tag
from service.web.static import PAGE_SUFFIX

_FILE_HEADERS = ("ETag",)
_PAGE_HEADERS = (*_FILE_HEADERS, hdrs.CONTENT_SECURITY_POLICY)
_TEXT = Content({"type": "string"})
_FILES = {
    content_type.partition(";")[0]: _TEXT if content_type.startswith("text/") else Content({})
    for suffix, content_type in TYPES.items()
    if suffix != PAGE_SUFFIX
}


def _unchanged(headers: Sequence[str]) -> Answer:
    return Answer(HTTPStatus.NOT_MODIFIED, "The client has it already.", headers=headers)


def _page(name: str, about: str, problems: Sequence[Kind] = ()) -> Operation:
    shown = Answer(HTTPStatus.OK, "The page.", {"text/html": _TEXT}, _PAGE_HEADERS)
    return Operation(
        name,
        Tag.PAGES,
        about,
        [shown, _unchanged(_PAGE_HEADERS)],
        [parameters.IF_NONE_MATCH],
        problems=problems,
        public=True,
        head=True,
    )


PAGES: Mapping[tuple[str, str], Operation] = {
    ("GET", "/"): _page(
        "playground", "Show the playground, where it is switched on.", [Kind.NOT_FOUND]
    ),
    ("GET", "/docs"): _page("docs", "Show both descriptions, to read and to try."),
    ("GET", "/static/{path}"): Operation(
        "static_file",
        Tag.PAGES,
        "Send what pages load, such as `chat-client.js`.",
        [
            Answer(HTTPStatus.OK, "The file.", _FILES, _FILE_HEADERS),
            _unchanged(_FILE_HEADERS),
        ],
        [parameters.PATH, parameters.IF_NONE_MATCH],
        problems=[Kind.NOT_FOUND],
        public=True,
        head=True,
    ),
}
