import asyncio
import hashlib
from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes import unavailable
from service.core.conversation import Conversation, Message
from service.core.errors import ServiceError
from service.core.moving import (
    BATCH_BYTES,
    MOST_CONVERSATIONS,
    Moved,
    Progress,
    Step,
    encoded,
    move,
)
from service.core.ports import Kept
from service.store.memory import MemoryStore
from store.samples import OTHER, OWNER, SETTINGS, ended, growing, kept, moment, question

# Few ids, so that the two stores have some in common.
NAMES = ["", "1", "2", "10", "é", "😀", "\uffff", *(f"n{number:02}" for number in range(12))]


@st.composite
def conversations(draw: st.DrawFn, name: str) -> Kept:
    """One of a few versions: it may have gone on in two ways, at one of a few times."""
    said: list[Message] = [question(name), ended(name, draw(st.sampled_from(["One.", "Two."])))]
    if draw(st.booleans()):
        further = draw(st.sampled_from(["3", "4"]))
        said.append(question(f"{name}-{further}", after=f"a-{name}"))
    at = moment(draw(st.integers(1, 3)))
    conversation = Conversation(f"c-{name}", "Title", moment(1), at, f"a-{name}", tuple(said))
    return Kept(draw(st.sampled_from(["", OWNER, OTHER])), conversation)


@st.composite
def stores(draw: st.DrawFn) -> list[Kept]:
    return [draw(conversations(name)) for name in draw(st.sets(st.sampled_from(NAMES)))]


class Recording(MemoryStore):
    """Says what it was asked to write, and fails after so many writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.read_batches: list[Sequence[Kept]] = []
        self.writes_left: int | None = None
        self.fails_late = False

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        self.read_batches.append(await super().read(ids))
        return self.read_batches[-1]

    async def write(self, kept: Sequence[Kept]) -> None:
        fails = self.writes_left == 0
        if self.writes_left:
            self.writes_left -= 1
        if fails and not self.fails_late:
            raise unavailable()
        await super().write(kept)
        self.written += [one.conversation.conversation_id for one in kept]
        if fails:
            raise unavailable()


class Careless(MemoryStore):
    """Loses or alters the last conversation of each write."""

    def __init__(self, *, title: str | None) -> None:
        super().__init__()
        self._title = title

    async def write(self, kept: Sequence[Kept]) -> None:
        *whole, last = kept
        if self._title is not None:
            conversation = evolve(last.conversation, title=self._title)
            whole.append(evolve(last, conversation=conversation))
        await super().write(whole)


async def filled(kept: Sequence[Kept]) -> Recording:
    store = Recording()
    await store.open()
    await store.write(kept)
    store.written.clear()
    return store


async def everything(store: MemoryStore) -> dict[str, Kept]:
    found = await store.read(await store.ids("", 10_000))
    return {one.conversation.conversation_id: one for one in found}


async def moved(source: MemoryStore, target: MemoryStore) -> Moved:
    return await move(source, target, lambda _: None)


class TestAMove:
    @given(stores(), st.integers(0, 5), st.booleans())
    def test_that_failed_anywhere_is_gone_on_with_and_writes_nothing_twice(
        self, kept: list[Kept], writes: int, fails_late: bool
    ) -> None:
        async def check() -> None:
            source, target = await filled(kept), await filled([])
            target.writes_left, target.fails_late = writes, fails_late
            try:
                await moved(source, target)
            except ServiceError:
                parts = await everything(target)
                assert parts.items() <= (await everything(source)).items()
                assert len(parts) == len(target.written)
            target.writes_left = None
            result = await moved(source, target)

            assert result.verified
            assert await everything(target) == await everything(source)
            assert sorted(target.written) == sorted(await everything(source))
            assert source.written == []

        asyncio.run(check())

    @given(stores(), stores())
    def test_loses_nothing_that_is_newer_in_the_target(
        self, here: list[Kept], there: list[Kept]
    ) -> None:
        async def check() -> None:
            source, target = await filled(here), await filled(there)
            before, of_source = await everything(target), await everything(source)
            result = await moved(source, target)
            after = await everything(target)
            again = await moved(source, target)

            assert set(after) == set(before) | set(of_source)
            left = {*result.went_on, *result.diverged}
            for name, one in after.items():
                stays = name in left or name not in of_source
                assert one == (before[name] if stays else of_source[name])
            for name in before.keys() & of_source.keys():
                old, new = before[name].conversation, of_source[name].conversation
                longer = {m.message_id for m in old.messages} - {m.message_id for m in new.messages}
                assert (name in left) == (old.updated_at > new.updated_at or bool(longer))
            assert result.extra == len(before.keys() - of_source.keys())
            assert result.source == result.target
            assert result.verified == (not result.diverged)
            assert again == evolve(result, copied=0)

        asyncio.run(check())

    async def test_copies_a_change_that_left_the_time_as_it_was(self) -> None:
        old = kept("1")
        new = evolve(old, conversation=evolve(old.conversation, title="Renamed"))
        source, target = await filled([new]), await filled([old])

        result = await moved(source, target)

        assert result.verified
        assert await everything(target) == {"c-1": new}

    async def test_tells_how_far_it_is(self) -> None:
        source, target = await filled([kept(str(number)) for number in range(20)]), await filled([])
        said: list[Progress] = []

        await move(source, target, said.append)

        for step in Step:
            of_step = [progress.done for progress in said if progress.step is step]
            assert of_step == sorted(set(of_step))
        assert said[0] == Progress(Step.COPYING, 1, 20, 2)
        assert said[-1] == Progress(Step.VERIFYING, 20, 20, 40)

    @pytest.mark.parametrize(("count", "length"), [(1500, 1), (30, BATCH_BYTES // 7)])
    async def test_holds_little_at_once(self, count: int, length: int) -> None:
        source = await filled([kept(f"{number:04}", "x" * length) for number in range(count)])

        await moved(source, await filled([]))

        batches = source.read_batches
        assert max(map(len, batches)) <= MOST_CONVERSATIONS
        assert max(sum(len(encoded(one)) for one in batch) for batch in batches) <= 2 * BATCH_BYTES
        assert len(batches) < 40

    @pytest.mark.parametrize("role", ["source", "target"])
    async def test_that_fails_says_which_store_failed(self, role: str) -> None:
        opened = {"source": await filled([kept("1")]), "target": await filled([])}
        await opened[role].close()

        with pytest.raises(ServiceError, match=f"^the {role}: .*not open"):
            await moved(opened["source"], opened["target"])


class TestWhatIsLeftAlone:
    async def test_what_went_on_in_the_target_is_named_and_no_fault(self) -> None:
        old = kept("1")
        said = (*old.conversation.messages, question("2", after="a-1", at=9))
        newer = evolve(old.conversation, messages=said, updated_at=moment(9), title="Renamed")
        source, target = await filled([old]), await filled([Kept(OWNER, newer)])

        result = await moved(source, target)

        assert (result.went_on, result.diverged, result.verified) == (["c-1"], [], True)

    async def test_what_went_on_in_both_is_named_and_a_fault(self) -> None:
        source = await filled([kept("1", "A whole answer.")])
        target = await filled([kept("1", "A part", at=9), kept("2")])

        result = await moved(source, target)

        assert (result.went_on, result.diverged, result.verified) == ([], ["c-1"], False)
        assert (await everything(target))["c-1"] == kept("1", "A part", at=9)

    async def test_what_is_still_being_written_is_named_and_a_fault(self) -> None:
        one = kept("1")
        said = (question("1"), growing("1"))
        source = await filled([evolve(one, conversation=evolve(one.conversation, messages=said))])
        target = await filled([])

        result = await moved(source, target)

        assert (result.growing, result.verified) == (["c-1"], False)
        assert await everything(target) == {}


class TestVerifying:
    @pytest.mark.parametrize("title", [None, "Other"])
    async def test_finds_what_the_target_lost_or_altered(self, title: str | None) -> None:
        target = Careless(title=title)
        await target.open()

        result = await moved(await filled([kept("1"), kept("2")]), target)

        assert not result.verified
        assert result.source.conversations == 2
        assert result.target.conversations == (0 if title is None else 2)
        assert result.source.sha256 != result.target.sha256

    async def test_finds_another_owner(self) -> None:
        class Misplacing(MemoryStore):
            async def write(self, kept: Sequence[Kept]) -> None:
                await super().write([evolve(one, owner=OTHER) for one in kept])

        target = Misplacing()
        await target.open()

        assert not (await moved(await filled([kept("1")]), target)).verified

    async def test_digests_a_line_for_each_conversation(self) -> None:
        both = [kept("1"), kept("2", owner=OTHER)]

        result = await moved(await filled(both), await filled([]))

        lines = b"".join(encoded(one) + b"\n" for one in both)
        assert result.source.sha256 == hashlib.sha256(lines).hexdigest()
        assert (result.source.conversations, result.source.messages) == (2, 4)

    def test_takes_no_notice_of_the_order_of_hyperparameters(self) -> None:
        one = kept("1")
        turned = {name: SETTINGS[name] for name in sorted(SETTINGS, reverse=True)}
        said = (question("1"), evolve(ended("1", "Because."), hyperparameters=turned))
        other = evolve(one, conversation=evolve(one.conversation, messages=said))

        assert encoded(one) == encoded(other)
        assert encoded(one) != encoded(evolve(one, owner=OTHER))
