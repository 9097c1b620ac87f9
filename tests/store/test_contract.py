"""What every store does."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
from attrs import evolve

from service.core.conversation import AnswerStatus, Conversation, Message, Summary
from service.core.errors import Kind, ServiceError
from service.core.ports import Beginning, Checkpoint, ConversationStore, Page, Position
from service.core.search import words
from service.core.spending import By
from store.samples import OWNER, beginning, ended, growing, kept, moment, question

Use = Callable[[ConversationStore], Awaitable[object]]

USES: dict[str, Use] = {
    "ping": lambda store: store.ping(),
    "get": lambda store: store.get(OWNER, "c-1"),
    "begin": lambda store: store.begin(beginning("1")),
    "checkpoint": lambda store: store.checkpoint([Checkpoint("a-1", "text", "", whole=False)]),
    "finish": lambda store: store.finish("c-1", ended("1", "text"), moment(2)),
    "page": lambda store: store.page(OWNER, 10, None, []),
    "change": lambda store: store.change(OWNER, "c-1", title="New", active_message_id=None),
    "delete": lambda store: store.delete(OWNER, "c-1"),
    "count": lambda store: store.count(),
    "take": lambda store: store.take(OWNER, "c-1", "r-1"),
    "ids": lambda store: store.ids("", 10),
    "read": lambda store: store.read(["c-1"]),
    "write": lambda store: store.write([kept("1")]),
    "record": lambda store: store.record(OWNER, ended("1", "")),
    "usage": lambda store: store.usage(OWNER, "", "z", By.DAY),
}
TEXTS = {
    "empty": "",
    "nul": "\0before\0\0after\0",
    "every script": "é e\u0301 漢字 かな 🤦🏽\u200d♂ \u202eעברית \ufeff\uffff\U0010ffff",
    "every sign": "'\"; -- %s ? :x \\ \r\n\t\x7f",
    "long": "All work and no play. " * 100_000,
}


async def whole(store: ConversationStore, conversation_id: str) -> Conversation:
    conversation = await store.get(OWNER, conversation_id)
    assert conversation is not None
    return conversation


async def messages(store: ConversationStore, conversation_id: str) -> Sequence[Message]:
    return (await whole(store, conversation_id)).messages


async def found(store: ConversationStore, query: str) -> list[str]:
    page = await store.page(OWNER, 100, None, words(query))
    return [summary.conversation_id for summary in page.items]


async def add(store: ConversationStore, name: str, asked: str, said: str, title: str) -> None:
    await store.begin(beginning(name, asked, title=title))
    await store.finish(f"c-{name}", ended(name, said), moment(1))


# Being open


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_store_that_was_not_opened_is_unavailable(
    unopened: ConversationStore, use: Use
) -> None:
    with pytest.raises(ServiceError) as raised:
        await use(unopened)

    assert raised.value.problem.kind is Kind.STORE_UNAVAILABLE
    assert raised.value.problem.retry_after == 1


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_a_closed_store_is_unavailable(store: ConversationStore, use: Use) -> None:
    await store.close()

    with pytest.raises(ServiceError) as raised:
        await use(store)

    assert raised.value.problem.kind is Kind.STORE_UNAVAILABLE


@pytest.mark.parametrize("use", USES.values(), ids=USES)
async def test_an_open_store_can_do_everything(store: ConversationStore, use: Use) -> None:
    await use(store)


async def test_opening_and_closing_twice_is_harmless(unopened: ConversationStore) -> None:
    await unopened.close()
    await unopened.open()
    await unopened.open()
    await unopened.ping()
    await unopened.close()
    await unopened.close()


async def test_opening_again_finds_what_was_kept(store: ConversationStore) -> None:
    await add(store, "1", "Why?", "Because.", "Reasons")
    before = await whole(store, "c-1")

    await store.close()
    await store.open()

    assert await whole(store, "c-1") == before


async def test_opening_settles_answers_that_were_growing(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.checkpoint([Checkpoint("a-1", "Because of", "Let me see", whole=True)])

    await store.close()
    await store.open()

    _, answer = await messages(store, "c-1")
    assert answer == evolve(
        growing("1"), content="Because of", reasoning="Let me see", status=AnswerStatus.PARTIAL
    )
    assert await found(store, "because") == ["c-1"]


async def test_opening_what_is_open_leaves_growing_answers_alone(store: ConversationStore) -> None:
    await store.begin(beginning("1"))

    await store.open()

    assert await messages(store, "c-1") == (question("1"), growing("1"))


# Beginning


async def test_a_conversation_begins_with_a_question_and_its_answer(
    store: ConversationStore,
) -> None:
    asked, answer = question("1", at=3), growing("1", at=4)

    await store.begin(Beginning(OWNER, "c-1", "r-2", answer, asked, "Title"))

    assert await store.get(OWNER, "c-1") == Conversation(
        "c-1", "Title", moment(3), moment(4), answer.message_id, (asked, answer)
    )


async def test_a_conversation_goes_on(store: ConversationStore) -> None:
    await store.begin(beginning("1", at=1))
    asked, answer = question("2", after="a-1", at=5), growing("2", at=6)

    await store.begin(Beginning(OWNER, "c-1", "r-2", answer, asked, None))

    conversation = await whole(store, "c-1")
    assert [message.message_id for message in conversation.messages] == ["q-1", "a-1", "q-2", "a-2"]
    assert conversation.messages[2:] == (asked, answer)
    assert (conversation.created_at, conversation.updated_at) == (moment(1), moment(6))
    assert (conversation.title, conversation.active_message_id) == ("Title", "a-2")


async def test_an_old_question_is_answered_anew(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    anew = evolve(growing("2"), parent_message_id="q-1")

    await store.begin(Beginning(OWNER, "c-1", "r-2", anew, None, None))

    conversation = await whole(store, "c-1")
    assert conversation.messages == (question("1"), growing("1"), anew)
    assert conversation.active_message_id == "a-2"


async def test_messages_keep_the_order_of_their_beginning(store: ConversationStore) -> None:
    await store.begin(beginning("9"))
    await store.begin(beginning("other"))
    await store.begin(
        Beginning(OWNER, "c-9", "r-2", growing("5"), question("5", after="a-9"), None)
    )
    await store.begin(
        Beginning(OWNER, "c-9", "r-2", growing("7"), question("7", after="a-5"), None)
    )

    await store.finish("c-9", ended("9", "later than the others"), moment(9))

    ids = [message.message_id for message in await messages(store, "c-9")]
    assert ids == ["q-9", "a-9", "q-5", "a-5", "q-7", "a-7"]


async def test_what_is_gone_is_not_continued(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.delete(OWNER, "c-1")

    with pytest.raises(ServiceError) as raised:
        await store.begin(
            Beginning(OWNER, "c-1", "r-2", growing("2"), question("2", "needle"), None)
        )

    assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
    assert await store.get(OWNER, "c-1") is None
    assert await found(store, "needle") == []


async def test_an_unknown_conversation_is_none(store: ConversationStore) -> None:
    assert await store.get(OWNER, "c-1") is None


# Growing and ending


async def test_answers_grow_by_what_they_gained(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.begin(beginning("2"))

    await store.checkpoint(
        [
            Checkpoint("a-1", "One", "", whole=True),
            Checkpoint("a-2", "Two", "Hm", whole=True),
            Checkpoint("a-1", ", and", "", whole=False),
        ]
    )
    await store.checkpoint(
        [Checkpoint("a-1", " \0on", "", whole=False), Checkpoint("a-2", "", "m.", whole=False)]
    )

    assert (await messages(store, "c-1"))[1] == evolve(growing("1"), content="One, and \0on")
    assert (await messages(store, "c-2"))[1] == evolve(
        growing("2"), content="Two", reasoning="Hmm."
    )


async def test_a_whole_checkpoint_replaces(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.checkpoint([Checkpoint("a-1", "wrong", "wrong", whole=False)])

    await store.checkpoint([Checkpoint("a-1", "right", "", whole=True)])

    assert (await messages(store, "c-1"))[1] == evolve(growing("1"), content="right")


async def test_checkpoints_pass_over_what_is_gone_or_has_ended(store: ConversationStore) -> None:
    await store.begin(beginning("gone"))
    await store.delete(OWNER, "c-gone")
    await add(store, "ended", "Why?", "Because.", "Title")
    await store.begin(beginning("1"))

    await store.checkpoint(
        [
            Checkpoint("a-gone", "x", "x", whole=False),
            Checkpoint("a-ended", "x", "x", whole=False),
            Checkpoint("a-ended", "x", "x", whole=True),
            Checkpoint("a-1", "kept", "", whole=False),
        ]
    )
    await store.checkpoint([])

    assert await store.get(OWNER, "c-gone") is None
    assert (await messages(store, "c-ended"))[1] == ended("ended", "Because.")
    assert (await messages(store, "c-1"))[1] == evolve(growing("1"), content="kept")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
async def test_texts_come_back_as_they_were(store: ConversationStore, text: str) -> None:
    asked, answer = question("1", text), ended("1", text, reasoning=text)
    begun = evolve(growing("1"), system_prompt=text, hyperparameters={"stop": (text,)})
    await store.begin(Beginning(OWNER, "c-1", "r-2", begun, asked, text))
    assert (await whole(store, "c-1")).messages == (asked, begun)

    await store.checkpoint([Checkpoint("a-1", text, text, whole=False)] * 2)
    assert (await messages(store, "c-1"))[1] == evolve(
        begun, content=text * 2, reasoning=text * 2 or None
    )

    await store.finish("c-1", answer, moment(2))
    conversation = await whole(store, "c-1")
    assert (conversation.title, *conversation.messages) == (text, asked, answer)


async def test_an_ended_answer_replaces_what_was_checkpointed(store: ConversationStore) -> None:
    await store.begin(beginning("1", at=1))
    await store.checkpoint([Checkpoint("a-1", "Beca", "Hm", whole=True)])

    await store.finish("c-1", ended("1", "Because.", reasoning="Hmm"), moment(7))

    conversation = await whole(store, "c-1")
    assert conversation.messages[1] == ended("1", "Because.", reasoning="Hmm")
    assert conversation.updated_at == moment(7)


async def test_finishing_again_counts(store: ConversationStore) -> None:
    await add(store, "1", "Why?", "first", "Title")

    await store.finish("c-1", ended("1", "second"), moment(8))

    assert (await messages(store, "c-1"))[1] == ended("1", "second")
    assert await found(store, "first") == []
    assert await found(store, "second") == ["c-1"]


async def test_finishing_late_does_not_turn_time_back(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.finish("c-1", ended("1", "first"), moment(9))

    await store.finish("c-1", ended("1", "first"), moment(7))

    assert (await whole(store, "c-1")).updated_at == moment(9)


async def test_finishing_passes_over_what_is_gone(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.delete(OWNER, "c-1")
    await store.begin(evolve(beginning("2"), conversation_id="c-1"))
    before = await whole(store, "c-1")

    await store.finish("c-1", ended("1", "text"), moment(9))
    await store.finish("c-never", ended("never", "text"), moment(9))

    assert await whole(store, "c-1") == before
    assert await found(store, "text") == []


# Claims, as one process sees them


async def test_what_is_taken_is_given_as_it_then_is(store: ConversationStore) -> None:
    await add(store, "1", "Why?", "Because.", "Title")

    taken = await store.take(OWNER, "c-1", "r-2")

    assert taken == await whole(store, "c-1")
    assert await store.take(OWNER, "c-unknown", "r-3") is None


async def test_a_process_does_not_stand_in_its_own_way(store: ConversationStore) -> None:
    await store.begin(beginning("1"))

    await store.take(OWNER, "c-1", "r-2")
    await store.release("c-1", "r-2")
    await store.take(OWNER, "c-1", "r-3")

    await store.begin(Beginning(OWNER, "c-1", "r-3", growing("3"), question("3"), None))
    assert len(await messages(store, "c-1")) == 4


async def test_releasing_what_was_not_taken_is_harmless(store: ConversationStore) -> None:
    await add(store, "1", "Why?", "Because.", "Title")
    before = await whole(store, "c-1")

    await store.release("c-1", "r-1")
    await store.release("c-1", "r-never")
    await store.release("c-unknown", "r-1")

    assert await whole(store, "c-1") == before


async def test_renewing_loses_nothing_that_is_held_and_leaves_answers_growing(
    store: ConversationStore,
) -> None:
    await store.begin(beginning("1"))
    await add(store, "2", "Why?", "Because.", "Title")
    await store.take(OWNER, "c-2", "r-3")

    assert list(await store.renew()) == []
    await store.finish("c-1", ended("1", "text"), moment(2))
    assert list(await store.renew()) == []

    await store.checkpoint([Checkpoint("a-1", "late", "", whole=True)])
    assert (await messages(store, "c-1"))[1] == ended("1", "text")


async def test_renewing_does_not_end_an_answer_that_grows(store: ConversationStore) -> None:
    await store.begin(beginning("1"))

    await store.renew()
    await store.checkpoint([Checkpoint("a-1", "more", "", whole=True)])

    assert (await messages(store, "c-1"))[1] == evolve(growing("1"), content="more")


# Lists


async def test_conversations_are_listed_latest_first(store: ConversationStore) -> None:
    for name, at in [("1", 5), ("3", 2), ("2", 5), ("4", 9)]:
        await store.begin(beginning(name, at=at))
    await store.finish("c-3", ended("3", "text"), moment(7))

    assert await found(store, "") == ["c-4", "c-3", "c-2", "c-1"]


async def test_a_summary_tells_what_a_list_shows(store: ConversationStore) -> None:
    await store.begin(beginning("1", at=1))
    large = growing("2", at=6, model="large")
    await store.begin(Beginning(OWNER, "c-1", "r-2", large, question("2", after="a-1"), None))

    page = await store.page(OWNER, 1, None, [])

    assert page == Page((Summary("c-1", "Title", moment(1), moment(6), 4, "large"),), last=True)


async def test_pages_continue_where_the_last_one_ended(store: ConversationStore) -> None:
    for number in range(7):
        await store.begin(beginning(str(number), at=number // 3))
    whole_list = await found(store, "")

    listed: list[str] = []
    ends: list[bool] = []
    after = None
    while not any(ends):
        page = await store.page(OWNER, 2, after, [])
        listed += [summary.conversation_id for summary in page.items]
        after = Position(page.items[-1].updated_at, page.items[-1].conversation_id)
        ends.append(page.last)

    assert listed == whole_list
    assert ends == [False, False, False, True]


async def test_a_full_page_may_be_the_last(store: ConversationStore) -> None:
    for number in range(2):
        await store.begin(beginning(str(number)))

    assert (await store.page(OWNER, 2, None, [])).last
    assert not (await store.page(OWNER, 1, None, [])).last
    assert await store.page(OWNER, 2, Position(moment(0), "c-0"), []) == Page((), last=True)


# Search


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("quantum", ["c-2", "c-1"]),
        ("QUAN", ["c-2", "c-1"]),
        ("uantum", []),
        ("quantum cat", ["c-1"]),
        ("physics cat quantum", ["c-1"]),
        ("straße", ["c-2"]),
        ("STRASSE", ["c-2"]),
        ("漢", ["c-2"]),
        ("字漢", ["c-2"]),
        ("nul nil", ["c-2"]),
        ("*", ["c-2", "c-1"]),
        ('"quantum" OR -cat*', ["c-1"]),
        ("near", []),
        ("x" * 200, []),
    ],
)
async def test_words_are_found_wherever_they_are(
    store: ConversationStore, query: str, expected: list[str]
) -> None:
    await add(store, "1", "What is quantum-mechanics?", "A cat, or not.", "Physics")
    await add(store, "2", "Quantum_computing in der Straße", "漢字 nul\0nil", "Or")

    assert await found(store, query) == expected


async def test_many_words_are_sought_at_once(store: ConversationStore) -> None:
    everything = " ".join(f"word{number}" for number in range(200))
    await add(store, "1", "Why?", everything, "All")
    await add(store, "2", "Why?", everything.removesuffix("9"), "Almost all")

    assert await found(store, everything) == ["c-1"]


async def test_a_question_is_found_at_once_and_an_answer_when_it_has_ended(
    store: ConversationStore,
) -> None:
    await store.begin(beginning("1", "asked"))
    await store.checkpoint([Checkpoint("a-1", "answered", "reasoned", whole=True)])
    assert await found(store, "asked") == ["c-1"]
    assert await found(store, "answered") == []

    await store.finish("c-1", ended("1", "answered", reasoning="reasoned"), moment(2))

    assert await found(store, "asked answered") == ["c-1"]
    assert await found(store, "reasoned") == []


async def test_a_new_title_is_found_and_the_old_one_is_not(store: ConversationStore) -> None:
    await store.begin(beginning("1", title="Old"))

    await store.change(OWNER, "c-1", title="New", active_message_id=None)

    assert await found(store, "new") == ["c-1"]
    assert await found(store, "old") == []


async def test_what_was_deleted_is_not_found(store: ConversationStore) -> None:
    await add(store, "1", "asked", "answered", "Title")
    await store.delete(OWNER, "c-1")
    await add(store, "2", "other", "other", "Other")

    assert await found(store, "asked") == []
    assert await found(store, "answered") == []
    assert await found(store, "title") == []


async def test_found_conversations_come_in_pages(store: ConversationStore) -> None:
    for number in range(4):
        await store.begin(beginning(str(number), "odd" if number % 2 else "even", at=number))

    first = await store.page(OWNER, 1, None, ["odd"])
    second = await store.page(OWNER, 1, Position(moment(3), "c-3"), ["odd"])

    assert [summary.conversation_id for summary in first.items + second.items] == ["c-3", "c-1"]
    assert (first.last, second.last) == (False, True)


# Changing and deleting


async def test_a_change_sets_what_is_given(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    before = await whole(store, "c-1")

    await store.change(OWNER, "c-1", title="New", active_message_id=None)
    assert await whole(store, "c-1") == evolve(before, title="New")

    await store.change(OWNER, "c-1", title=None, active_message_id="q-1")
    assert await whole(store, "c-1") == evolve(before, title="New", active_message_id="q-1")

    await store.change(OWNER, "c-unknown", title="New", active_message_id="q-1")
    assert await store.count() == 1


async def test_deleting_tells_whether_there_was_one(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.begin(beginning("2"))

    assert await store.delete(OWNER, "c-1") is True
    assert await store.delete(OWNER, "c-1") is False

    assert await store.get(OWNER, "c-1") is None
    assert await store.count() == 1


async def test_a_deleted_id_may_begin_again(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.delete(OWNER, "c-1")

    await store.begin(beginning("1", title="Again"))

    assert (await whole(store, "c-1")).title == "Again"


# Many at once


async def test_conversations_are_written_side_by_side(store: ConversationStore) -> None:
    async def converse(name: str) -> None:
        await store.begin(beginning(name))
        await store.checkpoint([Checkpoint(f"a-{name}", "par", "", whole=True)])
        await store.finish(f"c-{name}", ended(name, f"whole {name}"), moment(2))

    names = [str(number) for number in range(50)]
    await asyncio.gather(*map(converse, names))

    assert await store.count() == len(names)
    for name in names:
        assert await messages(store, f"c-{name}") == (question(name), ended(name, f"whole {name}"))


@pytest.mark.parametrize("steps", range(6))
async def test_a_cancelled_change_is_whole_or_nothing(store: ConversationStore, steps: int) -> None:
    tasks = [asyncio.ensure_future(store.begin(beginning(str(number)))) for number in range(5)]
    for _ in range(steps):
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    await store.begin(beginning("next"))

    for number in range(5):
        conversation = await store.get(OWNER, f"c-{number}")
        assert conversation is None or conversation.messages == (
            question(str(number)),
            growing(str(number)),
        )
    assert (await whole(store, "c-next")).messages == (question("next"), growing("next"))
