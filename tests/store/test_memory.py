from service.core.ports import Checkpoint
from service.store.memory import MemoryStore
from store.samples import OWNER, beginning


async def test_what_was_read_does_not_change() -> None:
    store = MemoryStore()
    await store.open()
    await store.begin(beginning("1"))
    before = await store.get(OWNER, "c-1")

    await store.checkpoint([Checkpoint("a-1", "more", "", whole=False)])

    after = await store.get(OWNER, "c-1")
    assert before is not None
    assert after is not None
    assert before.messages[1].content == ""
    assert after.messages[1].content == "more"


async def test_each_store_is_its_own() -> None:
    first, second = MemoryStore(), MemoryStore()
    await first.open()
    await second.open()

    await first.begin(beginning("1"))

    assert await second.get(OWNER, "c-1") is None
