import asyncio

import pytest

from chatting import ANSWER, chatting
from clock import steps
from fakes import ACCEPT
from service.core.errors import Kind, ServiceError
from service.core.events import Delta
from service.core.owners import ANONYMOUS
from service.core.run import Run, RunStatus


def id_of(run: Run) -> str:
    assert run.origin.conversation_id
    return run.origin.conversation_id


class TestLookingAtThem:
    async def test_one_that_is_not_there_is_not_found(self) -> None:
        async with chatting() as made:
            with pytest.raises(ServiceError) as raised:
                await made.conversations.get(ANONYMOUS, "nowhere")
            assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND

    async def test_a_page_has_the_latest_first_and_only_what_holds_the_words(self) -> None:
        async with chatting() as made:
            for seconds, prompt in enumerate(["Red wine?", "White wine?", "Water?"]):
                made.clock.seconds = seconds
                await made.asked(prompt)

            page = await made.conversations.page(ANONYMOUS, 1, None, ["wine"])

            assert [item.title for item in page.items] == ["White wine?"]
            assert not page.last

    async def test_tells_which_run_is_under_way(self) -> None:
        async with chatting([asyncio.Event()]) as made:
            run = made.ask()

            assert await made.conversations.running_in(ANONYMOUS, id_of(run)) == run.run_id
            assert await made.conversations.running_in(ANONYMOUS, "nowhere") is None

    async def test_counts_all_that_memory_keeps_or_those_with_a_run(self) -> None:
        async with chatting() as made:
            for _ in range(3):
                await made.asked()
            await made.asked(save_conversation=False)
            in_memory = await made.conversations.in_memory()
            made.store.kind = "sqlite"

            assert in_memory == 3
            assert await made.conversations.in_memory() == 3
            assert "count" not in made.store.calls[made.store.calls.index("count") + 1 :]


class TestChanging:
    async def test_a_title_and_nothing_else(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            before = await made.conversations.get(ANONYMOUS, id_of(run))
            made.clock.seconds = 99
            summary = await made.conversations.change(ANONYMOUS, id_of(run), {"title": "New"})

            assert summary.title == "New"
            assert summary.updated_at == before.updated_at

    async def test_a_branch_goes_on_to_its_latest_leaf(self) -> None:
        async with chatting() as made:
            run = await made.asked("One?")
            conversation_id = id_of(run)
            first, *_ = (await made.conversations.get(ANONYMOUS, conversation_id)).messages
            second = await made.asked("Two?", conversation_id=conversation_id)
            assert second.started
            leaf = second.started.message_id
            await made.asked("Else?", conversation_id=conversation_id, parent_message_id="root")
            value = {"active_message_id": first.message_id}
            await made.conversations.change(ANONYMOUS, conversation_id, value)

            assert (
                await made.conversations.get(ANONYMOUS, conversation_id)
            ).active_message_id == leaf

    @pytest.mark.parametrize(
        ("value", "kind"),
        [
            ({"active_message_id": "nowhere"}, Kind.MESSAGE_NOT_FOUND),
            ({"title": ""}, Kind.VALIDATION_ERROR),
        ],
    )
    async def test_what_cannot_be_is_refused(self, value: object, kind: Kind) -> None:
        async with chatting() as made:
            run = await made.asked()

            with pytest.raises(ServiceError) as raised:
                await made.conversations.change(ANONYMOUS, id_of(run), value)
            assert raised.value.problem.kind is kind

    async def test_one_that_is_not_there_is_not_found(self) -> None:
        async with chatting() as made:
            with pytest.raises(ServiceError) as raised:
                await made.conversations.change(ANONYMOUS, "nowhere", {"title": "New"})
            assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND


class TestDeleting:
    async def test_removes_it(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            await made.conversations.delete(ANONYMOUS, id_of(run))

            assert await made.store.count() == 0
            with pytest.raises(ServiceError) as raised:
                await made.conversations.delete(ANONYMOUS, id_of(run))
            assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND

    @pytest.mark.parametrize("turns", range(12))
    async def test_cancels_the_run_that_is_under_way_whenever_that_is(self, turns: int) -> None:
        async with chatting(turns=2) as made:
            first = await made.asked()
            made.model.script = [0, ACCEPT, 0, Delta("Half"), asyncio.Event()]
            run = made.ask("And?", conversation_id=id_of(first))
            await steps(2 * turns)
            await made.conversations.delete(ANONYMOUS, id_of(first))

            assert run.status is RunStatus.CANCELLED
            assert await made.store.count() == 0
            assert made.runs.running_in(ANONYMOUS, id_of(first)) is None

    async def test_is_as_if_it_were_done_for_who_comes_meanwhile(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            gate = made.store.stall("delete")
            deleting = asyncio.create_task(made.conversations.delete(ANONYMOUS, id_of(run)))
            await steps(3)
            with pytest.raises(ServiceError) as asked:
                made.ask("And?", conversation_id=id_of(run))
            with pytest.raises(ServiceError) as deleted:
                await made.conversations.delete(ANONYMOUS, id_of(run))
            gate.set()
            await deleting

            assert asked.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
            assert deleted.value.problem.kind is Kind.CONVERSATION_NOT_FOUND

    async def test_that_fails_lets_the_conversation_be_used_again(self) -> None:
        async with chatting() as made:
            run = await made.asked()
            made.store.fail("delete")
            with pytest.raises(ServiceError):
                await made.conversations.delete(ANONYMOUS, id_of(run))

            again = await made.asked("And?", conversation_id=id_of(run))
            assert again.status is RunStatus.FINISHED

    async def test_a_reader_of_the_deleted_conversation_still_sees_the_end(self) -> None:
        async with chatting([*ANSWER[:-1], asyncio.Event()]) as made:
            run = made.ask()
            await steps(10)
            await made.conversations.delete(ANONYMOUS, id_of(run))

            assert made.runs.get(ANONYMOUS, run.run_id) is run
            assert run.done


class TestOwners:
    async def test_see_and_list_their_own(self) -> None:
        async with chatting([asyncio.Event()]) as made:
            run = made.ask("Mine?", owner="ann")
            await steps(10)
            running = await made.conversations.running_in("bob", id_of(run))
            made.model.script = ANSWER
            kept = await made.asked("Yours?", owner="bob")
            with pytest.raises(ServiceError) as raised:
                await made.conversations.get("ann", id_of(kept))

            assert running is None
            assert await made.conversations.running_in("ann", id_of(run)) == run.run_id
            assert raised.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
            assert (await made.conversations.page("ann", 9, None, [])).items == ()
            assert len((await made.conversations.page("bob", 9, None, [])).items) == 1

    async def test_change_and_remove_nothing_of_anothers(self) -> None:
        async with chatting([*ANSWER[:-1], asyncio.Event()]) as made:
            run = made.ask(owner="ann")
            await steps(10)
            before = await made.conversations.get("ann", id_of(run))
            with pytest.raises(ServiceError) as changed:
                await made.conversations.change("bob", id_of(run), {"title": "Mine"})
            with pytest.raises(ServiceError) as deleted:
                await made.conversations.delete("bob", id_of(run))

            assert changed.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
            assert deleted.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
            assert await made.conversations.get("ann", id_of(run)) == before
            assert run.stopped_by is None
