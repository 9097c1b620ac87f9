"""What is known of the models that Groq serves, and of how this server stands with it."""

import asyncio
import json
from collections.abc import AsyncIterator

import groq
import pytest
from attrs import Factory, define

from asking import Clock, Wire, tasks, wired
from service.core.catalogue import Catalogue, ListedModel, Pricing
from service.core.errors import Kind, ServiceError
from service.groq.client import make_client
from service.groq.listing import (
    INTERVAL_SECONDS,
    PATIENCE_SECONDS,
    RETRY_SECONDS,
    Listing,
    Standing,
    parse_list,
)
from service.simulator import (
    Cut,
    CutBeforeHeaders,
    Raw,
    Refusal,
    Script,
    Silence,
    error_data,
)
from service.simulator.answers import Fault
from support import KEY, catalogue

Entry = dict[str, object]


@define
class Watching:
    """Sees how reading the list went."""

    seen: "asyncio.Queue[tuple[str, int]]" = Factory(asyncio.Queue)

    def models_listed(self, standing: str, models: int) -> None:
        self.seen.put_nowait((standing, models))


@pytest.fixture
async def watching() -> Watching:
    return Watching()


@pytest.fixture
def known() -> Catalogue:
    return catalogue()


@pytest.fixture
def listing(client: groq.AsyncGroq, known: Catalogue, watching: Watching) -> Listing:
    return Listing(client, known, watching)


@pytest.fixture
async def silent() -> AsyncIterator[Wire]:
    async with wired(Wire(closes=False)) as wire:
        yield wire


def body(*entries: object) -> bytes:
    return json.dumps({"object": "list", "data": entries}).encode()


def listed(**members: object) -> ListedModel:
    (entry,) = parse_list(body({"id": "m", **members}))
    return entry


async def kind_of(listing: Listing) -> Kind | None:
    """What keeps runs from being started, if anything does."""
    try:
        await listing.check()
    except ServiceError as exc:
        return exc.problem.kind
    return None


# The form of the list


def test_an_entry_is_read_whole() -> None:
    entry = listed(
        object="model",
        created=1,
        active=False,
        name="Model M",
        context_window=131_072,
        max_completion_tokens=65_536,
        input_modalities=["text", "image"],
        output_modalities=["text"],
        supported_features=["tools", "reasoning"],
        pricing={"prompt": "0.000000075", "completion": "0.0000003", "image": "0"},
        public_apps=None,
    )

    assert entry == ListedModel(
        id="m",
        active=False,
        chat=True,
        name="Model M",
        context_window=131_072,
        max_completion_tokens=65_536,
        pricing=Pricing(0.075, 0.3),
        capabilities=("tools", "reasoning"),
    )


def test_an_entry_may_say_nothing_but_its_id() -> None:
    assert listed() == ListedModel(id="m", active=True, chat=True)


@pytest.mark.parametrize(
    "entry",
    [
        {"input_modalities": ["audio"]},
        {"output_modalities": ["speech"]},
        {"output_modalities": ["text", "speech"]},
        {"context_window": 512},
        {"id": "whisper-large-v3"},
        {"id": "meta-llama/llama-prompt-guard-2-86m", "output_modalities": ["text"]},
    ],
    ids=str,
)
def test_what_cannot_chat_is_known_as_such(entry: Entry) -> None:
    (found,) = parse_list(body({"id": "m"} | entry))

    assert not found.chat


@pytest.mark.parametrize(
    "entry",
    [
        None,
        5,
        "m",
        [],
        {},
        {"id": None},
        {"id": 5},
        {"id": "m", "active": "yes"},
        {"id": "m", "active": None},
        {"id": "m", "context_window": "131072"},
        {"id": "m", "context_window": 1.5},
        {"id": "m", "context_window": 2**70},
        {"id": "m", "input_modalities": "text"},
        {"id": "m", "supported_features": [1]},
        {"id": "m", "pricing": []},
        {"id": "m", "pricing": {"prompt": True}},
        {"id": "m", "max_completion_tokens": -1},
    ],
    ids=repr,
)
def test_an_entry_that_cannot_be_read_is_passed_over(entry: object) -> None:
    assert [found.id for found in parse_list(body({"id": "a"}, entry, {"id": "b"}))] == ["a", "b"]


def test_an_entry_that_is_no_utf_8_is_passed_over() -> None:
    found = parse_list(b'{"data":[{"id":"\xff"},{"id":"m","name":"\xed\xa0\x80"},{"id":"b"}]}')

    assert [entry.id for entry in found] == ["b"]


@pytest.mark.parametrize(
    ("prices", "expected"),
    [
        ({"prompt": "0.00000059", "completion": "0.00000079"}, Pricing(0.59, 0.79)),
        ({"prompt": 5.9e-7, "completion": 0}, Pricing(0.59, 0)),
        (
            {"prompt": "1e-7", "completion": "1e-7", "input_cache_read": "5e-8"},
            Pricing(0.1, 0.1, 0.05),
        ),
        ({"prompt": "0", "completion": "0", "input_cache_read": "free"}, Pricing(0, 0)),
        ({"prompt": "0.1"}, None),
        ({"completion": "0.1"}, None),
        ({}, None),
        (None, None),
        ({"prompt": "free", "completion": "0"}, None),
        ({"prompt": "", "completion": "0"}, None),
        ({"prompt": "-1", "completion": "0"}, None),
        ({"prompt": "nan", "completion": "0"}, None),
        ({"prompt": "inf", "completion": "0"}, None),
        ({"prompt": "1e400", "completion": "0"}, None),
        ({"prompt": "7", "completion": "0"}, None),
        ({"prompt": None, "completion": None}, None),
    ],
    ids=repr,
)
def test_prices_are_per_million_tokens_or_not_known(
    prices: Entry | None, expected: Pricing | None
) -> None:
    assert listed(pricing=prices).pricing == expected


# Reading it


async def test_before_it_was_read_nothing_is_known(listing: Listing, known: Catalogue) -> None:
    assert listing.standing is Standing.UNKNOWN
    assert await kind_of(listing) is Kind.UPSTREAM_ERROR
    assert {model.available for model in known.models} == {None}


async def test_the_catalogue_follows_groqs_list(
    listing: Listing, known: Catalogue, watching: Watching
) -> None:
    await listing.refresh()

    assert listing.standing is Standing.GOOD
    assert await kind_of(listing) is None
    assert watching.seen.get_nowait() == ("ok", len(known.models))
    current, retired = known.find("openai/gpt-oss-20b"), known.find("llama-3.1-8b-instant")
    assert current
    assert current.available
    assert retired
    assert retired.available is False


@pytest.mark.parametrize(
    ("answer", "standing", "kind"),
    [
        (Refusal(401, error_data("Invalid API Key")), Standing.REFUSED, Kind.UPSTREAM_AUTH),
        (Refusal(403, b"<html>"), Standing.REFUSED, Kind.UPSTREAM_AUTH),
        (Refusal(404, b""), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(429, b""), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(500, b""), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(302, b"", {"Location": "/elsewhere"}), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (CutBeforeHeaders(), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Raw([b'{"data":[', Cut()]), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Raw([b'{"data":[']), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Raw([b"<html>"]), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Raw([]), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b"{}"), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b"[]"), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b'{"data":null}'), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b'{"data":[]}'), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b'{"data":[1]}'), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b'{"data":' + b"[" * 99_999), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (Refusal(200, b'{"\xff":1,"data":"\xff"}'), Standing.UNREACHABLE, Kind.UPSTREAM_ERROR),
        (
            Refusal(200, b"no gzip", {"Content-Encoding": "gzip"}),
            Standing.UNREACHABLE,
            Kind.UPSTREAM_ERROR,
        ),
    ],
    ids=lambda value: repr(value)[:70],
)
async def test_a_list_that_cannot_be_read_changes_nothing_and_is_read_again_later(
    listing: Listing,
    known: Catalogue,
    watching: Watching,
    script: Script,
    answer: Fault,
    standing: Standing,
    kind: Kind,
) -> None:
    before = known.models
    script.models_answer = answer

    await listing.refresh()

    assert listing.standing is standing
    assert await kind_of(listing) is kind
    assert known.models == before
    assert watching.seen.get_nowait()[0] == standing.value

    script.models_answer = None
    await listing.refresh()

    assert listing.standing is Standing.GOOD
    assert await kind_of(listing) is None


async def test_once_reached_groq_may_be_unreachable_for_a_while(
    listing: Listing, known: Catalogue, script: Script
) -> None:
    await listing.refresh()
    before = known.models
    script.models_answer = CutBeforeHeaders()

    await listing.refresh()

    assert listing.standing is Standing.UNREACHABLE
    assert await kind_of(listing) is None
    assert known.models == before


async def test_a_key_that_is_refused_later_is_told(listing: Listing, script: Script) -> None:
    await listing.refresh()
    script.models_answer = Refusal(401, error_data("Invalid API Key"))

    await listing.refresh()

    assert await kind_of(listing) is Kind.UPSTREAM_AUTH


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n{"], ids=["nothing", "a bit"])
async def test_reading_takes_bounded_time_and_leaves_the_connection(
    known: Catalogue, watching: Watching, clock: Clock, silent: Wire, answer: bytes
) -> None:
    silent.answer = answer
    client = make_client(KEY, silent.url, connections=1, connect_timeout_seconds=1)
    listing = Listing(client, known, watching)
    reading = asyncio.create_task(listing.refresh())
    await silent.heard.wait()

    clock.forward(PATIENCE_SECONDS)
    await reading

    assert listing.standing is Standing.UNREACHABLE
    await silent.left.wait()
    await client.close()
    assert await tasks() == []


# Following it


async def test_the_list_is_read_again_and_again(
    listing: Listing, watching: Watching, script: Script, clock: Clock
) -> None:
    async with listing.following():
        standings = [(await watching.seen.get())[0]]
        script.models_answer = CutBeforeHeaders()
        for wait in (INTERVAL_SECONDS, RETRY_SECONDS):
            await tasks()
            clock.forward(wait)
            standings.append((await watching.seen.get())[0])
        script.models_answer = None
        await tasks()
        clock.forward(RETRY_SECONDS)
        standings.append((await watching.seen.get())[0])
        await tasks()
        clock.forward(INTERVAL_SECONDS - 1)
        await tasks()

    unreachable = Standing.UNREACHABLE.value
    assert standings == ["ok", unreachable, unreachable, "ok"]
    assert watching.seen.empty()
    assert await tasks() == []


async def test_who_follows_starts_also_without_groq(
    listing: Listing, watching: Watching, script: Script
) -> None:
    script.models_answer = CutBeforeHeaders()

    async with listing.following():
        assert await kind_of(listing) is Kind.UPSTREAM_ERROR

    assert watching.seen.qsize() == 1
    assert await tasks() == []


async def test_following_ends_at_once_also_while_it_reads(
    listing: Listing, watching: Watching, script: Script, clock: Clock
) -> None:
    async with listing.following():
        script.models_answer = Raw([b"{", Silence()])
        await tasks()
        clock.forward(INTERVAL_SECONDS)
        await tasks()

    assert watching.seen.qsize() == 1
    assert await tasks() == []


async def test_following_ends_as_who_entered_it_ends(listing: Listing) -> None:
    with pytest.raises(LookupError):
        async with listing.following():
            raise LookupError

    assert await tasks() == []
