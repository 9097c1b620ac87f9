"""The clock of the machine jumps, forward and back: nothing waits by it.

`libfaketime` gives the process another time of day, which the test moves. The monotonic clock goes
on as it is, as it does when a machine's time is set.
"""

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import pytest_asyncio
from attrs import frozen
from faults.served import Served, serving
from web.outside import Held, asked

from service.simulator import Raw, Silence
from support import all_frames, frames_of, text_of

pytestmark = [pytest.mark.servers, pytest.mark.asyncio(loop_scope="module")]

BOUND_SECONDS = 12
LEAST_JUMP_SECONDS = 1800
PATIENT = {
    "KEEPALIVE_INTERVAL": "0.2",
    "UPSTREAM_FIRST_TOKEN_TIMEOUT": "3",
    "UPSTREAM_IDLE_TIMEOUT": "30",
}


@frozen
class FakeClock:
    """The time of day of a process."""

    offset: Path

    @property
    def variables(self) -> dict[str, str]:
        """What makes a process ask it."""
        libraries = Path("/usr").glob("lib*/**/faketime/libfaketimeMT.so.1")
        library = next(libraries, None)
        assert library, "libfaketime is missing: apt-get install faketime"
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self.offset),
            "FAKETIME_CACHE_DURATION": "1",  # without, it reads the file under a lock all the time
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, offset: str) -> None:
        """Put it so far from the true time."""
        self.offset.write_text(f"{offset}\n", encoding="utf-8")


@frozen
class Jumping:
    """A service, and its clock."""

    served: Served
    clock: FakeClock


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jumping(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Jumping]:
    """One for all: a process that is told a false time starts slowly."""
    directory = tmp_path_factory.mktemp("jumping")
    clock = FakeClock(directory / "offset")
    clock.jump("+0")
    async with serving(directory, PATIENT | clock.variables) as served:
        yield Jumping(served, clock)


@pytest.mark.parametrize("jump", ["+400d", "-400d", "+1h", "-1h"])
async def test_a_jump_ends_nothing_and_expires_nothing(jumping: Jumping, jump: str) -> None:
    served, held, headers = jumping.served, Held(), {"Idempotency-Key": jump}
    served.script.next(held.answer)
    stream = f"{served.url}/api/chat/stream"
    async with served.http.post(stream, json=asked(), headers=headers) as response:
        frames = frames_of(response)
        begun = [await anext(frames) for _ in range(2)]
        await leap(jumping, jump)
        held.let_go()
        heard = begun + [frame async for frame in frames]
    async with served.http.post(stream, json=asked(), headers=headers) as response:
        again = await all_frames(response)
    await served.well()
    listed = await served.told("/api/conversations?limit=100")

    assert text_of(heard) == held.text
    assert again == heard
    assert 0 <= heard[-1].data["timing"]["total_time"] < BOUND_SECONDS  # type: ignore[index]  # JSON
    ids = [item["conversation_id"] for item in listed["items"]]
    assert heard[0].data["conversation_id"] in ids


@pytest.mark.parametrize("jump", ["+400d", "-400d"])
async def test_after_a_jump_silence_is_as_long_as_before(jumping: Jumping, jump: str) -> None:
    served = jumping.served
    served.script.always(Raw([Silence()]))

    async with asyncio.timeout(BOUND_SECONDS):
        asking = asyncio.create_task(served.chat(save_conversation=False))
        await served.gauge("chat_active_runs", 1)
        await leap(jumping, jump)
        too_soon = asking.done()
        problem = await asking

    assert not too_soon
    assert problem["type"] == "/problems/upstream-timeout"
    await served.well()


async def leap(jumping: Jumping, jump: str) -> None:
    """Let the clock jump, and wait until the service tells another time."""
    served = jumping.served
    before = await told_time(served)
    jumping.clock.jump(jump)
    async with asyncio.timeout(BOUND_SECONDS):
        while abs(await told_time(served) - before) < LEAST_JUMP_SECONDS:  # noqa: ASYNC110  # another process's
            await asyncio.sleep(0.05)


async def told_time(served: Served) -> float:
    """What time it is, by the service."""
    async with served.http.get(f"{served.url}/health/live") as response:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
