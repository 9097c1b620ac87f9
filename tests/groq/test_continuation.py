"""An answer that Groq cuts off goes on from where it was, without a word lost or said twice."""

import asyncio
import hashlib
from collections.abc import Sequence

import groq
import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asking import CATALOGUE, LIMITS, Clock, Outcome, Watcher, ask, prompt, tasks
from service.core.conversation import FinishReason, HyperparameterValue, Usage
from service.core.errors import Kind
from service.groq.model import GroqModel
from service.simulator import (
    DONE,
    Answer,
    Cut,
    CutBeforeHeaders,
    Gate,
    NoResponse,
    Piece,
    Raw,
    Refusal,
    Script,
    Silence,
    Text,
    chunk,
    error_data,
    stream_of,
)
from support import MODEL, all_frames, frames_of, running, text_of

PREFILL = "allam-2-7b"
CONTINUING = evolve(LIMITS, continue_interrupted=True)
ODD = 'Hello \n\n  wörld 漢字 🤦🏽\u200d♂ <b> "x" \\ \u2028 data: [DONE]\n\n| a |\t|\n'
BREAKS: Sequence[Sequence[Piece]] = [
    [Cut()],
    [],
    [b'data: {"cho', Cut()],
    [b'event: error\ndata: {"error":{"message":"server_error"}}\n\n', Silence()],
    [chunk({}, x_groq={"id": "req_1", "error": "over capacity"}), Silence()],
    [b"data: {\n\n", Silence()],
]


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def model(client: groq.AsyncGroq, watcher: Watcher) -> GroqModel:
    return GroqModel(client, CONTINUING, watcher)


def said(text: str, size: int = 4) -> list[bytes]:
    """The events of an answer without its end."""
    return stream_of(text, size)[:-2]


def cut(text: str, size: int = 4) -> Raw:
    return Raw([*said(text, size), Cut()])


async def asked(model: GroqModel, text: str = "Hello", **values: HyperparameterValue) -> Outcome:
    return await ask(model, prompt(text, PREFILL, **values))


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def assert_failed(outcome: Outcome, kind: Kind, content: str) -> None:
    assert outcome.ending is None
    assert outcome.content == content
    assert outcome.problem
    assert outcome.problem.kind is kind


# Exactly


TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \n\t"), min_size=1)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(TEXTS, st.floats(0, 1), st.integers(1, 9), st.sampled_from(range(len(BREAKS))))
@example(ODD, 7 / len(ODD), 1, 0)
@example("a \n\n \nb", 3 / 7, 1, 0)
@example("a   ", 1.0, 2, 1)
async def test_whatever_was_said_and_wherever_it_was_cut_the_text_is_whole(
    model: GroqModel, script: Script, text: str, share: float, size: int, how: int
) -> None:
    begun = text[: round(len(text) * share)]
    rest = text[len(begun.rstrip()) :]  # what a model says that goes on
    script.next(Raw([*said(begun, size), *BREAKS[how]]), Raw(stream_of(rest, size)))
    before = len(script.requests)

    outcome = await asked(model)

    if begun.strip():
        assert sha256(outcome.content) == sha256(text)
        assert outcome.ending
        assert len(script.requests) == before + 2
    else:
        assert_failed(outcome, Kind.UPSTREAM_ERROR, begun)
        assert script.take()  # nothing was asked for


async def test_the_look_alike_goes_on_from_any_place_of_its_answer(
    model: GroqModel, script: Script
) -> None:
    whole = (await asked(model)).content
    assert len(whole) > 1000

    for position in range(1, len(whole), 37):
        script.next(cut(whole[:position], 50))
        outcome = await asked(model)
        assert sha256(outcome.content) == sha256(whole), position


@pytest.mark.parametrize(
    ("begun", "pieces", "joined"),
    [
        ("a ", [" b"], "a b"),
        ("a \n", [" ", "\n", "b"], "a \nb"),
        ("a \n\n", [" \nb"], "a \n\nb"),
        ("a ", ["b"], "a b"),
        ("a ", ["\nb"], "a \nb"),
        ("a", [" b"], "a b"),
        ("a ", ["   b"], "a   b"),
        ("a ", [], "a "),
        ("a ", [" "], "a "),
    ],
)
async def test_white_space_at_the_joint_is_said_once(
    model: GroqModel, script: Script, begun: str, pieces: Sequence[str], joined: str
) -> None:
    rest = [chunk({"content": piece}) for piece in pieces]
    script.next(cut(begun), Raw([*rest, chunk({}, "stop"), DONE]))

    outcome = await asked(model)

    assert outcome.content == joined
    assert all(delta.content for delta in outcome.deltas)
    assert script.requests[1].body["messages"] == [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "a"},
    ]


async def test_the_end_is_that_of_the_rest_and_what_was_used_is_that_of_both(
    model: GroqModel, script: Script, watcher: Watcher
) -> None:
    used: dict[str, object] = {
        "prompt_tokens": 25,
        "completion_tokens": 7,
        "total_tokens": 32,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    script.next(cut("12345", 1), Text("678", finish_reason="length", usage=used))

    outcome = await asked(model)

    assert outcome.ending
    assert outcome.ending.finish_reason is FinishReason.LENGTH
    assert outcome.ending.usage == Usage(25 + 20, 5 + 7, 57, cached_tokens=8)
    assert watcher.continued == [PREFILL]


async def test_what_is_not_told_is_not_made_up(model: GroqModel, script: Script) -> None:
    script.next(cut("12345"), Text("678", usage={}))

    outcome = await asked(model)

    assert outcome.ending
    assert outcome.ending.usage is None


async def test_the_rest_is_asked_for_as_the_whole_was(model: GroqModel, script: Script) -> None:
    script.next(cut("12345", 1), Text("678"))

    await asked(model, temperature=0.5, seed=7, stop=("END",), max_tokens=100)

    first, second = (request.body for request in script.requests)
    assert first["max_completion_tokens"] == 100
    assert second == first | {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "12345"},
        ],
        "max_completion_tokens": 95,
    }


# Silence and deadlines


async def reading(model: GroqModel, text: str) -> "asyncio.Task[str]":
    """Somebody reads, has this text, and waits for more."""
    begun = asyncio.Event()

    async def read() -> str:
        heard = ""
        async with model.answer(prompt("?", PREFILL)) as parts:
            async for part in parts:
                heard += getattr(part, "content", "")
                if heard == text:
                    begun.set()
        return heard

    task = asyncio.create_task(read())
    await begun.wait()
    await tasks()
    return task


async def test_an_answer_that_falls_silent_goes_on_and_its_connection_is_left_first(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    gate = asyncio.Event()
    script.next(Raw([*said("Hello "), Silence()]), Raw([Gate(gate), *stream_of(" world", 3)]))
    task = await reading(model, "Hello ")

    clock.forward(CONTINUING.idle_seconds + 1)
    await script.request_count(2)
    await script.disconnected(0)
    gate.set()

    assert await task == "Hello world"
    assert await tasks() == []


async def test_the_rest_has_a_first_byte_in_time_or_never(
    client: groq.AsyncGroq, script: Script
) -> None:
    model = GroqModel(client, evolve(CONTINUING, first_token_seconds=0.2), Watcher())
    for silent in (NoResponse(), Raw([Silence()])):
        script.next(cut("Hello"), silent)
        assert_failed(await asked(model), Kind.UPSTREAM_TIMEOUT, "Hello")

    await script.disconnected(1)
    await script.disconnected(3)
    assert await tasks() == []


async def test_the_rest_may_fall_silent_too(client: groq.AsyncGroq, script: Script) -> None:
    model = GroqModel(client, evolve(CONTINUING, idle_seconds=0.2), Watcher())
    silent: list[Piece] = [*said("Hello"), Silence()]
    script.next(Raw(silent), Raw(silent))

    outcome = await asked(model)

    assert_failed(outcome, Kind.UPSTREAM_TIMEOUT, "HelloHello")
    assert outcome.seconds >= 0.4
    await script.disconnected(1)


@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_it_can_be_cancelled_at_every_step_and_nothing_stays(
    model: GroqModel, script: Script, steps: int
) -> None:
    script.next(cut("Hello"), Raw([*said(" world"), Silence()]))
    task = asyncio.create_task(asked(model))
    await script.request_count(2 if steps % 8 else 1)
    for _ in range(steps):
        await asyncio.sleep(0)

    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert await tasks() == []
    if len(script.requests) > 1:
        await script.disconnected(1)


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_is_not_lost_where_groq_is_silent_just_then(
    model: GroqModel, script: Script, clock: Clock, steps: int
) -> None:
    script.next(Raw([*said("Hello"), Silence()]))
    task = await reading(model, "Hello")

    clock.forward(CONTINUING.idle_seconds + 1)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert await tasks() == []


# Where it does not


async def test_at_most_once(model: GroqModel, script: Script) -> None:
    script.next(cut("One "), cut(" two "), Text("three"))

    assert_failed(await asked(model), Kind.UPSTREAM_ERROR, "One two ")

    assert len(script.requests) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal(400, error_data("no last message of the assistant's")),
        Refusal(429, error_data("m"), {"retry-after": "60"}),
        Refusal(503, b""),
        CutBeforeHeaders(),
    ],
    ids=repr,
)
async def test_where_the_rest_is_refused_the_reason_is_the_cut(
    model: GroqModel, script: Script, watcher: Watcher, refusal: Answer
) -> None:
    script.next(cut("Hello"), refusal)

    outcome = await asked(model)

    assert_failed(outcome, Kind.UPSTREAM_ERROR, "Hello")
    assert outcome.problem
    assert outcome.problem.detail == "the connection to Groq broke off"
    assert watcher.continued == []


@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [chunk({"role": "assistant", "content": ""})],
        [chunk({"content": " \n"})],
        [chunk({"reasoning": "Well"})],
        [chunk({"reasoning": "Well"}), chunk({"content": "Hello"})],
        [chunk({"content": "Hello"}), chunk({"tool_calls": [{"index": 0}]})],
        [chunk({"executed_tools": [{"index": 0}]}), chunk({"content": "Hello"})],
        [chunk({"content": "Hello"}), chunk({}, "stop")],
        [chunk({"content": "Hello"}, "stop")],
    ],
)
async def test_what_is_more_or_less_than_the_beginning_of_a_text_does_not_go_on(
    model: GroqModel, script: Script, pieces: Sequence[Piece]
) -> None:
    script.next(Raw([*pieces, Cut()]))

    outcome = await asked(model)

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_ERROR
    assert len(script.requests) == 1


async def test_what_has_reached_its_limit_does_not_go_on(model: GroqModel, script: Script) -> None:
    script.next(cut("12345", 1))

    assert_failed(await asked(model, max_tokens=5), Kind.UPSTREAM_ERROR, "12345")

    assert len(script.requests) == 1


async def test_a_model_that_cannot_is_not_asked(model: GroqModel, script: Script) -> None:
    script.next(cut("Hello"))

    assert_failed(await ask(model, prompt(model=MODEL)), Kind.UPSTREAM_ERROR, "Hello")

    assert len(script.requests) == 1


async def test_nothing_goes_on_where_that_was_not_set(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(cut("Hello"))

    outcome = await asked(GroqModel(client, LIMITS, Watcher()))

    assert_failed(outcome, Kind.UPSTREAM_ERROR, "Hello")
    assert len(script.requests) == 1


def test_models_that_reason_are_not_said_to_go_on() -> None:
    able = [model for model in CATALOGUE.models if "prefill" in model.capabilities]

    assert PREFILL in [model.id for model in able]
    assert not any("reasoning" in model.capabilities for model in able)


# The whole service


async def test_a_reader_sees_one_run_and_one_whole_answer() -> None:
    request = {"model": PREFILL, "user_prompt": "Hello"}
    gate = asyncio.Event()
    async with running(CONTINUE_INTERRUPTED="true") as served:
        whole = await served.client.post("/api/chat/stream", json=request)
        expected = await all_frames(whole)
        text = text_of(expected)
        served.script.next(Raw([*said(text[:700], 7), Gate(gate), Cut()]))
        response = await served.client.post("/api/chat/stream", json=request)
        frames = []
        async for frame in frames_of(response):
            frames.append(frame)
            if text_of(frames) == text[:700]:
                gate.set()
        end = frames[-1].data
        kept = await served.client.get(f"/api/conversations/{frames[0].data['conversation_id']}")
        message = (await kept.json())["messages"][-1]

    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert [frame.data["type"] for frame in frames].count("started") == 1
    assert end["type"] == "finished"
    assert end["content_sha256"] == expected[-1].data["content_sha256"] == sha256(text)
    assert message["content"] == text
    assert message["status"] == "complete"
