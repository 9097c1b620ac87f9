"""Whatever is asked of all stores, they answer alike."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from attrs import evolve, field, frozen
from hypothesis import given, settings
from hypothesis import strategies as st

from service.core.conversation import Answer, AnswerStatus, FinishReason, Question
from service.core.errors import ServiceError
from service.core.ports import Beginning, Checkpoint, ConversationStore, Position
from service.core.search import words
from service.store.open import open_store
from store.samples import SETTINGS, STORES, USAGE, ended, growing, moment


@frozen
class Call:
    """One method and what it is given."""

    method: str
    arguments: tuple[object, ...] = ()
    options: Mapping[str, object] = field(factory=dict)


# Few ids and moments, so that they meet; few words, so that they are found; odd characters.
CONVERSATIONS = st.sampled_from(["c-1", "c-2", "c-3", "c-é", "c-\U0001f600"])
MOMENTS = st.integers(0, 4).map(moment)
LETTERS = "cat|Cats|dog|ß|SS|ſ|İ|ǆ|ﬁsh|漢|字|カ|が|é|e\u0301|0|١|²"
SIGNS = " | |\n|\u2028|\0|_|-|\"|'|*|😀|\uffff"
PIECES = st.sampled_from(f"{LETTERS}|{SIGNS}".split("|"))
TEXTS = st.one_of(
    st.lists(PIECES, max_size=8).map("".join), st.text(st.characters(codec="utf-8"), max_size=20)
)
REASONING = st.none() | TEXTS
TITLES = st.none() | TEXTS
NAMES = st.integers(0, 12).map(str)


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
    return Call("begin", (Beginning(draw(CONVERSATIONS), answer, kept, draw(TITLES)),))


@st.composite
def endings(draw: st.DrawFn, begun: dict[str, str]) -> Call:
    """Of an answer in the conversation in which it was begun, whatever became of both."""
    name = draw(st.sampled_from(sorted(begun)))
    answer: Answer = evolve(
        ended(name, draw(TEXTS), reasoning=draw(REASONING)),
        status=draw(st.sampled_from([AnswerStatus.COMPLETE, AnswerStatus.PARTIAL])),
        finish_reason=draw(st.none() | st.sampled_from(FinishReason)),
        usage=draw(st.sampled_from([USAGE, None])),
    )
    return Call("finish", (begun[name], answer, draw(MOMENTS)))


CHECKPOINTS = st.lists(
    st.builds(Checkpoint, NAMES.map("a-{}".format), TEXTS, TEXTS, whole=st.booleans()),
    min_size=1,
    max_size=4,
).map(lambda checkpoints: Call("checkpoint", (checkpoints,)))
CHANGES = st.builds(
    lambda conversation, title, active: Call(
        "change", (conversation,), {"title": title, "active_message_id": active}
    ),
    CONVERSATIONS,
    TITLES,
    st.none() | NAMES.map("q-{}".format),
)
DELETIONS = CONVERSATIONS.map(lambda conversation: Call("delete", (conversation,)))
PAGES = st.builds(
    lambda limit, after, sought: Call("page", (limit, after, words(sought))),
    st.integers(1, 4),
    st.none() | st.builds(Position, MOMENTS, CONVERSATIONS),
    TEXTS,
)
REOPENINGS = st.sampled_from(["close", "open"]).map(Call)


@st.composite
def conversations(draw: st.DrawFn) -> list[Call]:
    """A list of calls; each message is begun at most once."""
    calls: list[Call] = []
    begun: dict[str, str] = {}
    for number in range(draw(st.integers(1, 20))):
        choices = [beginnings(str(number)), CHECKPOINTS, CHANGES, DELETIONS, PAGES]
        endings_or_reopenings = [endings(begun), endings(begun), REOPENINGS] if begun else []
        call = draw(st.one_of(choices[:1] * 2 + choices + endings_or_reopenings))
        if isinstance(beginning := next(iter(call.arguments), None), Beginning):
            begun[str(number)] = beginning.conversation_id
        calls.append(call)
    return calls


async def outcome(store: ConversationStore, call: Call) -> object:
    """What a call gave, or the kind of its error."""
    try:
        return await getattr(store, call.method)(*call.arguments, **call.options)
    except ServiceError as exc:
        return exc.problem.kind


async def everything(store: ConversationStore) -> list[object]:
    """All that a store can be asked."""
    calls = [Call("count"), Call("ping"), Call("page", (100, None, []))]
    calls += [Call("get", (name,)) for name in ("c-1", "c-2", "c-3", "c-é", "c-\U0001f600", "c-x")]
    calls += [
        Call("page", (100, None, words(sought)))
        for sought in ("c", "cat", "s", "ss", "f", "fis", "漢", "カ", "e", "dog cat", "0 ١", "i")
    ]
    return [await outcome(store, call) for call in calls]


async def compare(calls: Sequence[Call], stores: Sequence[ConversationStore]) -> None:
    for call in calls:
        first, *others = [await outcome(store, call) for store in stores]
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


@settings(max_examples=50, deadline=None)
@given(conversations())
def test_all_stores_answer_alike(calls: list[Call]) -> None:
    asyncio.run(compare_stores(calls))
