"""The outlet by itself: on a transport whose room a test gives and takes."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

import pytest
from aiohttp import ClientConnectionResetError, WSMsgType
from attrs import define, field
from web.outside import until

from service.web.outlet import AT_ONCE, Outlet, Socket

BIG = b"x" * AT_ONCE


@define(eq=False)
class Line:
    """Both the socket and its transport: takes frames while there is room."""

    frames: list[bytes] = field(factory=list)
    room: asyncio.Event = field(factory=asyncio.Event)
    fault: Exception | None = None
    aborted: bool = False
    writers: int = 0

    async def send_frame(self, message: bytes, _kind: WSMsgType) -> None:
        if self.fault:
            raise self.fault
        self.writers += 1
        assert self.writers == 1, "two write at once"
        self.frames.append(message)
        await self.room.wait()
        self.writers -= 1

    def get_write_buffer_size(self) -> int:
        return 0 if self.room.is_set() else 1

    def abort(self) -> None:
        self.aborted = True


@define(eq=False)
class Talk:
    """A source with so many frames, some to a turn."""

    name: str
    left: list[bytes]
    per_turn: int = 1
    fault: Exception | None = None
    has_more: bool = False

    def take(self) -> Sequence[bytes]:
        if self.fault:
            raise self.fault
        taken, self.left = self.left[: self.per_turn], self.left[self.per_turn :]
        self.has_more = bool(self.left)
        return taken


def talk(name: str, count: int, per_turn: int = 1) -> Talk:
    return Talk(name, [f"{name}{number}".encode() for number in range(count)], per_turn)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def outlet(line: Line) -> Iterator[Outlet]:
    made = Outlet(cast("Socket", line), cast("asyncio.WriteTransport", line), 5)
    yield made
    made.close()


async def test_what_there_is_room_for_is_written_within_the_step(
    line: Line, outlet: Outlet
) -> None:
    line.room.set()

    outlet.say(b"said")
    outlet.has_news(talk("a", 1))

    assert line.frames == [b"said", b"a0"]
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_left_after_a_turn_with_room_is_written_too(
    line: Line, outlet: Outlet
) -> None:
    line.room.set()

    outlet.has_news(talk("a", 5))
    outlet.say(b"said")
    await outlet.caught_up()
    await outlet.settled()

    assert sorted(line.frames) == [b"a0", b"a1", b"a2", b"a3", b"a4", b"said"]


async def test_where_there_is_no_room_nobody_waits_within_the_step(
    line: Line, outlet: Outlet
) -> None:
    outlet.say(b"said")
    within_the_step = list(line.frames)
    await until(lambda: line.frames == [b"said"])

    assert within_the_step == []


async def test_a_long_answer_and_a_fast_one_take_turns_with_the_others(
    line: Line, outlet: Outlet
) -> None:
    outlet.say(b"first")
    for source in (talk("a", 100, 3), talk("b", 2), talk("c", 4)):
        outlet.has_news(source)
    line.room.set()
    await outlet.settled()

    heads = [frame.decode() for frame in line.frames[:14]]
    assert heads == [
        "first", "a0", "a1", "a2", "b0", "c0",
        "a3", "a4", "a5", "b1", "c1",
        "a6", "a7", "a8",
    ]  # fmt: skip
    assert len(line.frames) == 1 + 100 + 2 + 4


async def test_more_news_does_not_move_a_source_forward(line: Line, outlet: Outlet) -> None:
    slow, fast = talk("slow", 2), talk("fast", 6)
    outlet.say(b"first")
    outlet.has_news(fast)
    outlet.has_news(slow)
    for _ in range(5):
        outlet.has_news(fast)
    line.room.set()
    await outlet.settled()

    assert line.frames[1:5] == [b"fast0", b"slow0", b"fast1", b"slow1"]


async def test_news_during_a_write_are_not_lost(line: Line, outlet: Outlet) -> None:
    source = talk("a", 1)
    outlet.has_news(source)
    await until(lambda: line.frames == [b"a0"])

    source.left.append(b"late")
    outlet.has_news(source)
    line.room.set()
    await outlet.settled()

    assert line.frames == [b"a0", b"late"]


async def test_what_the_socket_says_goes_before_what_waits(line: Line, outlet: Outlet) -> None:
    outlet.has_news(talk("a", 3))
    await until(lambda: line.frames == [b"a0"])

    outlet.say(b"one")
    outlet.say(b"two")
    line.room.set()
    await outlet.settled()

    assert line.frames == [b"a0", b"one", b"two", b"a1", b"a2"]


async def test_a_source_closed_while_its_frames_are_on_the_way_gets_no_more_turns(
    line: Line, outlet: Outlet
) -> None:
    source = talk("a", 5, 2)
    outlet.has_news(source)
    await until(lambda: line.frames == [b"a0"])

    outlet.forget(source)
    outlet.say(b"left")
    line.room.set()
    await outlet.settled()

    assert line.frames == [b"a0", b"a1", b"left"]


async def test_a_source_without_news_costs_no_write(line: Line, outlet: Outlet) -> None:
    line.room.set()

    outlet.has_news(talk("a", 0))

    assert line.frames == []
    assert len(asyncio.all_tasks()) == 1


async def test_a_large_batch_is_left_to_a_task(line: Line, outlet: Outlet) -> None:
    line.room.set()

    outlet.has_news(Talk("a", [BIG, b"x"], 2))
    within_the_step = list(line.frames)
    await outlet.settled()

    assert within_the_step == []
    assert line.frames == [BIG, b"x"]


async def test_caught_up_waits_for_what_was_said_only(line: Line, outlet: Outlet) -> None:
    outlet.has_news(talk("a", 1))
    await asyncio.wait_for(outlet.caught_up(), 1)
    outlet.say(b"said")

    waiting = asyncio.create_task(outlet.caught_up())
    await asyncio.sleep(0)
    before = waiting.done()
    line.room.set()
    await waiting

    assert not before


FAULTS = [
    ClientConnectionResetError(),
    ConnectionError("Connection lost"),
    RuntimeError("a defect"),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_fault_of_the_socket_never_reaches_who_brings_news(
    line: Line, outlet: Outlet, fault: Exception, *, at_once: bool
) -> None:
    line.fault = fault
    if at_once:
        line.room.set()

    outlet.has_news(talk("a", 1))
    outlet.say(b"said")
    await outlet.settled()
    await outlet.caught_up()

    assert line.aborted == isinstance(fault, RuntimeError)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_fault_of_one_source_drops_the_peer_instead_of_a_frame(
    line: Line, outlet: Outlet, *, at_once: bool
) -> None:
    if at_once:
        line.room.set()
    else:
        outlet.say(b"first")

    outlet.has_news(Talk("a", [b"a0"], fault=RuntimeError("a defect")))
    line.room.set()
    await outlet.settled()

    assert line.aborted


async def test_a_write_that_is_not_taken_in_time_drops_the_peer(line: Line) -> None:
    outlet = Outlet(cast("Socket", line), cast("asyncio.WriteTransport", line), 0.01)

    outlet.has_news(talk("a", 1))
    await outlet.settled()

    assert line.aborted


async def test_closing_frees_who_waits_and_ends_the_task(line: Line, outlet: Outlet) -> None:
    outlet.has_news(talk("a", 1))
    await until(lambda: line.frames == [b"a0"])
    outlet.say(b"said")
    waiting = asyncio.create_task(outlet.caught_up())
    await asyncio.sleep(0)

    outlet.close()
    await waiting
    await outlet.settled()

    assert line.frames == [b"a0"]
    assert len(asyncio.all_tasks()) == 1


async def test_closing_before_the_task_has_begun_ends_it(line: Line, outlet: Outlet) -> None:
    outlet.has_news(talk("a", 1))

    outlet.close()
    await outlet.settled()

    assert line.frames == []
    assert len(asyncio.all_tasks()) == 1
