"""What do people do with the service, all day long? And was all that they were told right?"""

import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from attrs import Factory, define

from service.simulator import (
    Answer,
    Cut,
    CutBeforeHeaders,
    NoResponse,
    Pause,
    Raw,
    Refusal,
    Script,
    Silence,
    Text,
    chunk,
    error_data,
)

Json = dict[str, Any]

MODELS = ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "llama-3.3-70b-versatile")
WORDS = (
    *("quantum", "cat", "Zażółć", "天地玄黃", "👩🏽\u200d💻", "<b>&amp;</b>", "data: {}", "\r\n\n"),
    *("the", "of", "and", "why", "not", "light"),
)
FAULTY = 0.06
"""How much of what Groq is asked comes to nothing."""
BEGUN = chunk({"content": "Begun, "})
FAULTS: Sequence[Answer] = (
    Raw([BEGUN, Pause(0.05), Cut()]),
    Raw([BEGUN, Silence()]),
    Raw([BEGUN, b"data: {no\n\n"]),
    Raw([BEGUN, *[b"data: " + b"x" * 2**20] * 9]),
    Raw([Silence()]),
    CutBeforeHeaders(),
    NoResponse(),
    Refusal(400, error_data("no")),
    Refusal(429, error_data("later"), {"retry-after": "0.1"}),
    Refusal(503, b"<html>"),
)
TERMINAL = ("finished", "failed")


class WrongError(Exception):
    """The service has told something that cannot be."""


class Weather(Script):
    """Decides what Groq does: mostly it answers, at many speeds and lengths."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance

    def take(self) -> Answer:
        chance = self._chance
        if chance.random() < FAULTY:
            return chance.choice(FAULTS)
        text = " ".join(chance.choices(WORDS, k=int(chance.paretovariate(0.8) * 20) % 1500))
        return Text(text, tokens_per_second=chance.choice((0, 500, 2000)))


@define
class Visitor:
    """Somebody who does one thing after the other."""

    http: aiohttp.ClientSession
    url: str
    chance: random.Random
    done: Counter[str] = Factory(Counter)
    """What was done how often, and what came of it."""

    async def visit(self) -> None:
        """Do something; raises `WrongError`."""
        [(doing, _)] = self.chance.choices(DOINGS, weights=[weight for _, weight in DOINGS])
        await doing(self)
        self.done[doing.__name__.replace("_", " ").strip()] += 1

    def question(self, **members: object) -> Json:
        prompt = " ".join(self.chance.choices(WORDS, k=12))
        return {"model": self.chance.choice(MODELS), "user_prompt": f"Why {prompt}?"} | members

    def proved(self, events: Sequence[Json], first: int = 0) -> None:
        """Check a log that was read from an event on to its end."""
        if not events or events[-1]["type"] not in TERMINAL:
            raise WrongError("a log has no end")
        if [event["seq"] for event in events] != list(range(first, first + len(events))):
            raise WrongError("a log has a gap")
        last, text = events[-1], "".join(event.get("content", "") for event in events).encode()
        if last["type"] == "failed":
            self.told(last["error"])
        elif first == 0 and last["content_sha256"] != hashlib.sha256(text).hexdigest():
            raise WrongError("an answer is not what it was")
        else:
            self.done[f"→ {last['finish_reason']}"] += 1

    def told(self, problem: Json) -> None:
        """Groq may fail; nothing else may."""
        slug = problem["type"].removeprefix("/problems/")
        if not slug.startswith("upstream-"):
            raise WrongError(f"{slug}: {problem['detail']}")
        self.done[f"→ {slug}"] += 1


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[Json]:
    """The events of a stream, with their numbers."""
    event: Json = {}
    async for line in response.content:
        if line.startswith(b"data: "):
            event = json.loads(line[6:])
        elif line.startswith(b"id: "):
            yield event | {"seq": int(line.rpartition(b":")[2])}


async def _read_a_stream(visitor: Visitor) -> None:
    url, body = f"{visitor.url}/api/chat/stream", visitor.question()
    async with visitor.http.post(url, json=body) as response:
        if response.status == 200:
            visitor.proved([event async for event in _events(response)])
        else:
            visitor.told(await response.json(content_type=None))


async def _lose_a_stream_and_resume(visitor: Visitor) -> None:
    events: list[Json] = []
    url, body = f"{visitor.url}/api/chat/stream", visitor.question()
    async with visitor.http.post(url, json=body) as response:
        if response.status != 200:
            return visitor.told(await response.json(content_type=None))
        await _some(visitor, response, events)
    again = f"{visitor.url}/api/runs/{events[0]['run_id']}/events?after="
    while events[-1]["type"] not in TERMINAL:
        async with visitor.http.get(f"{again}{events[-1]['seq']}") as response:
            await _some(visitor, response, events)
    return visitor.proved(events)


async def _some(visitor: Visitor, response: aiohttp.ClientResponse, events: list[Json]) -> None:
    """Read a few events, and go without a word."""
    left = visitor.chance.randint(1, 20)
    async for event in _events(response):
        events.append(event)
        left -= 1
        if not left:
            break
    response.close()


async def _cancel(visitor: Visitor) -> None:
    url, body = f"{visitor.url}/api/chat/stream", visitor.question()
    async with visitor.http.post(url, json=body) as response:
        if response.status != 200:
            return visitor.told(await response.json(content_type=None))
        cancel = f"{visitor.url}/api/runs/{response.headers['X-Run-Id']}/cancel"
        async with visitor.http.post(cancel) as cancelled:
            await cancelled.read()
        return visitor.proved([event async for event in _events(response)])


async def _leave_for_good(visitor: Visitor) -> None:
    url, body = f"{visitor.url}/api/chat/stream", visitor.question(save_conversation=False)
    async with visitor.http.post(url, json=body) as response:
        if response.status != 200:
            return visitor.told(await response.json(content_type=None))
        return response.close()


async def _ask_unsaved(visitor: Visitor) -> None:
    body = visitor.question(save_conversation=False)
    async with visitor.http.post(f"{visitor.url}/api/chat", json=body) as response:
        told = await response.json(content_type=None)
        if response.status != 200:
            visitor.told(told)


async def _talk_on_a_socket(visitor: Visitor) -> None:
    runs: dict[str, list[Json]] = {}
    async with visitor.http.ws_connect(f"{visitor.url}/api/chat/ws") as socket:
        await socket.receive_json()
        for reader_id in "abc"[: visitor.chance.randint(1, 3)]:
            runs[reader_id] = []
            request = visitor.question(save_conversation=visitor.chance.random() < 0.5)
            await socket.send_json({"type": "chat", "id": reader_id, "request": request})
        open_ids = set(runs)
        while open_ids:
            message = await socket.receive_json()
            if message["type"] == "error":
                visitor.told(message["error"])
                open_ids.discard(message["id"])
                continue
            runs[message["id"]].append(message)
            if message["type"] in TERMINAL:
                visitor.proved(runs[message["id"]])
                open_ids.discard(message["id"])


async def _look_through_conversations(visitor: Visitor) -> None:
    words = visitor.chance.choice(("", "&q=quantum", "&q=wh%20lig", "&q=天地"))
    listed = await _got(visitor, f"/api/conversations?limit=50{words}")
    for item in visitor.chance.sample(listed["items"], min(3, len(listed["items"]))):
        await _got(visitor, f"/api/conversations/{item['conversation_id']}", 404)
    if len(listed["items"]) == 50:  # else there would be more and more
        for item in listed["items"][10:]:
            url = f"{visitor.url}/api/conversations/{item['conversation_id']}"
            async with visitor.http.delete(url) as response:
                await response.read()


async def _ask_wrongly(visitor: Visitor) -> None:
    wrong, status = visitor.chance.choice(
        (
            (visitor.question(hyperparameters={"temperature": 7}), 422),
            (visitor.question(model="nobody/knows"), 422),
            (visitor.question(conversation_id="01a20731-57e7-7557-a1f5-43bc4a65c8cc"), 404),
            ([], 400),
        )
    )
    async with visitor.http.post(f"{visitor.url}/api/chat/stream", json=wrong) as response:
        await response.read()
        if response.status != status:
            raise WrongError(f"{response.status} where {status} was due")


async def _got(visitor: Visitor, path: str, *others: int) -> Json:
    async with visitor.http.get(visitor.url + path) as response:
        if response.status not in (200, *others):
            raise WrongError(f"GET {path} is answered with {response.status}")
        told: Json = await response.json(content_type=None)
        return told


DOINGS: Sequence[tuple[Callable[[Visitor], Awaitable[None]], float]] = (
    (_read_a_stream, 5),
    (_lose_a_stream_and_resume, 5),
    (_cancel, 2),
    (_leave_for_good, 2),
    (_ask_unsaved, 3),
    (_talk_on_a_socket, 3),
    (_look_through_conversations, 3),
    (_ask_wrongly, 1),
)
