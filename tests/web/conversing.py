"""Clients that converse with services on one database, and what must hold of what they are told."""

import asyncio
import hashlib
import random
import time
from collections.abc import Callable, Sequence

import aiohttp
from attrs import Factory, define, field, frozen
from test_process import Process
from web.outside import Json, asked, said

from service.simulator import Pause, Raw
from support import Frame, all_frames, text_of

PATIENCE_SECONDS = 15
AWAY = "/problems/store-unavailable"
BUSY = "/problems/conversation-busy"


@frozen
class Told:
    """What became of a question."""

    frames: list[Frame] = Factory(list)
    problem: Json = Factory(dict)

    @property
    def end(self) -> str:
        """The type of the last event, or of the problem that it was refused with."""
        return str((self.frames[-1].data if self.frames else self.problem).get("type", ""))

    @property
    def last(self) -> Json:
        """The terminal event."""
        return self.frames[-1].data

    @property
    def conversation_id(self) -> str:
        return str(self.frames[0].data["conversation_id"])


async def ask(http: aiohttp.ClientSession, service: Process, **members: object) -> Told:
    """Ask, and read the answer to its end."""
    url = f"{service.url}/api/chat/stream"
    async with http.post(url, json=asked(**members)) as response:
        if response.status == 200:
            return Told(await all_frames(response))
        return Told(problem=await response.json())


async def ask_until_let_in(
    http: aiohttp.ClientSession, service: Process, **members: object
) -> tuple[Told, float]:
    """The answer, asked for as long as the conversation is busy; and when it was let in."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            asked_at = time.monotonic()
            told = await ask(http, service, **members)
            if told.end != BUSY:
                return told, asked_at


async def begun(http: aiohttp.ClientSession, service: Process) -> str:
    """A conversation with one question and its answer."""
    return (await ask(http, service)).conversation_id


async def shown(http: aiohttp.ClientSession, service: Process, conversation_id: str) -> list[Json]:
    """All messages of a conversation, of every branch."""
    url = f"{service.url}/api/conversations/{conversation_id}"
    async with http.get(url, params={"tree": "true"}) as response:
        messages: list[Json] = (await response.json())["messages"]
        return messages


async def until_shown(
    http: aiohttp.ClientSession,
    service: Process,
    conversation_id: str,
    seen: Callable[[list[Json]], object],
) -> list[Json]:
    """The messages as soon as they are so: asked again and again, as a user would."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not seen(messages := await shown(http, service, conversation_id)):
            pass
        return messages


async def ready(http: aiohttp.ClientSession, service: Process, status: int = 200) -> Json:
    """What the service says of its parts as soon as it is ready, or is not."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            async with http.get(f"{service.url}/health/ready") as response:
                parts: Json = (await response.json())["parts"]
                if response.status == status:
                    return parts


def slow(text: str, *, seconds: float) -> Raw:
    """An answer, a word at a time, with so long between two."""
    return said(*(part for word in text.split() for part in (f"{word} ", Pause(seconds))))


def streaming(messages: Sequence[Json]) -> int:
    """How many answers are growing."""
    return sum(message.get("status") == "streaming" for message in messages)


def check_whole(messages: Sequence[Json]) -> None:
    """Question, answer, question, answer: each follows the one before, and none is there twice."""
    ids = [message["message_id"] for message in messages]
    assert len(set(ids)) == len(ids)
    assert [message["parent_message_id"] for message in messages] == [None, *ids[:-1]]
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant"] * (len(messages) // 2)


def check_kept(told: Told, messages: Sequence[Json]) -> None:
    """An answer that was told to be finished is kept as it was told."""
    assert told.end == "finished"
    answers = {message["message_id"]: message for message in messages}
    kept = str(answers[told.last["message_id"]]["content"]).encode()
    assert told.last["content_sha256"] == hashlib.sha256(kept).hexdigest()
    assert text_of(told.frames).encode() == kept


@define
class Load:
    """Clients that converse with one service or another, each in a conversation of its own."""

    http: aiohttp.ClientSession
    services: list[Process]
    chance: random.Random
    stopped: bool = False
    finished: list[Told] = Factory(list)
    longest_busy: float = 0
    """Seconds that a client found its conversation busy, without a pause."""
    _news: asyncio.Condition = field(factory=asyncio.Condition, init=False)

    async def converse(self, client: int) -> None:
        """Ask one question after another, each only once, whatever becomes of it."""
        members: dict[str, object] = {}
        busy_since = None
        while not self.stopped:
            asked_at = time.monotonic()
            told = await self._ask(user_prompt=f"{asked_at} of {client}", **members)
            busy_since = (busy_since or asked_at) if told.end == BUSY else None
            if busy_since:
                self.longest_busy = max(self.longest_busy, time.monotonic() - busy_since)
            if told.frames:
                members["conversation_id"] = told.conversation_id
            await self._note(told)

    async def _ask(self, **members: object) -> Told:
        try:
            return await ask(self.http, self.chance.choice(self.services), **members)
        except aiohttp.ClientError:  # it was killed
            return Told()

    async def _note(self, told: Told) -> None:
        assert told.end in ("finished", "failed", AWAY, BUSY, ""), told
        if told.end != "finished":
            await asyncio.sleep(0.05)  # as a client would
            return
        self.finished.append(told)
        async with self._news:
            self._news.notify_all()

    async def answered(self, more: int) -> None:
        """When so many more answers have ended."""
        count = len(self.finished) + more
        async with asyncio.timeout(PATIENCE_SECONDS), self._news:
            await self._news.wait_for(lambda: len(self.finished) >= count)
