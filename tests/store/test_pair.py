import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from itertools import product
from pathlib import Path

import pytest
from attrs import evolve

from fakes import FailingStore
from service.core.moving import Progress, move
from service.core.ports import ConversationStore, Kept
from service.store.open import open_store
from service.store.pair import open_pair
from store.samples import OTHER, STORES, kept

PLACES = ("source", "target")
ODD = ["1", "2", "10", "B", "a", "é", "～", "😀"]  # in another order where one counts in UTF-16


@pytest.fixture(params=list(product(STORES, STORES)), ids="-".join)
async def pair(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[list[ConversationStore]]:
    """Two open stores, of every two kinds."""
    async with AsyncExitStack() as opened:
        stores = []
        for place, kind in zip(PLACES, request.param, strict=True):
            (tmp_path / place).mkdir()
            store = open_store(STORES[kind](tmp_path / place))
            await store.open()
            opened.push_async_callback(store.close)
            stores.append(store)
        yield stores


def samples(count: int) -> list[Kept]:
    texts = ["Plain", "“ὥρα” 天地\r\n\0\t", "👩🏽‍💻" * 50, ""]
    numbered = [kept(f"n{n:03}", texts[n % 4], at=n % 60) for n in range(count)]
    return numbered + [kept(name, owner=OTHER) for name in ODD]


async def everything(store: ConversationStore) -> Sequence[Kept]:
    return await store.read(await store.ids("", 10_000))


class TestMovingBetweenAnyTwoStores:
    async def test_moves_all_as_it_is_and_a_second_time_nothing(
        self, pair: list[ConversationStore]
    ) -> None:
        source, target = pair
        await source.write(samples(12))

        first = await move(source, target, lambda _: None)
        second = await move(source, target, lambda _: None)
        back = await move(target, source, lambda _: None)

        assert first.verified
        assert (first.copied, first.source.messages) == (20, 40)
        assert second == back == evolve(first, copied=0)
        assert await everything(target) == await everything(source) == sorted(samples(12), key=_id)

    @pytest.mark.parametrize("batches", [1, 3])
    async def test_that_is_cancelled_leaves_no_half_and_is_gone_on_with(
        self, pair: list[ConversationStore], batches: int
    ) -> None:
        source, target = pair
        await source.write(samples(12))
        seen: list[Progress] = []

        def cancel_at_last(progress: Progress) -> None:
            seen.append(progress)
            if len(seen) == batches:
                moving.cancel()

        slow = [FailingStore(store, turns=1) for store in pair]  # so that it can be cancelled
        moving = asyncio.create_task(move(slow[0], slow[1], cancel_at_last))
        with pytest.raises(asyncio.CancelledError):
            await moving
        parts = await everything(target)
        result = await move(source, target, lambda _: None)

        assert len(seen) == batches
        assert all(part in samples(12) for part in parts)
        assert (len(parts), result.copied) == (seen[-1].done, 20 - seen[-1].done)
        assert result.verified


def _id(one: Kept) -> str:
    return one.conversation.conversation_id


class TestAPair:
    def test_is_two_stores_that_are_not_opened(self, tmp_path: Path) -> None:
        (tmp_path / "a.db").touch()

        source, target = open_pair(f"sqlite:///{tmp_path}/a.db", f"sqlite:///{tmp_path}/x/b.db")

        assert source.kind == target.kind == "sqlite"
        assert [path.name for path in tmp_path.iterdir()] == ["a.db"]

    @pytest.mark.parametrize(
        ("source", "target", "reason"),
        [
            ("memory://", "sqlite:///{}/b.db", "the source is memory://, which keeps nothing"),
            ("sqlite:///{}/a.db", "memory://", "the target is memory://, which keeps nothing"),
            ("sqlite:///{}/b.db", "sqlite:///{}/c.db", "the source is not there: .*b.db"),
            ("sqlite:///{}", "sqlite:///{}/c.db", "the source is not there"),
            ("sqlite:///{}/a.db", "sqlite:///{}/a.db", "the same store"),
            ("sqlite:///{}/a.db", "sqlite:///{}/x/../a.db", "the same store"),
            ("sqlite:///{}/a.db", "sqlite:///{}/link.db", "the same store"),
            ("postgresql://u:hidden@h/d", "sqlite:///{}/a.db", "the source is no store: .*sqlite:"),
            ("sqlite:///{}/a.db", "mysql://u:hidden@h/d", "the target is no store: .*sqlite:"),
        ],
    )
    def test_that_makes_no_sense_is_refused_with_its_reason(
        self, tmp_path: Path, source: str, target: str, reason: str
    ) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "a.db").touch()
        (tmp_path / "link.db").symlink_to(tmp_path / "a.db")

        with pytest.raises(ValueError, match=reason) as raised:
            open_pair(source.format(tmp_path), target.format(tmp_path))

        assert "hidden" not in str(raised.value)
        assert not (tmp_path / "b.db").exists()
