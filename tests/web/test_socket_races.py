"""Cancel, leave and resume about the moment at which a run ends, and what is left of them."""

import asyncio
import gc
import random
from contextlib import AsyncExitStack

import pytest
from web.outside import Held, Json, connections, ended, listed, said, start, state_of, until
from web.speaking import (
    check_whole,
    frame,
    of,
    raw,
    sockets_open,
    speaking,
    text_frame,
)

from service.simulator import NoResponse, Raw, Silence
from service.web.ws import Session
from support import MODEL, Running, running

SEEDS = range(6)


@pytest.mark.parametrize("kind", ["cancel", "leave"])
@pytest.mark.parametrize("turns", range(6))
async def test_what_meets_the_end_of_a_run_is_answered_once(
    served: Running, kind: str, turns: int
) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_to("delta")
        held.let_go()
        for _ in range(turns):
            await asyncio.sleep(0)
        await peer.say(kind, id="a")
        await peer.say("ping")
        heard += await peer.hear_to("pong")
        if heard[-2].get("seq") and not heard[-2]["finished"]:
            heard += await peer.hear_end("a")
        await peer.nothing_more()

    told = of(heard, "a")
    kinds = [one["type"] for one in told]
    assert kinds.count("finished") + kinds.count("left") == 1, kinds
    if "error" in kinds:
        assert kinds[-2:] == ["finished", "error"]
        assert told[-1]["error"]["type"] == "/problems/not-found"


@pytest.mark.parametrize("seed", SEEDS)
async def test_leaving_and_coming_back_in_one_breath_repeats_and_loses_nothing(
    served: Running, seed: int
) -> None:
    chance = random.Random(seed)
    text = "".join(chr(0x4E00 + number) for number in range(200))
    served.script.next(said(*text))
    run_id = await start(served)
    await ended(served, run_id)

    async with raw(served) as peer:
        await peer.hear_text()
        after, heard, gone = -1, "", False
        while not gone:
            resume = text_frame("resume", id="a", run_id=run_id, after=after)
            await peer.say(resume)
            assert (await peer.hear_text())["type"] == "resumed"
            for _ in range(chance.randint(1, 20)):
                event = await peer.hear_text()
                assert event["seq"] == after + 1
                after, heard = event["seq"], heard + event.get("content", "")
                gone = event["finished"]
                if gone:
                    break
            else:
                break

    assert text.startswith(heard)


async def test_after_left_comes_nothing_though_much_is_on_its_way(served: Running) -> None:
    served.script.next(said(*("x" * 1000 for _ in range(2000))))
    run_id = await start(served)
    await ended(served, run_id)
    ids = [f"r{number}" for number in range(8)]

    async with raw(served) as peer:
        await peer.hear_text()
        resumes = [text_frame("resume", id=one, run_id=run_id) for one in ids]
        leaves = [text_frame("leave", id=one) for one in ids]
        await peer.say(b"".join([*resumes, *leaves, text_frame("ping")]))
        heard: list[Json] = [await peer.hear_text()]
        while heard[-1]["type"] != "pong":
            heard.append(await peer.hear_text())
        await peer.say(text_frame("ping"))
        last = await peer.hear_text()

    assert last == {"type": "pong"}
    for one in ids:
        kinds = [message["type"] for message in of(heard, one)]
        assert kinds[0] == "resumed"
        assert "left" in kinds or "error" in kinds
        if "left" in kinds:
            assert kinds[-1] == "left"
        seqs = [message["seq"] for message in of(heard, one) if "seq" in message]
        assert seqs == list(range(len(seqs)))


async def test_an_id_may_be_used_again_at_once(served: Running) -> None:
    served.script.always(said("Hel", "lo"))

    async with speaking(served) as peer:
        for _ in range(15):
            await peer.chat("a")
            assert check_whole(await peer.hear_end("a")) == "Hello"
        held = Held()
        served.script.next(held.answer)
        await peer.chat("a")
        run_id = (await peer.hear_to("delta"))[0]["run_id"]
        for _ in range(5):
            await peer.say("leave", id="a")
            await peer.say("resume", id="a", run_id=run_id)
        held.let_go()
        heard = await peer.hear_end("a")

    last = max(index for index, one in enumerate(heard) if one["type"] == "resumed")
    assert check_whole(heard[last + 1 :]) == "Hello"


async def test_cancelling_twice_is_as_once(served: Running) -> None:
    served.script.next(Held().answer)

    async with speaking(served) as peer, speaking(served) as other:
        await peer.chat("a")
        run_id = (await peer.hear_to("delta"))[0]["run_id"]
        await other.say("resume", id="b", run_id=run_id, after=1)
        await other.hear_to("resumed")
        await asyncio.gather(
            peer.say("cancel", id="a"),
            other.say("cancel", id="b"),
            served.client.post(f"/api/runs/{run_id}/cancel"),
        )
        ends = [(await peer.hear_end("a"))[-1], (await other.hear_end("b"))[-1]]

    assert [end["finish_reason"] for end in ends] == 2 * ["cancelled"]


# Who reads, counts: and who has gone, does not.


async def test_who_leaves_has_its_run_cancelled_after_the_grace() -> None:
    async with running(DISCONNECT_GRACE="0.05") as served, speaking(served) as peer:
        served.script.next(Held().answer)
        await peer.chat("a", on_disconnect="cancel")
        run_id = (await peer.hear_to("delta"))[0]["run_id"]
        await peer.say("leave", id="a")
        await served.script.disconnected(0)
        state = await ended(served, run_id)

    assert (state["status"], state["content"]) == ("cancelled", "Hel")


async def test_who_reads_it_twice_leaves_it_only_with_the_second() -> None:
    async with running(DISCONNECT_GRACE="0") as served, speaking(served) as peer:
        served.script.next(Held().answer)
        await peer.chat("a", on_disconnect="cancel")
        run_id = (await peer.hear_to("delta"))[0]["run_id"]
        await peer.say("resume", id="b", run_id=run_id)
        await peer.say("leave", id="a")
        await peer.hear_to("left")
        await peer.nothing_more()
        between = await state_of(served, run_id)
        await peer.say("leave", id="b")
        await served.script.disconnected(0)

    assert between["status"] == "running"


ENDS = {
    "a cut": b"",
    "a close": frame(b"\x03\xe8", 0x88),
    "a broken frame": frame(b"x", 0x83),
    "bad messages": frame(b"x") * 3,
    "too many": text_frame("ping") * 50,
    "too big": b"\x81\xff" + (2**40).to_bytes(8, "big"),
}


@pytest.mark.parametrize("last", ENDS.values(), ids=ENDS.keys())
@pytest.mark.parametrize("answer", [Raw([Silence()]), NoResponse()], ids=["begun", "not begun"])
async def test_however_a_socket_ends_its_runs_are_left(last: bytes, answer: Raw) -> None:
    request = {"model": MODEL, "user_prompt": "Hello", "save_conversation": False}
    async with running(DISCONNECT_GRACE="0") as served:
        served.script.always(answer)
        async with raw(served) as peer:
            for number in range(3):
                await peer.say(text_frame("chat", id=f"r{number}", request=request))
            await served.script.request_count(3)
            await peer.say(last)
            if last:
                await peer.say(ENDS["a close"])
                await until(lambda: served.service.chat.runs.active_count == 0)
        for number in range(3):
            await served.script.disconnected(number)
        await until(lambda: (sockets_open(served), connections(served)) == (0, 0))
        assert (await listed(served))["items"] == []


async def test_sockets_that_end_leave_nothing_behind(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    run_id = await start(served)
    await once(served, run_id, b"")
    await until(lambda: connections(served) <= 1)
    tasks, timers = len(asyncio.all_tasks()), timers_left()
    (run,) = served.service.chat.runs.active()

    for last in ENDS.values():
        for _ in range(3):
            await once(served, run_id, last)
    await until(lambda: sockets_open(served) == 0)
    await until(lambda: len(asyncio.all_tasks()) <= tasks)

    assert run._followers == ()  # noqa: SLF001  # nothing tells of it
    assert run._readers == 0  # noqa: SLF001
    assert timers_left() <= timers + 2
    assert await until_collected() == []
    held.let_go()
    await ended(served, run_id)


async def once(served: Running, run_id: str, last: bytes) -> None:
    """A socket that reads a run and ends so."""
    async with raw(served) as peer:
        await peer.hear_text()
        await peer.say(text_frame("resume", id="a", run_id=run_id))
        assert (await peer.hear_text())["type"] == "resumed"
        await peer.say(last)


def timers_left() -> int:
    """Timers of the loop that will still call something."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]  # noqa: SLF001  # nothing tells of them
    return sum(not handle.cancelled() for handle in scheduled)


async def until_collected() -> list[Session]:
    """Sessions that something still holds."""
    for _ in range(5):
        await asyncio.sleep(0)
        gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, Session)]


@pytest.mark.parametrize("seed", SEEDS)
async def test_sockets_that_come_and_go_anyhow_end_as_if_they_had_not_been(
    seed: int,
) -> None:
    chance = random.Random(seed)
    async with running(DISCONNECT_GRACE="0") as served:
        served.script.always(said("Hel", "lo"))
        request = {"model": MODEL, "user_prompt": "Hello", "on_disconnect": "cancel"}
        async with AsyncExitStack() as stack:
            for _ in range(10):
                peer = await stack.enter_async_context(raw(served))
                for number in range(3):
                    await peer.say(text_frame("chat", id=f"r{number}", request=request))
                for _ in range(chance.randint(0, 30)):
                    await asyncio.sleep(0)
                if chance.random() < 0.7:
                    await peer.say(chance.choice([*ENDS.values()]))
        await until(lambda: served.service.chat.runs.active_count == 0)
        await until(lambda: (sockets_open(served), connections(served)) == (0, 0))
