"""Every store: what belongs to another owner is not there."""

from collections.abc import Awaitable, Callable

import pytest

from service.core.errors import Kind, ServiceError
from service.core.owners import ANONYMOUS
from service.core.ports import Beginning, ConversationStore
from service.core.search import words
from store.samples import OTHER, OWNER, beginning, ended, growing, kept, moment, question

Look = Callable[[ConversationStore], Awaitable[object]]

LOOKS: dict[str, Look] = {
    "get": lambda store: store.get(OTHER, "c-1"),
    "take": lambda store: store.take(OTHER, "c-1", "r-9"),
    "change": lambda store: store.change(OTHER, "c-1", title="Mine", active_message_id="q-1"),
    "delete": lambda store: store.delete(OTHER, "c-1"),
}


async def listed(store: ConversationStore, owner: str, query: str = "") -> list[str]:
    page = await store.page(owner, 100, None, words(query))
    return [summary.conversation_id for summary in page.items]


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
async def test_nobody_sees_or_touches_what_is_not_theirs(
    store: ConversationStore, look: Look
) -> None:
    await store.begin(beginning("1"))
    before = await store.get(OWNER, "c-1")

    assert not await look(store)

    assert before
    assert await store.get(OWNER, "c-1") == before


@pytest.mark.parametrize("title", [None, "Title"])
async def test_what_is_not_theirs_is_gone_for_who_would_continue_it(
    store: ConversationStore, title: str | None
) -> None:
    await store.begin(beginning("1"))
    before = await store.get(OWNER, "c-1")

    with pytest.raises(ServiceError) as raised:
        await store.begin(
            Beginning(OTHER, "c-1", "r-2", growing("2"), question("2", "needle"), title)
        )

    assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
    assert await store.get(OWNER, "c-1") == before
    assert await store.get(OTHER, "c-1") is None
    assert await listed(store, OWNER, "needle") == []
    assert await listed(store, OTHER) == []


async def test_each_lists_and_finds_their_own(store: ConversationStore) -> None:
    for number, owner in enumerate([OWNER, OTHER, ANONYMOUS, OWNER, OTHER]):
        name = str(number)
        await store.begin(beginning(name, f"common {owner}", at=number, owner=owner))
        await store.finish(f"c-{name}", ended(name, f"said {name}"), moment(number))

    assert await listed(store, OWNER) == ["c-3", "c-0"]
    assert await listed(store, OTHER) == ["c-4", "c-1"]
    assert await listed(store, ANONYMOUS) == ["c-2"]
    assert await listed(store, "nobody") == []
    assert await listed(store, OWNER, "common") == ["c-3", "c-0"]
    assert await listed(store, OTHER, "said 0") == []
    assert await store.count() == 5


async def test_pages_pass_over_what_is_not_theirs(store: ConversationStore) -> None:
    for number in range(6):
        owner = OTHER if number % 2 else OWNER
        await store.begin(beginning(str(number), at=number, owner=owner))

    page = await store.page(OWNER, 2, None, [])

    assert [summary.conversation_id for summary in page.items] == ["c-4", "c-2"]
    assert not page.last
    assert (await store.page(OWNER, 3, None, [])).last


async def test_an_id_that_one_deleted_another_may_begin(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.delete(OWNER, "c-1")

    await store.begin(beginning("1", title="Again", owner=OTHER))

    assert await store.get(OWNER, "c-1") is None
    assert await listed(store, OTHER, "again") == ["c-1"]


async def test_owners_survive_a_closing(store: ConversationStore) -> None:
    await store.write([kept("1", owner=OWNER), kept("2", owner="é\0'")])

    await store.close()
    await store.open()

    assert await store.get("é\0'", "c-2") == kept("2").conversation
    assert await store.get(OWNER, "c-2") is None
