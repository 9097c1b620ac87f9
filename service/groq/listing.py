"""Which models does Groq serve to this key? Its own list, read again and again."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from typing import Annotated, Protocol

import groq
import httpx
import msgspec
from msgspec import Meta, Raw, Struct

from service.core.catalogue import Catalogue, ListedModel, Pricing, is_chat_model
from service.core.errors import Kind, ServiceError

PATH = "/openai/v1/models"
INTERVAL_SECONDS = 600.0
RETRY_SECONDS = 10.0
"""After a list that could not be read."""
PATIENCE_SECONDS = 5.0

_MILLION = 1_000_000
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_Tokens = Annotated[int, Meta(ge=0, le=2**53)]


class Standing(Enum):
    """How this server stands with Groq."""

    UNKNOWN = "not asked yet"
    GOOD = "ok"
    REFUSED = "Groq refused the key"
    UNREACHABLE = "Groq cannot be reached"


class ListingObserver(Protocol):
    """Is told how reading the list went."""

    def models_listed(self, standing: str, models: int) -> None:
        """The list was read, or could not be: then `models` is 0."""
        ...


class _Prices(Struct):
    prompt: str | float | None = None
    completion: str | float | None = None
    input_cache_read: str | float | None = None


class _Entry(Struct):
    id: str
    active: bool = True
    name: str | None = None
    context_window: _Tokens | None = None
    max_completion_tokens: _Tokens | None = None
    input_modalities: list[str] | None = None
    output_modalities: list[str] | None = None
    supported_features: list[str] | None = None
    pricing: _Prices | None = None


class _List(Struct):
    data: list[Raw]


class Listing:
    """Keeps the catalogue in step with Groq's list."""

    def __init__(
        self, client: groq.AsyncGroq, catalogue: Catalogue, observer: ListingObserver
    ) -> None:
        self.standing = Standing.UNKNOWN
        self._client = client
        self._catalogue = catalogue
        self._observer = observer
        self._reached = False

    async def check(self) -> None:
        """Raise where no run can be started: a refused key, or a Groq never reached."""
        if self.standing is Standing.REFUSED:
            raise ServiceError(Kind.UPSTREAM_AUTH, self.standing.value)
        if not self._reached:
            raise ServiceError(Kind.UPSTREAM_ERROR, self.standing.value)

    async def refresh(self) -> None:
        """Read the list once, in bounded time; a failure leaves the catalogue as it is."""
        entries: Sequence[ListedModel] = ()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                response = await self._client.get(PATH, cast_to=httpx.Response)
                entries = parse_list(response.content)
            read = self._catalogue.listed(entries)
            self.standing = Standing.GOOD if read else Standing.UNREACHABLE
            self._reached = self._reached or read
        except (groq.AuthenticationError, groq.PermissionDeniedError):
            self.standing = Standing.REFUSED
        except (groq.GroqError, httpx.HTTPError, TimeoutError, *_UNREADABLE):
            self.standing = Standing.UNREACHABLE
        self._observer.models_listed(self.standing.value, len(entries))

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Read the list now, and then at every interval for as long as this is entered."""
        await self.refresh()
        following = asyncio.create_task(self._refresh_forever())
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _refresh_forever(self) -> None:
        while True:
            good = self.standing is Standing.GOOD
            await asyncio.sleep(INTERVAL_SECONDS if good else RETRY_SECONDS)
            await self.refresh()


def parse_list(body: bytes) -> list[ListedModel]:
    """The entries of a list as Groq writes it; one that cannot be read is passed over."""
    found = []
    for raw in msgspec.json.decode(body, type=_List).data:
        try:
            entry = msgspec.json.decode(raw, type=_Entry)
        except _UNREADABLE:
            continue
        found.append(_listed(entry))
    return found


def _listed(entry: _Entry) -> ListedModel:
    return ListedModel(
        id=entry.id,
        active=entry.active,
        chat=is_chat_model(
            entry.id, entry.input_modalities, entry.output_modalities, entry.context_window
        ),
        name=entry.name,
        context_window=entry.context_window,
        max_completion_tokens=entry.max_completion_tokens,
        pricing=_pricing(entry.pricing) if entry.pricing else None,
        capabilities=None if entry.supported_features is None else tuple(entry.supported_features),
    )


def _pricing(prices: _Prices) -> Pricing | None:
    prompt, completion = _per_million(prices.prompt), _per_million(prices.completion)
    if prompt is None or completion is None:
        return None
    return Pricing(prompt, completion, _per_million(prices.input_cache_read))


def _per_million(price: str | float | None) -> float | None:
    """USD per million tokens, of USD per token in decimal digits."""
    try:
        value = float(price) if price is not None else None
    except ValueError:
        return None
    return round(value * _MILLION, 6) if value is not None and 0 <= value < 1 else None
