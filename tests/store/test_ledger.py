"""What every store remembers of what answers cost."""

from collections.abc import Sequence

import pytest
from attrs import evolve

from service.core.conversation import Answer
from service.core.owners import ANONYMOUS
from service.core.ports import Beginning, Checkpoint, ConversationStore
from service.core.spending import By, Spent, expense_of, sum_of
from store.samples import (
    MILLISECONDS,
    NANODOLLARS,
    OTHER,
    OWNER,
    USAGE,
    beginning,
    ended,
    growing,
    kept,
    moment,
    question,
)

DAY = moment(0)[:10]


async def spent(store: ConversationStore, owner: str = OWNER, by: By = By.DAY) -> Sequence[Spent]:
    return await store.usage(owner, "0001", "9999", by)


def cost(*answers: Answer) -> list[Spent]:
    """What these answers of one day cost together."""
    return [sum_of(DAY, [expense_of(OWNER, answer) for answer in answers])]


async def test_nothing_was_spent_in_the_beginning(store: ConversationStore) -> None:
    assert [list(await spent(store, OWNER, by)) for by in By] == [[], []]


async def test_sums_have_all_that_is_known(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.finish("c-1", ended("1", "text"), moment(2))

    assert list(await spent(store)) == [
        Spent(
            DAY,
            1,
            USAGE.prompt_tokens,
            USAGE.completion_tokens,
            USAGE.total_tokens,
            USAGE.reasoning_tokens,
            USAGE.cached_tokens,
            MILLISECONDS,
            NANODOLLARS,
            unpriced=0,
        )
    ]


async def test_an_answer_counts_from_its_beginning_on(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.checkpoint([Checkpoint("a-1", "text", "", whole=False)])

    assert list(await spent(store)) == cost(growing("1"))
    assert (await spent(store))[0].unpriced == 1


async def test_an_answer_that_a_crash_left_is_still_counted(store: ConversationStore) -> None:
    await store.begin(beginning("1"))

    await store.close()
    await store.open()

    assert list(await spent(store)) == cost(growing("1"))


async def test_an_answer_counts_once_however_often_it_is_kept(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    for content in ("first", "second"):
        await store.finish("c-1", ended("1", content), moment(2))
    unknown = evolve(ended("1", ""), usage=None, milliseconds=None, nanodollars=None)

    assert list(await spent(store)) == cost(ended("1", ""))
    await store.finish("c-1", unknown, moment(2))
    assert list(await spent(store)) == cost(unknown)
    await store.record(OWNER, ended("1", ""))
    assert list(await spent(store)) == cost(ended("1", ""))


async def test_what_is_removed_stays_counted(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.finish("c-1", ended("1", "text"), moment(2))
    await store.begin(beginning("2"))
    await store.delete(OWNER, "c-1")
    await store.delete(OWNER, "c-2")

    assert await store.count() == 0
    assert list(await spent(store)) == cost(ended("1", ""), growing("2"))


async def test_what_is_removed_under_way_costs_what_it_then_cost(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.delete(OWNER, "c-1")
    await store.finish("c-1", ended("1", "text"), moment(2))

    assert await store.get(OWNER, "c-1") is None
    assert list(await spent(store)) == cost(ended("1", ""))


async def test_what_was_never_begun_is_not_counted_by_its_end(store: ConversationStore) -> None:
    await store.finish("c-1", ended("1", "text"), moment(2))

    assert list(await spent(store)) == []


async def test_what_is_not_begun_after_all_is_not_counted(store: ConversationStore) -> None:
    gone = Beginning(OWNER, "c-1", "r-1", growing("1"), question("1"), None)
    with pytest.raises(Exception, match="no conversation"):
        await store.begin(gone)

    assert list(await spent(store)) == []


async def test_what_is_not_kept_is_counted_once(store: ConversationStore) -> None:
    for _ in range(2):
        await store.record(OWNER, ended("1", ""))

    assert await store.count() == 0
    assert list(await spent(store)) == cost(ended("1", ""))


async def test_what_is_moved_here_is_counted_once(store: ConversationStore) -> None:
    growing_too = evolve(
        kept("2").conversation, messages=(question("2"), growing("2"), growing("3"))
    )
    for _ in range(2):
        await store.write([kept("1"), evolve(kept("2"), conversation=growing_too)])

    assert list(await spent(store)) == cost(ended("1", ""), growing("2"), growing("3"))


async def test_everybody_spends_their_own(store: ConversationStore) -> None:
    await store.begin(beginning("1", owner=OWNER))
    await store.finish("c-1", ended("1", "text"), moment(2))
    await store.begin(beginning("2", owner=OTHER))
    await store.record(OTHER, ended("3", ""))
    await store.write([kept("4", owner=ANONYMOUS)])

    answers = [[one.answers for one in await spent(store, who)] for who in (OWNER, OTHER, "")]
    assert answers == [[1], [2], [1]]
    assert list(await spent(store, "nobody")) == []


async def test_a_period_has_its_start_and_not_its_end(store: ConversationStore) -> None:
    for second in range(5):
        await store.record(OWNER, evolve(ended(str(second), ""), created_at=moment(second)))

    assert [one.answers for one in await store.usage(OWNER, moment(1), moment(4), By.DAY)] == [3]
    assert list(await store.usage(OWNER, moment(1), moment(1), By.DAY)) == []
    assert list(await store.usage(OWNER, moment(5), moment(9), By.DAY)) == []


async def test_sums_are_by_day_and_by_model_in_the_order_of_keys(store: ConversationStore) -> None:
    times = ["2025-01-10T23:59:59.999Z", "2025-01-11T00:00:00.000Z", "2025-01-09T12:00:00.000Z"]
    models = ["small", "\uffff", "\U0001f600"]
    for name, (at, model) in enumerate(zip([*times, times[0]], [*models, models[0]], strict=True)):
        await store.record(OWNER, evolve(ended(str(name), ""), created_at=at, model=model))

    days, names = await spent(store, by=By.DAY), await spent(store, by=By.MODEL)
    assert [(one.key, one.answers) for one in days] == [
        ("2025-01-09", 1),
        ("2025-01-10", 2),
        ("2025-01-11", 1),
    ]
    assert [(one.key, one.answers) for one in names] == [
        ("small", 2),
        ("\uffff", 1),
        ("\U0001f600", 1),
    ]


async def test_sums_are_exact(store: ConversationStore) -> None:
    large = evolve(ended("1", ""), milliseconds=2**40 + 1, nanodollars=2**55 + 1)
    small = evolve(ended("2", ""), milliseconds=1, nanodollars=1)
    unknown = evolve(ended("3", ""), usage=None, milliseconds=None, nanodollars=None)
    for answer in (large, small, unknown):
        await store.record(OWNER, answer)

    [sums] = await spent(store)
    assert (sums.milliseconds, sums.nanodollars) == (2**40 + 2, 2**55 + 2)
    assert (sums.answers, sums.unpriced) == (3, 1)
    assert type(sums.nanodollars) is int


async def test_what_an_answer_cost_comes_back_with_it(store: ConversationStore) -> None:
    await store.begin(beginning("1"))
    await store.finish("c-1", ended("1", "text"), moment(2))

    conversation = await store.get(OWNER, "c-1")
    assert conversation
    answer = conversation.messages[1]
    assert isinstance(answer, Answer)
    assert (answer.milliseconds, answer.nanodollars) == (MILLISECONDS, NANODOLLARS)
    assert (answer.seconds, answer.cost) == (1.234, NANODOLLARS / 10**9)
