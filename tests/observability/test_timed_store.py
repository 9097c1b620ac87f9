import asyncio
from pathlib import Path

import pytest
from attrs import define, evolve, field, frozen

from service.core.conversation import Answer, AnswerStatus, Question
from service.core.errors import Kind, ServiceError
from service.core.owners import ANONYMOUS
from service.core.ports import Beginning, Checkpoint, ConversationStore
from service.core.spending import By
from service.observability.timed_store import TimedStore
from service.store.memory import MemoryStore
from service.store.open import open_store

AT = "2025-01-01T00:00:00.000Z"
QUESTION = Question("q", None, "Why?", AT)
ANSWER = Answer("a", "q", "", AT, "small", AnswerStatus.STREAMING)
BEGINNING = Beginning(ANONYMOUS, "c", "run", ANSWER, QUESTION, "Title")
UNKNOWN = evolve(BEGINNING, conversation_id="other", title=None)


@frozen
class Call:
    operation: str
    seconds: float
    failed: bool


@define
class Told:
    calls: list[Call] = field(factory=list)

    def __call__(self, operation: str, seconds: float, *, failed: bool) -> None:
        self.calls.append(Call(operation, seconds, failed))

    @property
    def operations(self) -> list[str]:
        return [call.operation for call in self.calls]


async def test_every_operation_does_what_it_does_behind_and_is_told() -> None:
    behind, told = MemoryStore(), Told()
    store: ConversationStore = TimedStore(behind, told)

    await store.open()
    await store.ping()
    await store.begin(BEGINNING)
    await store.checkpoint([Checkpoint("a", "Because", "", whole=True)])
    got = await store.get(ANONYMOUS, "c")
    await store.finish("c", evolve(ANSWER, content="Because.", status=AnswerStatus.COMPLETE), AT)
    assert await store.claimed_by(ANONYMOUS, "c") is None
    taken = await store.take(ANONYMOUS, "c", "run")
    await store.release("c", "run")
    assert list(await store.renew()) == []
    await store.change(ANONYMOUS, "c", title="Other", active_message_id=None)
    page = await store.page(ANONYMOUS, 10, None, [])
    await store.record(ANONYMOUS, evolve(ANSWER, message_id="unsaved"))
    spent = await store.usage(ANONYMOUS, "", "9", By.MODEL)
    ids = await store.ids("", 10)
    kept = await store.read(ids)
    deleted = await store.delete(ANONYMOUS, "c")
    await store.write(kept)
    count = await store.count()
    await store.close()

    assert got
    assert got.messages[-1].content == "Because"
    assert taken
    assert taken.messages[-1].content == "Because."
    assert [item.title for item in page.items] == ["Other"]
    assert [item.answers for item in spent] == [2]
    assert (list(ids), [one.owner for one in kept]) == (["c"], [ANONYMOUS])
    assert (deleted, count) == (True, 1)
    methods = {name for name in vars(ConversationStore) if not name.startswith("_")}
    assert set(told.operations) == methods - {"kind"}
    assert len(told.operations) == len(set(told.operations))
    assert not [call for call in told.calls if call.failed]
    assert all(0 <= call.seconds < 1 for call in told.calls)
    assert store.kind == behind.kind


async def test_a_store_that_cannot_has_failed(tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "file").touch()
    store = TimedStore(open_store(f"sqlite:///{tmp_path}/file/c.db"), told)

    with pytest.raises(ServiceError):
        await store.open()

    assert [(call.operation, call.failed) for call in told.calls] == [("open", True)]


async def test_a_refusal_is_no_failure() -> None:
    told = Told()
    store = TimedStore(MemoryStore(), told)
    await store.open()

    with pytest.raises(ServiceError) as refused:
        await store.begin(UNKNOWN)

    assert refused.value.problem.kind is Kind.CONVERSATION_NOT_FOUND
    assert [(call.operation, call.failed) for call in told.calls] == [
        ("open", False),
        ("begin", False),
    ]


async def test_a_defect_of_the_store_is_a_failure() -> None:
    told = Told()

    class Defective(MemoryStore):
        async def count(self) -> int:
            raise LookupError

    with pytest.raises(LookupError):
        await TimedStore(Defective(), told).count()

    assert [(call.operation, call.failed) for call in told.calls] == [("count", True)]


async def test_who_is_cancelled_has_not_failed() -> None:
    told, asked = Told(), asyncio.Event()

    class Stuck(MemoryStore):
        async def ping(self) -> None:
            asked.set()
            await asyncio.Event().wait()

    pinging = asyncio.create_task(TimedStore(Stuck(), told).ping())
    await asked.wait()
    pinging.cancel()
    await asyncio.wait({pinging})

    assert pinging.cancelled()
    assert [(call.operation, call.failed) for call in told.calls] == [("ping", False)]
