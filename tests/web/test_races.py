"""Whatever clients do at the same time, every log ends once and says what is stored."""

import asyncio
import hashlib
import random
from pathlib import Path

import pytest
from web.outside import (
    asked,
    chat_bytes,
    events_of,
    listed,
    shown,
    start,
    state_of,
    until,
    wired,
)

from service.simulator import Cut, Pause, Raw, Refusal, Script, Text, chunk, error_data, in_pieces
from service.simulator.wire import stream_of
from support import Frame, Running, running, text_of

TEXT = "Alle Texte kommen an, 世界, ganz und einmal. " * 3
REFUSED = Refusal(400, error_data("no"))


def some_answer(chance: random.Random) -> Raw | Refusal | Text:
    """An answer that takes a few turns of the loop, a failure now and then."""
    whole = in_pieces(b"".join(stream_of(TEXT, 8)), chance.randint(200, 3000))
    slow = Raw([part for piece in whole for part in (piece, Pause(chance.random() / 300))])
    failing = Raw([chunk({"content": "Alle"}), Pause(0.005), Cut()])
    answers: list[Raw | Refusal | Text] = [slow, slow, slow, Text(TEXT), failing, REFUSED]
    return chance.choice(answers)


@pytest.mark.parametrize("seed", range(2))
async def test_a_cancel_at_any_moment(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    async with running(CONVERSATION_STORE=f"sqlite:///{tmp_path}/c.db") as served:
        served.script.next(*(some_answer(chance) for _ in range(30)))
        run_ids = await asyncio.gather(
            *(cancelled_after(served, chance.random() / 30) for _ in range(30))
        )

        for run_id in run_ids:
            await check(served, run_id)


async def cancelled_after(served: Running, seconds: float) -> str:
    run_id = await start(served)
    await asyncio.sleep(seconds)
    async with served.client.post(f"/api/runs/{run_id}/cancel") as response:
        assert response.status == 200
        assert (await response.json())["status"] != "running"
    return run_id


async def check(served: Running, run_id: str) -> None:
    """Log, state and conversation of an ended run agree."""
    frames, state = await events_of(served, run_id), await state_of(served, run_id)
    check_log(frames)
    assert state["last_seq"] == frames[-1].seq
    assert state["content"] == text_of(frames)
    path = f"/api/conversations/{state['conversation_id']}"
    async with served.client.get(path) as response:
        assert response.status == (404 if len(frames) == 1 else 200)
        conversation = await response.json(content_type=None)
    if len(frames) > 1:
        answer = conversation["messages"][-1]
        assert conversation["active_run_id"] is None
        assert (answer["message_id"], answer["content"]) == (state["message_id"], state["content"])
        assert answer["status"] == ("complete" if state["status"] == "finished" else "partial")


def check_log(frames: list[Frame]) -> None:
    """It has each number once, one end, and the text that its end tells."""
    last = frames[-1].data
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert [frame.data["finished"] for frame in frames] == [*[False] * (len(frames) - 1), True]
    if last["type"] == "finished":
        assert last["content_sha256"] == hashlib.sha256(text_of(frames).encode()).hexdigest()
    if len(frames) > 1:
        assert frames[0].data["type"] == "started"


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_clients_that_do_everything_at_once(tmp_path: Path, store: str) -> None:
    chance = random.Random(store)
    url = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/c.db"}[store]
    script = Script()
    script.next(*(some_answer(chance) for _ in range(400)))
    async with running(script, CONVERSATION_STORE=url, DISCONNECT_GRACE="0.01") as served:
        statuses: list[int] = []
        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(client(served, random.Random(f"{store}{number}"), statuses))

        await until(lambda: served.service.chat.runs.active_count == 0)
        for item in (await listed(served, "?limit=100"))["items"]:
            conversation = await shown(served, item["conversation_id"], "?tree=true")
            assert conversation["active_run_id"] is None
            ended = {message.get("status", "complete") for message in conversation["messages"]}
            assert ended <= {"complete", "partial"}
            assert len(conversation["messages"]) == item["message_count"]

    assert set(statuses) <= {200, 202, 204, 404, 409, 502}


async def client(served: Running, chance: random.Random, statuses: list[int]) -> None:
    """Do something at random to conversations that others use, too."""
    for _ in range(12):
        items = (await listed(served, "?limit=3"))["items"]
        conversation_id = chance.choice([None, *(item["conversation_id"] for item in items)])
        if chance.random() < 0.3:
            await leave(served, chance, conversation_id)
            continue
        path = f"/api/conversations/{conversation_id}"
        title = {"title": f"title {chance.random()}"}
        requests: list[tuple[str, str, object]] = [
            ("POST", "/api/chat", asked(conversation_id=conversation_id)),
            ("POST", "/api/runs", asked(conversation_id=conversation_id)),
            ("DELETE", path, None),
            ("GET", path, None),
            ("PATCH", path, title),
            ("GET", "/api/conversations?q=title&limit=2", None),
        ]
        method, where, body = chance.choice(requests)
        async with served.client.request(method, where, json=body) as response:
            statuses.append(response.status)


async def leave(served: Running, chance: random.Random, conversation_id: str | None) -> None:
    """Ask and go, at any moment."""
    on_disconnect = chance.choice(["cancel", "continue"])
    target = chance.choice([conversation_id, None])
    async with wired(served.client) as wire:
        await wire.send(
            chat_bytes(
                chance.choice(["/api/chat/stream", "/api/chat"]),
                conversation_id=target,
                on_disconnect=on_disconnect,
            )
        )
        await asyncio.sleep(chance.random() / 50)
