"""Groq is cut, silent, slow, wrong or refuses, in every phase, whoever reads."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from attrs import frozen
from faults.served import WELL, Served, groq, serving
from faults.table import BEGUN, FAULTS, STOPPED, WHOLE, slow
from web.outside import Json, asked, said

from service.core.plan import Plan
from service.core.run import Run
from service.groq.chunks import Chunks
from service.simulator import DONE, Cut, Gate, Raw, Script, Text
from support import Running, all_frames, frames_of, running

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

BOUND_SECONDS = 6
"""For any answer: both time-outs, both attempts with the pause between them, and slack."""


HEAVY = (Plan, Chunks, Run)
"""What holds a prompt, what was read of an answer, and what was made of it."""
FAILED = "upstream-error"


@frozen
class Heard:
    """What came of a question."""

    status: int
    """Of the problem; 200 where there is none."""
    slug: str = ""
    text: str | None = None
    """None where the request was refused."""
    retry_after: str | None = None


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """One for all: what a single fault leaves would grow."""
    async with serving(tmp_path_factory.mktemp("served")) as service:
        yield service


@pytest.fixture
def _counting_references() -> Iterator[None]:
    yield
    gc.enable()


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_told_alike_and_in_time_and_leaves_nothing(
    served: Served, name: str
) -> None:
    fault = FAULTS[name]
    served.script.always(fault.answer)

    whole, streamed, over_socket = await asked_in_three_ways(served)

    expected = Heard(fault.status, fault.slug, fault.text, fault.retry_after)
    assert streamed == over_socket == expected
    assert (whole.status, whole.slug) == (fault.status, fault.slug)
    await served.well()


@pytest.mark.parametrize("name", WHOLE)
async def test_what_is_odd_and_no_fault_is_a_whole_answer(served: Served, name: str) -> None:
    served.script.always(WHOLE[name])

    heard = await asked_in_three_ways(served)

    assert heard == [Heard(200, text="Begun")] * 3
    await served.well()


async def test_what_is_slow_for_ever_ends(tmp_path: Path) -> None:
    script = Script()
    async with serving(tmp_path, {"MAX_RUN_DURATION": "2"}, script=script) as served:
        script.always(Raw([BEGUN, *slow(100)]))

        heard = await asked_in_three_ways(served)

        assert {(one.status, one.slug) for one in heard} == {(504, "upstream-timeout")}
        await served.well()


async def test_wherever_it_is_cut_an_answer_is_whole_or_has_failed(served: Served) -> None:
    whole = BEGUN + STOPPED + DONE
    for place in range(0, len(whole), 17):
        served.script.always(Raw([whole[:place], Cut()]))

        heard = await over_sse(served)

        assert heard in (Heard(502, FAILED, ""), Heard(502, FAILED, "Begun"))
        await served.next()
    await served.well()


async def test_a_groq_that_goes_away_in_mid_answer_and_comes_back(tmp_path: Path) -> None:
    script = Script()
    async with groq(script) as url:
        port = int(url.rpartition(":")[2])
    async with contextlib.AsyncExitStack() as first:
        await first.enter_async_context(groq(script, port=port))
        async with serving(tmp_path, groq_url=url, script=script) as served:
            script.always(said("Hel", Gate(asyncio.Event()), "lo"))
            async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
                frames = frames_of(response)
                begun = [(await anext(frames)).data for _ in range(2)]
                await first.aclose()
                last = [frame.data async for frame in frames]
            gone = await asked_in_three_ways(served)
            async with groq(script, port=port):
                await served.well()

    assert begun[1]["content"] == "Hel"
    assert [event["type"] for event in last] == ["failed"]
    assert gone == [Heard(502, FAILED)] * 3


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.usefixtures("_counting_references")
async def test_no_fault_leaves_a_task_or_what_only_a_search_for_cycles_would_find() -> None:
    async with running(
        UPSTREAM_FIRST_TOKEN_TIMEOUT="0.8",
        UPSTREAM_IDLE_TIMEOUT="0.5",
        UPSTREAM_MAX_RETRIES="0",
        RUN_RETENTION="0",
    ) as served:
        served.script.always(Text(WELL))
        await _read_all(served)
        before = asyncio.all_tasks()
        gc.collect()
        gc.disable()
        others = _heavy()  # of other tests; held, so that none of ours takes the place of one

        for fault in FAULTS.values():
            served.script.next(fault.answer)
        await asyncio.gather(*(_read_all(served) for _ in FAULTS))

        assert len(served.script.requests) == 1 + len(FAULTS)
        async with asyncio.timeout(BOUND_SECONDS):
            while left := _tasks() - before:
                await asyncio.wait(left)
        served.service.chat.runs.sweep()
        assert [each for each in _heavy() if not any(each is other for other in others)] == []


async def _read_all(served: Running) -> None:
    async with served.client.post("/api/chat/stream", json=asked()) as response:
        await response.read()


def _heavy() -> list[object]:
    return [each for each in gc.get_objects() if isinstance(each, HEAVY)]


def _tasks() -> set[asyncio.Task[object]]:
    """All but those of connections that wait for another request."""
    return {task for task in asyncio.all_tasks() if "RequestHandler.start" not in repr(task)}


async def asked_in_three_ways(served: Served) -> list[Heard]:
    """What is heard at once by who waits for all, who reads a stream, and who has a socket."""
    async with asyncio.timeout(BOUND_SECONDS):
        asking = (whole(served), over_sse(served), over_socket(served))
        return list(await asyncio.gather(*asking))


async def whole(served: Served) -> Heard:
    unsaved = asked(save_conversation=False)
    async with served.http.post(f"{served.url}/api/chat", json=unsaved) as response:
        body = await response.json(content_type=None)
        if response.status == 200:
            return Heard(200, text=body["content"])
        return Heard(response.status, _slug(body), retry_after=response.headers.get("Retry-After"))


async def over_sse(served: Served) -> Heard:
    async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
        if response.status != 200:
            problem = await response.json(content_type=None)
            again = response.headers.get("Retry-After")
            return Heard(response.status, _slug(problem), retry_after=again)
        return _heard([frame.data for frame in await all_frames(response)])


async def over_socket(served: Served) -> Heard:
    events: list[Json] = []
    async with served.http.ws_connect(f"{served.url}/api/chat/ws") as socket:
        await socket.send_json({"type": "chat", "id": "a", "request": asked()})
        while not events or events[-1]["type"] not in ("finished", "failed", "error"):
            events.append(await socket.receive_json())
    if events[-1]["type"] == "error":
        problem = events[-1]["error"]
        again = problem.get("retry_after")
        return Heard(problem["status"], _slug(problem), None, again and f"{again:.0f}")
    return _heard(events)


def _heard(events: list[Json]) -> Heard:
    """What a log says."""
    text = "".join(event.get("content", "") for event in events)
    if events[-1]["type"] == "finished":
        return Heard(200, text=text)
    problem = events[-1]["error"]
    return Heard(problem["status"], _slug(problem), text)


def _slug(problem: Json) -> str:
    return str(problem["type"]).removeprefix("/problems/")
