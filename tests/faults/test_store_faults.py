"""The disk is full, or another process holds the database: told in time, and no longer."""

import asyncio
import resource
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from faults.served import WELL, Served, serving
from web.outside import Held, asked

from service.simulator import Text
from support import all_frames, frames_of, text_of

pytestmark = pytest.mark.servers

BOUND_SECONDS = 13
"""Twice what is waited for another process (one write stands behind another), and slack."""
PATIENT = {"UPSTREAM_FIRST_TOKEN_TIMEOUT": "60", "UPSTREAM_IDLE_TIMEOUT": "60"}


@contextmanager
def full_disk(served: Served) -> Iterator[None]:
    """No file of the service can grow: writing fails as it does without space."""
    limits = resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def locked(served: Served) -> Iterator[None]:
    """Another process holds the database, as a backup tool may."""
    database = served.directory / "conversations.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


Fault = Callable[[Served], AbstractContextManager[None]]

FAULTS = [
    pytest.param(
        full_disk,
        marks=pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process"),
    ),
    locked,
]


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_needs_the_store_is_refused_in_time_and_the_rest_goes_on(
    tmp_path: Path, fault: Fault
) -> None:
    async with serving(tmp_path, PATIENT) as served:
        kept = (await served.chat())["conversation_id"]
        with fault(served):
            async with asyncio.timeout(BOUND_SECONDS):
                refused, unsaved, *read = await asyncio.gather(
                    refusal(served),
                    served.chat(save_conversation=False),
                    served.told("/api/conversations"),
                    served.told(f"/api/conversations/{kept}"),
                    served.told("/api/conversations?q=hello"),
                )
        listed, shown, found = read
        again = await served.chat(conversation_id=kept)
        await served.well()

    assert refused == (503, "/problems/store-unavailable", "1")
    assert unsaved["content"] == WELL
    assert kept in [item["conversation_id"] for item in listed["items"]]
    assert [message["content"] for message in shown["messages"]] == ["Hello", WELL]
    assert found["items"]
    assert again["content"] == WELL
    assert not [line for line in served.lines if line["event"] == "defect"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_answer_that_cannot_be_stored_says_so_and_is_stored_later(
    tmp_path: Path, fault: Fault
) -> None:
    async with serving(tmp_path, PATIENT) as served:
        held = Held()
        served.script.next(held.answer)
        async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
            frames = frames_of(response)
            started = (await anext(frames)).data
            with fault(served):
                held.let_go()
                async with asyncio.timeout(BOUND_SECONDS):
                    rest = [frame async for frame in frames]
        path = f"/api/conversations/{started['conversation_id']}"
        answer = (await served.told(path))["messages"][1]
        async with asyncio.timeout(BOUND_SECONDS):
            while answer["status"] == "streaming":
                answer = (await served.told(path))["messages"][1]
        await served.well()

    assert text_of(rest) == held.text
    assert rest[-1].data["type"] == "failed"
    assert rest[-1].data["error"]["type"] == "/problems/store-unavailable"  # type: ignore[index]  # JSON
    assert (answer["content"], answer["status"]) == (held.text, "complete")


async def test_a_short_lock_is_waited_for(tmp_path: Path) -> None:
    async with serving(tmp_path, PATIENT) as served:
        with locked(served):
            asking = asyncio.create_task(served.chat())
            await served.gauge("chat_active_runs", 1)
            other = await served.chat(save_conversation=False)
        answer = await asking
        await served.well()

    assert answer["content"] == other["content"] == WELL


async def refusal(served: Served) -> tuple[int, str, str]:
    """How a question is refused."""
    served.script.always(Text(WELL))
    async with served.http.post(f"{served.url}/api/chat/stream", json=asked()) as response:
        if response.status == 200:
            raise AssertionError(await all_frames(response))
        problem = await response.json(content_type=None)
        return response.status, problem["type"], response.headers["Retry-After"]
