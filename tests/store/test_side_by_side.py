"""Whatever is asked of all stores, they answer alike."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path

import pytest
from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.conversation import Answer, AnswerStatus, Conversation, FinishReason, Question
from service.core.errors import ServiceError
from service.core.ports import Beginning, Checkpoint, ConversationStore, Kept, Position
from service.core.search import words
from service.core.spending import By
from service.store.open import open_store
from store.samples import SETTINGS, STORES, USAGE, ended, growing, moment


@frozen
class Call:
    """One method and what it is given."""

    method: str
    arguments: tuple[object, ...] = ()
    options: Mapping[str, object] = field(factory=dict)


# Few ids and moments, so that they meet; few words, so that they are found; odd characters.
OWNERS = st.sampled_from(["", "ann", "é"])
IDS = ["c-1", "c-2", "c-3", "c-é", "c-\uffff", "c-\U0001f600"]
CONVERSATIONS = st.sampled_from(IDS)
MOMENTS = st.integers(0, 4).map(moment)
LETTERS = "cat|Cats|dog|ß|SS|ſ|İ|ǆ|ﬁsh|漢|字|カ|が|é|e\u0301|0|١|²"
SIGNS = " | |\n|\u2028|\0|_|-|\"|'|*|😀|\uffff"
PIECES = st.sampled_from(f"{LETTERS}|{SIGNS}".split("|"))
TEXTS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join), st.text(st.characters(codec="utf-8"), max_size=20)
)
REASONING = st.none() | TEXTS
TITLES = st.none() | TEXTS
SUFFIXES = "xyz"
NAMES = st.builds("{}{}".format, st.integers(0, 12), st.sampled_from(["", *SUFFIXES]))
RUNS = NAMES.map("r-{}".format)


@st.composite
def beginnings(draw: st.DrawFn, name: str) -> Call:
    at = draw(MOMENTS)
    question = Question(f"q-{name}", draw(st.none() | st.just("a-0")), draw(TEXTS), at)
    answer = evolve(
        growing(name),
        created_at=draw(MOMENTS),
        model=draw(st.sampled_from(["small", "large"])),
        system_prompt=draw(st.none() | TEXTS),
        hyperparameters=draw(st.sampled_from([{}, SETTINGS])),
    )
    kept = draw(st.sampled_from([question, question, None]))
    owner, conversation_id, title = draw(OWNERS), draw(CONVERSATIONS), draw(TITLES)
    return Call("begin", (Beginning(owner, conversation_id, f"r-{name}", answer, kept, title),))


@st.composite
def writings(draw: st.DrawFn, name: str) -> Call:
    """Of conversations whose messages no other call has brought."""
    ids = draw(st.lists(CONVERSATIONS, min_size=1, max_size=len(SUFFIXES), unique=True))
    names = [f"{name}{suffix}" for suffix in SUFFIXES[: len(ids)]]
    pairs = zip(names, ids, strict=True)
    return Call("write", ([draw(keepings(of, known)) for of, known in pairs],))


@st.composite
def keepings(draw: st.DrawFn, name: str, conversation_id: str) -> Kept:
    asked = Question(f"q-{name}", draw(st.none() | st.just("a-0")), draw(TEXTS), draw(MOMENTS))
    answer = ended(name, draw(TEXTS), reasoning=draw(REASONING))
    messages = draw(
        st.sampled_from([(asked,), (asked, answer), (asked, growing(name, model="large"))])
    )
    conversation = Conversation(
        conversation_id, draw(TEXTS), draw(MOMENTS), draw(MOMENTS), f"q-{name}", messages
    )
    return Kept(draw(OWNERS), conversation)


@st.composite
def endings(draw: st.DrawFn, begun: dict[str, str]) -> Call:
    """Of an answer in the conversation in which it was begun, whatever became of both."""
    name = draw(st.sampled_from(sorted(begun)))
    answer: Answer = evolve(
        ended(name, draw(TEXTS), reasoning=draw(REASONING)),
        status=draw(st.sampled_from([AnswerStatus.COMPLETE, AnswerStatus.PARTIAL])),
        finish_reason=draw(st.none() | st.sampled_from(FinishReason)),
        usage=draw(st.sampled_from([USAGE, None])),
        milliseconds=draw(st.none() | st.integers(0, 2**40)),
        nanodollars=draw(st.none() | st.integers(0, 2**50)),
    )
    return Call("finish", (begun[name], answer, draw(MOMENTS)))


@st.composite
def records(draw: st.DrawFn) -> Call:
    """Of answers that are not kept; a few that meet."""
    answer = evolve(
        ended(draw(st.sampled_from(["u", "v"])), ""),
        created_at=draw(MOMENTS),
        model=draw(st.sampled_from(["small", "large", "é", "\uffff", "\U0001f600"])),
        usage=draw(st.sampled_from([USAGE, None])),
        nanodollars=draw(st.none() | st.integers(0, 2**50)),
    )
    return Call("record", (draw(OWNERS), answer))


CHECKPOINTS = st.lists(
    st.builds(Checkpoint, NAMES.map("a-{}".format), TEXTS, TEXTS, whole=st.booleans()),
    min_size=1,
    max_size=4,
).map(lambda checkpoints: Call("checkpoint", (checkpoints,)))
CHANGES = st.builds(
    lambda owner, conversation, title, active: Call(
        "change", (owner, conversation), {"title": title, "active_message_id": active}
    ),
    OWNERS,
    CONVERSATIONS,
    TITLES,
    st.none() | NAMES.map("q-{}".format),
)
DELETIONS = st.tuples(OWNERS, CONVERSATIONS).map(lambda place: Call("delete", place))
CLAIMS = st.one_of(
    st.tuples(OWNERS, CONVERSATIONS, RUNS).map(lambda claim: Call("take", claim)),
    st.tuples(CONVERSATIONS, RUNS).map(lambda claim: Call("release", claim)),
    st.just(Call("renew")),
)
PAGES = st.builds(
    lambda owner, limit, after, sought: Call("page", (owner, limit, after, words(sought))),
    OWNERS,
    st.integers(1, 4),
    st.none() | st.builds(Position, MOMENTS, CONVERSATIONS),
    TEXTS,
)
USAGES = st.tuples(OWNERS, MOMENTS, MOMENTS, st.sampled_from(By))
LOOKS = st.one_of(
    USAGES.map(lambda period: Call("usage", period)),
    st.tuples(st.just("") | CONVERSATIONS, st.integers(1, 3)).map(lambda place: Call("ids", place)),
    st.lists(CONVERSATIONS, max_size=3).map(lambda ids: Call("read", (ids,))),
)
REOPENINGS = st.sampled_from(["close", "open"]).map(Call)


@st.composite
def conversations(draw: st.DrawFn) -> list[Call]:
    """A list of calls; each message is begun at most once."""
    calls: list[Call] = []
    begun: dict[str, str] = {}
    for number in range(draw(st.integers(1, 20))):
        choices = [beginnings(str(number)), writings(str(number)), CHECKPOINTS, CHANGES]
        choices += [DELETIONS, CLAIMS, PAGES, LOOKS, records()]
        endings_or_reopenings = [endings(begun), endings(begun), REOPENINGS] if begun else []
        call = draw(st.one_of(choices[:1] * 2 + choices + endings_or_reopenings))
        begun |= answers_of(call)
        calls.append(call)
    return calls


def answers_of(call: Call) -> dict[str, str]:
    """The names of the answers that a call brings, and their conversations."""
    match call.arguments:
        case (Beginning(conversation_id=conversation_id, answer=answer),):
            brought = {answer.message_id: conversation_id}
        case ([*written],) if call.method == "write":
            conversations = [one.conversation for one in written if isinstance(one, Kept)]
            brought = {
                message.message_id: conversation.conversation_id
                for conversation in conversations
                for message in conversation.messages
                if isinstance(message, Answer)
            }
        case _:
            brought = {}
    return {
        message_id.removeprefix("a-"): conversation_id
        for message_id, conversation_id in brought.items()
    }


async def outcome(store: ConversationStore, call: Call) -> object:
    """What a call gave, or the kind of its error."""
    try:
        given = await getattr(store, call.method)(*call.arguments, **call.options)
    except ServiceError as exc:
        return exc.problem.kind
    return list(given) if isinstance(given, Sequence) else given


async def everything(store: ConversationStore) -> list[object]:
    """All that a store can be asked."""
    owners = ("", "ann", "é", "nobody")
    calls = [Call("count"), Call("ping"), Call("ids", ("", 100)), Call("read", ([*IDS, "c-x"],))]
    calls += [Call("usage", (owner, "", "9999", by)) for owner in owners for by in By]
    calls += [Call("get", place) for place in product(owners, [*IDS, "c-x"])]
    calls += [
        Call("page", (owner, 100, None, words(sought)))
        for owner in owners
        for sought in (
            "",
            "c",
            "cat",
            "s",
            "ss",
            "f",
            "fis",
            "漢",
            "カ",
            "e",
            "dog cat",
            "0 ١",
            "i",
        )
    ]
    return [await outcome(store, call) for call in calls]


async def compare(calls: Sequence[Call], stores: Sequence[ConversationStore]) -> None:
    for call in calls:
        first, *others = [await outcome(store, call) for store in stores]
        # What is held against other processes is the business of stores that have them.
        if call.method not in {"release", "renew"}:
            assert others == [first] * len(others), call
    state, *states = [await everything(store) for store in stores]
    assert states == [state] * len(states)


async def compare_stores(calls: Sequence[Call]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as opened:
            stores = [open_store(url(Path(directory))) for url in STORES.values()]
            for store in stores:
                await store.open()
                opened.push_async_callback(store.close)
            await compare(calls, stores)


@pytest.mark.servers
@pytest.mark.timeout(180)  # thousands of questions, to a server as well
@settings(max_examples=50, deadline=None)
@given(conversations())
def test_all_stores_answer_alike(calls: list[Call]) -> None:
    asyncio.run(compare_stores(calls))
