"""Every store: how conversations go from one to another."""

import pytest
from attrs import evolve

from service.core.conversation import AnswerStatus, Conversation
from service.core.owners import ANONYMOUS
from service.core.ports import Checkpoint, ConversationStore, Kept
from service.core.search import words
from store.samples import OTHER, OWNER, beginning, ended, growing, kept, moment, question
from store.test_contract import TEXTS

NAMES = ["B", "a", "b", "é", "\uffff", "\U0001f600"]
"""In the order of code points, which is neither an alphabet's nor that of UTF-16."""


async def found(store: ConversationStore, owner: str, query: str) -> list[str]:
    page = await store.page(owner, 100, None, words(query))
    return [summary.conversation_id for summary in page.items]


async def test_ids_come_in_the_order_of_code_points_whoever_owns_them(
    store: ConversationStore,
) -> None:
    owners = [OWNER, OTHER, ANONYMOUS] * 2
    for name, owner in zip(reversed(NAMES), owners, strict=True):
        await store.begin(beginning(name, owner=owner))

    ids = [f"c-{name}" for name in NAMES]
    assert list(await store.ids("", 100)) == ids
    assert list(await store.ids("", 2)) == ids[:2]
    assert list(await store.ids(ids[1], 3)) == ids[2:5]
    assert list(await store.ids("c-aa", 1)) == ids[2:3]
    assert list(await store.ids(ids[-1], 100)) == []


async def test_what_is_read_says_whose_it_is(store: ConversationStore) -> None:
    for name, owner in [("2", OWNER), ("1", OTHER), ("3", OWNER)]:
        await store.begin(beginning(name, owner=owner))

    assert list(await store.read(["c-2", "c-unknown", "c-1"])) == [
        Kept(OTHER, await whole(store, OTHER, "c-1")),
        Kept(OWNER, await whole(store, OWNER, "c-2")),
    ]
    assert list(await store.read([])) == []
    assert list(await store.read(["c-unknown"])) == []


async def whole(store: ConversationStore, owner: str, conversation_id: str) -> Conversation:
    conversation = await store.get(owner, conversation_id)
    assert conversation
    return conversation


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_what_is_written_is_read_as_it_was(store: ConversationStore, text: str) -> None:
    asked, answer = question("1", text), ended("1", text, reasoning=text)
    anew = evolve(
        answer,
        message_id="a-anew",
        status=AnswerStatus.PARTIAL,
        finish_reason=None,
        usage=None,
        hyperparameters={},
        system_prompt=None,
    )
    conversation = Conversation(
        "c-1", text, moment(1), moment(7), asked.message_id, (asked, answer, anew)
    )

    await store.write([Kept(OWNER, conversation), kept("2", owner=OTHER)])

    assert list(await store.read(["c-1", "c-2"])) == [
        Kept(OWNER, conversation),
        kept("2", owner=OTHER),
    ]
    assert await whole(store, OWNER, "c-1") == conversation


async def test_what_is_written_is_listed_and_found(store: ConversationStore) -> None:
    await store.write([kept("1", "needle one", at=1), kept("2", "needle two", at=2)])
    await store.write([kept("3", "needle three", at=3, owner=OTHER)])

    assert await found(store, OWNER, "needle") == ["c-2", "c-1"]
    assert await found(store, OTHER, "needle") == ["c-3"]
    assert await store.count() == 3


async def test_writing_again_replaces_whoever_owned_it(store: ConversationStore) -> None:
    await store.begin(beginning("old", "once"))
    old = kept("1", "before")
    await store.write([old, evolve(old, conversation=moved("old"))])

    now = evolve(kept("new", "after"), owner=OTHER)
    await store.write([evolve(now, conversation=evolve(now.conversation, conversation_id="c-1"))])

    assert await store.get(OWNER, "c-1") is None
    assert [message.message_id for message in (await whole(store, OTHER, "c-1")).messages] == [
        "q-new",
        "a-new",
    ]
    assert await found(store, OWNER, "once") == []
    assert await found(store, OWNER, "before") == []
    assert await found(store, OTHER, "after") == ["c-1"]
    assert await store.count() == 2


def moved(name: str) -> Conversation:
    """`c-NAME` with other messages than it had."""
    return evolve(kept("moved", "later").conversation, conversation_id=f"c-{name}")


async def test_writing_the_same_twice_changes_nothing(store: ConversationStore) -> None:
    both = [kept("1", "needle"), kept("2", "needle", owner=OTHER)]

    await store.write(both)
    await store.write(both)

    assert list(await store.read(["c-1", "c-2"])) == both
    assert await found(store, OWNER, "needle") == ["c-1"]
    await store.write([])


async def test_what_was_written_goes_on(store: ConversationStore) -> None:
    await store.write([kept("1")])

    assert await store.take(OWNER, "c-1", "r-2") == kept("1").conversation
    await store.begin(
        evolve(
            beginning("2"),
            conversation_id="c-1",
            question=question("2", after="a-1"),
            title=None,
        )
    )
    await store.checkpoint([Checkpoint("a-2", "more", "", whole=True)])

    said = (await whole(store, OWNER, "c-1")).messages
    assert [message.message_id for message in said] == ["q-1", "a-1", "q-2", "a-2"]
    assert said[-1] == evolve(growing("2"), content="more")


async def test_what_was_replaced_does_not_grow_or_end(store: ConversationStore) -> None:
    await store.begin(beginning("old"))
    await store.write([Kept(OWNER, moved("old"))])

    await store.checkpoint([Checkpoint("a-old", "more", "", whole=True)])
    await store.finish("c-old", ended("old", "end"), moment(9))

    assert list(await store.read(["c-old"])) == [Kept(OWNER, moved("old"))]
