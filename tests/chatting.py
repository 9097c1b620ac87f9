"""What does a whole chat do, with fakes for all that is outside? Started here, and proved."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from attrs import asdict, define, frozen

from clock import steps
from fakes import (
    ACCEPT,
    STOPPED,
    Clock,
    FailingStore,
    FakeModel,
    RecordingObserver,
    Step,
    catalogue,
)
from service.core.chat import Caller, Chat, Policy
from service.core.conversation import Answer, AnswerStatus, Conversation, Question
from service.core.conversations import Conversations
from service.core.events import Delta
from service.core.generation import GenerationLimits, Generator
from service.core.owners import ANONYMOUS
from service.core.ports import Quotas
from service.core.request import UnsupportedParameters
from service.core.run import START, WRITE_LIMIT, Run
from service.core.runs import RunLimits, Runs
from service.limits.quotas import NoQuotas
from service.store.memory import MemoryStore

ANSWER: Sequence[Step] = [ACCEPT, Delta("Once "), Delta("upon a time."), STOPPED]
WHOLE = "Once upon a time."


@frozen(kw_only=True)
class Limits:
    """Of a chat; seconds."""

    run: float = 600
    patience: float = 30
    grace: float = 10
    renewal: float = 3
    active: int = 1000
    active_per_owner: int | None = None
    retention: float = 300
    retention_bytes: int = 1 << 28


@define
class Chatting:
    """A chat, and what is behind it."""

    chat: Chat
    conversations: Conversations
    generator: Generator
    runs: Runs
    model: FakeModel
    store: FailingStore
    observer: RecordingObserver
    clock: Clock

    def ask(
        self,
        prompt: str = "Why?",
        *,
        owner: str = ANONYMOUS,
        key: str | None = None,
        detached: bool = False,
        **members: object,
    ) -> Run:
        """Start a run."""
        value = {"model": "small", "user_prompt": prompt} | members
        return self.chat.start(value, Caller(owner, "request", key, detached))

    async def asked(
        self,
        prompt: str = "Why?",
        *,
        owner: str = ANONYMOUS,
        key: str | None = None,
        detached: bool = False,
        **members: object,
    ) -> Run:
        """Start a run and wait for its end."""
        run = self.ask(prompt, owner=owner, key=key, detached=detached, **members)
        await run.wait_done()
        return run

    async def conversation(self, run: Run) -> Conversation | None:
        """What is kept of a run's conversation."""
        owner, conversation_id = run.origin.owner, run.origin.conversation_id
        return None if conversation_id is None else await self.store.get(owner, conversation_id)


def make_chat(
    script: Sequence[Step] = ANSWER,
    *,
    limits: Limits | None = None,
    turns: int = 0,
    unsupported: UnsupportedParameters = UnsupportedParameters.REJECT,
    quotas: Quotas | None = None,
) -> Chatting:
    """A chat whose store is not open yet; every call of the store takes so many turns."""
    limits = limits or Limits()
    model, store = FakeModel(script), FailingStore(MemoryStore(), turns=turns)
    observer, clock = RecordingObserver(), Clock()
    runs = Runs(
        RunLimits(limits.active, limits.retention, limits.retention_bytes, limits.active_per_owner)
    )
    generator = Generator(
        model=model,
        store=store,
        runs=runs,
        quotas=quotas or NoQuotas(),
        observer=observer,
        stamps=clock.stamps,
        limits=GenerationLimits(limits.run, limits.patience),
    )
    chat = Chat(
        generator=generator,
        store=store,
        runs=runs,
        catalogue=catalogue(),
        observer=observer,
        stamps=clock.stamps,
        policy=Policy(unsupported, limits.grace, limits.renewal),
    )
    conversations = Conversations(store, runs)
    return Chatting(chat, conversations, generator, runs, model, store, observer, clock)


@asynccontextmanager
async def chatting(
    script: Sequence[Step] = ANSWER,
    *,
    limits: Limits | None = None,
    turns: int = 0,
    unsupported: UnsupportedParameters = UnsupportedParameters.REJECT,
    quotas: Quotas | None = None,
) -> AsyncIterator[Chatting]:
    """A chat with an open store, without what `Chat.serving` does from time to time."""
    made = make_chat(script, limits=limits, turns=turns, unsupported=unsupported, quotas=quotas)
    await made.store.open()
    try:
        yield made
    finally:
        await made.chat.drain(0)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"tasks were left behind: {others}"


def whole_log(run: Run) -> list[bytes]:
    """Every event so far; each piece that a reader is given keeps to the limit."""
    payloads: list[bytes] = []
    while piece := run.after(START + len(payloads)):
        assert len(piece) == 1 or sum(map(len, piece)) <= WRITE_LIMIT
        payloads += piece
    return payloads


async def read(run: Run, after: int = START, *, turns: int = 0) -> list[bytes]:
    """Follow a run to the end of its log; a slow reader takes turns of the loop for each write."""
    got: list[bytes] = []
    news = asyncio.Event()
    with run.following(news.set):
        while not (run.done and after + len(got) == run.last_seq):
            news.clear()
            if piece := run.after(after + len(got)):
                assert len(piece) == 1 or sum(map(len, piece)) <= WRITE_LIMIT
                got += piece
                await steps(turns)
            else:
                await news.wait()
    return got


def text_of(payloads: Sequence[bytes]) -> str:
    """The answer that events make."""
    return "".join(json.loads(payload).get("content", "") for payload in payloads)


def prove_log(run: Run) -> list[dict[str, object]]:
    """Check what is promised of the log of a run that has ended; its events."""
    payloads = whole_log(run)
    events: list[dict[str, object]] = [json.loads(payload) for payload in payloads]
    first, last = events[0], events[-1]
    assert [event["finished"] for event in events] == [False] * (len(events) - 1) + [True]
    assert last["type"] in {"finished", "failed"}
    assert len(events) == 1 or first["type"] == "started"
    assert all(event["type"] == "delta" for event in events[1:-1])
    assert run.last_seq == len(events) - 1
    text = text_of(payloads).encode()
    assert run.state().content.encode() == text
    if last["type"] == "finished":
        assert last["content_length"] == len(text)
        assert last["content_sha256"] == hashlib.sha256(text).hexdigest()
    assert list(run.after(run.last_seq)) == []
    return events


async def prove(chatting: Chatting, run: Run) -> None:
    """Check what is promised of a run that has ended, whatever became of it."""
    events = prove_log(run)
    assert run not in chatting.runs.active()
    assert chatting.observer.ended.count(run) == chatting.observer.started.count(run) == 1
    assert chatting.model.asked == 0
    owner, conversation_id = run.origin.owner, run.origin.conversation_id
    if conversation_id is not None:
        assert chatting.runs.running_in(owner, conversation_id) is None
        assert conversation_id not in chatting.store.claims
        prove_kept(events, await chatting.store.get(owner, conversation_id))


def prove_kept(events: Sequence[dict[str, object]], conversation: Conversation | None) -> None:
    """Check that a conversation holds what a log says."""
    first, last = events[0], events[-1]
    if first["type"] != "started":
        assert conversation is None
        assert last["message_id"] is None
        return
    assert conversation
    question, answer = conversation.active_branch()[-2:]
    assert isinstance(question, Question)
    assert isinstance(answer, Answer)
    assert question.message_id == first["user_message_id"]
    assert answer.message_id == first["message_id"] == last["message_id"]
    assert answer.content == "".join(str(event.get("content", "")) for event in events)
    assert (answer.reasoning or "") == "".join(str(e.get("reasoning", "")) for e in events)
    assert answer.finish_reason == last.get("finish_reason")
    if last["type"] == "finished":
        assert (answer.usage and asdict(answer.usage)) == last["usage"]
        assert answer.cost == last["cost"]
        assert isinstance(last["timing"], dict)
        assert answer.seconds == pytest.approx(last["timing"]["total_time"], abs=0.001)
    whole = last["type"] == "finished" and last["finish_reason"] != "cancelled"
    assert answer.status is (AnswerStatus.COMPLETE if whole else AnswerStatus.PARTIAL)
