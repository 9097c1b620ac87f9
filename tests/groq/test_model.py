"""What is sent to Groq, what is heard, and what stays behind when somebody leaves."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import groq
import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asking import LIMITS, QUIET, Clock, Outcome, Wire, ask, model_at, prompt, tasks, tools, wired
from service.core.conversation import FinishReason, HyperparameterValue, Usage
from service.core.errors import Kind, ServiceError
from service.core.events import Delta, Ending
from service.core.ports import Role, Turn
from service.groq.client import SPARE_CONNECTIONS, make_client
from service.groq.model import GroqModel
from service.groq.reading import DRAIN_SECONDS
from service.simulator import (
    DONE,
    Answer,
    Cut,
    Gate,
    NoResponse,
    Piece,
    Raw,
    Refusal,
    Script,
    Silence,
    Text,
    chunk,
    in_pieces,
    stream_of,
)
from support import KEY

ODD = '\0 " \\ é 漢 🤦🏽\u200d♂ \u2028\u2029 \r\n\n <think> data: [DONE]\n\n \ufeff\uffff\U0010ffff'
BEGUN = chunk({"content": "Begun"})
QWEN = "qwen/qwen3.8-27b"

Values = Mapping[str, HyperparameterValue]


# What is sent


async def test_a_prompt_is_sent_as_it_is_and_nothing_else(model: GroqModel, script: Script) -> None:
    turns = (
        Turn(Role.SYSTEM, "Be brief."),
        Turn(Role.USER, ODD),
        Turn(Role.ASSISTANT, ""),
        Turn(Role.USER, "And?"),
    )

    await ask(model, evolve(prompt(), turns=turns))

    assert script.requests[0].body == {
        "model": "openai/gpt-oss-20b",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": ODD},
            {"role": "assistant", "content": ""},
            {"role": "user", "content": "And?"},
        ],
        "stream": True,
    }


@pytest.mark.parametrize(
    ("name", "values", "sent"),
    [
        ("allam-2-7b", {}, {}),
        ("allam-2-7b", {"temperature": 0, "top_p": 0.5}, {"temperature": 0, "top_p": 0.5}),
        ("allam-2-7b", {"max_tokens": 100}, {"max_completion_tokens": 100}),
        ("allam-2-7b", {"stop": ("END", "\n")}, {"stop": ["END", "\n"]}),
        ("allam-2-7b", {"stop": ()}, {"stop": []}),
        ("allam-2-7b", {"seed": -(2**63)}, {"seed": -(2**63)}),
        (QWEN, {"reasoning_format": "parsed"}, {"reasoning_format": "parsed"}),
        (QWEN, {"reasoning_effort": "none"}, {"reasoning_effort": "none"}),
        ("openai/gpt-oss-20b", {"reasoning_format": "parsed"}, {"include_reasoning": True}),
        ("openai/gpt-oss-20b", {"reasoning_format": "hidden"}, {"include_reasoning": False}),
        ("openai/gpt-oss-20b", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
    ],
)
async def test_only_the_hyperparameters_that_were_given_are_sent(
    model: GroqModel, script: Script, name: str, values: Values, sent: Mapping[str, object]
) -> None:
    outcome = await ask(model, prompt("Hello", name, **values))

    assert outcome.ending
    assert script.requests[0].body == {
        "model": name,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        **sent,
    }


async def test_the_key_goes_into_its_header_and_the_answer_comes_unpacked(
    model: GroqModel, script: Script
) -> None:
    await ask(model)

    headers = script.requests[0].headers
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Accept"] == "text/event-stream"
    assert headers["Accept-Encoding"] == "identity"
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("end", ["", "/", "/openai/v1", "/openai/v1/"])
async def test_the_address_may_end_in_the_path_of_the_api(
    groq_url: str, script: Script, end: str
) -> None:
    async with model_at(groq_url + end) as model:
        outcome = await ask(model)

    assert outcome.ending
    assert len(script.requests) == 1


# What is heard


async def test_an_answer_comes_as_it_was_written(model: GroqModel, script: Script) -> None:
    script.next(Text(ODD, reasoning="Well " + ODD, finish_reason="length"))

    outcome = await ask(model)

    assert outcome.content == ODD
    assert outcome.reasoning == "Well " + ODD
    assert outcome.ending
    assert outcome.ending.finish_reason is FinishReason.LENGTH
    assert outcome.ending.usage
    assert outcome.ending.usage.reasoning_tokens > 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
async def test_it_does_not_matter_how_an_answer_is_cut_on_its_way(
    model: GroqModel, script: Script, size: int, line_end: bytes
) -> None:
    stream = b": hello\n\n" + b"".join(stream_of(ODD, 20))
    script.next(Raw(in_pieces(stream.replace(b"\n", line_end), size)))

    outcome = await ask(model)

    assert outcome.content == ODD
    assert outcome.ending == Ending(FinishReason.STOP, Usage(1, 3, 4))


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 9), st.integers(1, 99))
async def test_any_text_comes_over_http_as_it_was_written(
    model: GroqModel, script: Script, text: str, size: int, piece: int
) -> None:
    script.next(Raw(in_pieces(b"".join(stream_of(text, size)), piece)))

    outcome = await ask(model, prompt(text or "?"))

    assert outcome.content == text
    assert outcome.ending


async def test_tools_come_as_groq_sends_them(model: GroqModel, script: Script) -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": '{"a": "\\n"}'}}
    tool = {"type": "search", "output": ODD, "search_results": None}
    script.next(Text(chunks=[{"tool_calls": [call]}, {"executed_tools": [tool, tool]}]))

    outcome = await ask(model)

    assert [one for delta in outcome.deltas for one in tools(delta.tool_calls)] == [call]
    assert [one for delta in outcome.deltas for one in tools(delta.executed_tools)] == [tool, tool]


async def test_each_piece_is_heard_when_it_comes(model: GroqModel, script: Script) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    script.next(
        Raw(
            [
                Gate(gates[0]),
                chunk({"content": "a"}),
                Gate(gates[1]),
                chunk({"content": "b"}, "stop"),
                Gate(gates[2]),
                DONE,
            ]
        )
    )

    async with model.answer(prompt()) as parts:
        heard = []
        for gate in gates:
            gate.set()
            heard.append(await anext(parts))
        with pytest.raises(StopAsyncIteration):
            await anext(parts)

    assert heard == [Delta("a"), Delta("b"), Ending(FinishReason.STOP, None)]


async def test_a_body_that_does_not_end_is_left_after_the_answer(
    model: GroqModel, script: Script
) -> None:
    script.next(Raw([BEGUN + DONE, Silence()]))

    outcome = await ask(model)

    assert outcome.content == "Begun"
    assert outcome.ending
    assert outcome.seconds < DRAIN_SECONDS + 3
    await script.disconnected(0)


async def test_what_comes_after_the_answer_is_not_read_for_long(
    model: GroqModel, script: Script
) -> None:
    script.next(Raw([BEGUN + DONE, *[b"x" * 2**20] * 10_000]))

    outcome = await ask(model)

    assert outcome.content == "Begun"
    assert outcome.ending
    assert outcome.seconds < DRAIN_SECONDS + 3
    await script.disconnected(0)


class Endless(Sequence[Piece]):
    """Pieces of an answer without an end, and how many were taken."""

    taken = 0

    def __len__(self) -> int:
        return 2**40

    def __getitem__(self, index: object) -> Any:
        self.taken += 1
        return chunk({"content": "x" * 2**16})


async def test_who_does_not_read_does_not_make_us_hold_the_answer(
    model: GroqModel, script: Script
) -> None:
    pieces = Endless()
    script.next(Raw(pieces))

    async with model.answer(prompt()) as parts:
        await anext(parts)
        for _ in range(50):
            await tasks()

    assert pieces.taken * 2**16 < 2**25
    await script.disconnected(0)


# Connections


def body_of(data: bytes) -> bytes:
    """A whole response that leaves its connection open."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
    return b"%b\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data)


@pytest.mark.parametrize(
    ("data", "connections"),
    [(BEGUN + DONE, 1), (BEGUN + DONE + b": more\n\n" * 10_000, 1)],
    ids=["whole", "more"],
)
async def test_a_connection_is_used_again_after_a_whole_answer(
    data: bytes, connections: int
) -> None:
    wire = Wire(body_of(data), closes=False)
    async with wired(wire), model_at(wire.url) as model:
        for _ in range(3):
            outcome = await ask(model)
            assert outcome.accepted

    assert wire.connections == connections


async def test_a_connection_that_groq_has_closed_meanwhile_costs_an_attempt_at_most() -> None:
    wire = Wire(body_of(BEGUN + DONE), closes=True)
    async with wired(wire), model_at(wire.url, evolve(LIMITS, retries=1)) as model:
        outcomes = [await ask(model) for _ in range(3)]

    assert [outcome.content for outcome in outcomes] == ["Begun"] * 3


async def test_many_answers_are_read_at_once(model: GroqModel, script: Script) -> None:
    gate = asyncio.Event()
    script.always(Raw([BEGUN, Gate(gate), *stream_of(ODD, 9)]))

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(model)) for _ in range(150)]
        await script.request_count(150)
        gate.set()

    assert [one.result().content for one in asked] == ["Begun" + ODD] * 150
    assert await tasks() == []


async def test_beyond_the_connections_one_waits_for_its_turn(groq_url: str, script: Script) -> None:
    gate = asyncio.Event()
    script.always(Raw([BEGUN, Gate(gate), DONE]))
    client = make_client(KEY, groq_url, connections=1, connect_timeout_seconds=0.1)
    model = GroqModel(client, LIMITS, QUIET)

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(model)) for _ in range(SPARE_CONNECTIONS + 3)]
        await script.request_count(SPARE_CONNECTIONS + 1)
        gate.set()
    await client.close()

    assert {one.result().content for one in asked} == {"Begun"}


async def test_waiting_for_a_turn_is_part_of_the_time_to_the_first_token(
    groq_url: str, script: Script
) -> None:
    script.always(NoResponse())
    client = make_client(KEY, groq_url, connections=1, connect_timeout_seconds=0.1)
    model = GroqModel(client, evolve(LIMITS, first_token_seconds=0.2), QUIET)

    outcomes = await asyncio.gather(*[ask(model) for _ in range(SPARE_CONNECTIONS + 3)])
    await client.close()

    assert {one.problem.kind for one in outcomes if one.problem} == {Kind.UPSTREAM_TIMEOUT}
    assert max(one.seconds for one in outcomes) < 3


# Leaving


@pytest.mark.parametrize(
    "answer",
    [
        NoResponse(),
        Raw([Silence()]),
        Raw([BEGUN, Silence()]),
        Raw([BEGUN, b"data: {", Silence()]),
        Raw([BEGUN, DONE, Silence()]),
        Raw([b'{"error":', Silence()], status=400),
        Raw([b'{"error":', Silence()], status=500),
        Raw([b"<html>", Silence()], headers={"Content-Type": "text/html"}),
    ],
    ids=repr,
)
async def test_whenever_it_is_cancelled_the_connection_is_left_and_nothing_stays(
    client: groq.AsyncGroq, script: Script, answer: Answer
) -> None:
    """At every single step of the way, as far as a quick answer comes."""
    script.always(answer)
    for steps in range(0, 60, 3):
        task = asyncio.create_task(ask(GroqModel(client, LIMITS, QUIET)))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() or task.done()

    for index in range(len(script.requests)):
        await script.disconnected(index)
    assert await tasks() == []
    script.always(Text("Hello"))
    assert (await ask(GroqModel(client, LIMITS, QUIET))).content == "Hello"


async def cancelled(task: "asyncio.Task[Outcome]") -> bool:
    task.cancel()
    await asyncio.wait({task})
    return task.cancelled()


async def test_who_waits_for_headers_can_be_cancelled(model: GroqModel, script: Script) -> None:
    script.next(NoResponse())
    task = asyncio.create_task(ask(model))
    await script.request_count(1)

    assert await cancelled(task)

    await script.disconnected(0)
    assert await tasks() == []


async def test_who_reads_can_be_cancelled(model: GroqModel, script: Script) -> None:
    script.next(Raw([BEGUN, Silence()]))
    begun = asyncio.Event()

    async def read() -> None:
        async with model.answer(prompt()) as parts:
            async for _ in parts:
                begun.set()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    await script.disconnected(0)
    assert await tasks() == []


async def test_who_does_something_else_meanwhile_can_be_cancelled(
    model: GroqModel, script: Script
) -> None:
    script.next(Raw([BEGUN, Silence()]))
    begun = asyncio.Event()

    async def read() -> None:
        async with model.answer(prompt()) as parts:
            async for _ in parts:
                begun.set()
                await asyncio.Event().wait()

    task = asyncio.create_task(read())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    await script.disconnected(0)
    assert await tasks() == []


async def test_who_waits_to_ask_again_can_be_cancelled(
    client: groq.AsyncGroq, script: Script
) -> None:
    script.next(Refusal(429, b"", {"retry-after": "4"}))
    task = asyncio.create_task(ask(GroqModel(client, evolve(LIMITS, retries=1), QUIET)))
    await script.finished(0)

    assert await cancelled(task)

    assert len(script.requests) == 1
    assert await tasks() == []


async def test_who_connects_can_be_cancelled(model: GroqModel, script: Script) -> None:
    async with wired(Wire(closes=False)) as wire, model_at(wire.url) as silent:
        task = asyncio.create_task(ask(silent))
        await wire.connected.wait()
        assert await cancelled(task)

    assert await tasks() == []
    assert (await ask(model)).ending


@pytest.mark.parametrize("reads", [0, 1])
async def test_who_leaves_early_closes_the_connection_and_leaves_nothing(
    model: GroqModel, script: Script, reads: int
) -> None:
    script.next(Raw([BEGUN, Silence()]))

    async with model.answer(prompt()) as parts:
        heard = [await anext(parts) for _ in range(reads)]

    assert len(heard) == reads
    await script.disconnected(0)
    assert await tasks() == []


async def test_an_iterator_that_outlives_its_answer_is_at_its_end(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(Raw([BEGUN, Silence()]))

    async with model.answer(prompt()) as parts:
        await anext(parts)
    clock.forward(LIMITS.idle_seconds + 1)

    assert [part async for part in parts] == []


@pytest.mark.parametrize("error", [TimeoutError("of another"), LookupError("of the reader")])
async def test_what_the_reader_raises_is_the_readers(
    model: GroqModel, script: Script, error: Exception
) -> None:
    script.next(Raw([BEGUN, Silence()]))

    async def read() -> None:
        async with model.answer(prompt()) as parts:
            await anext(parts)
            raise error

    with pytest.raises(type(error)) as raised:
        await read()

    assert raised.value is error
    await script.disconnected(0)


async def test_the_readers_own_time_limit_is_no_problem_of_groqs(
    model: GroqModel, script: Script
) -> None:
    script.next(Raw([BEGUN, Silence()]))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ask(model)

    await script.disconnected(0)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (NoResponse(), LIMITS.first_token_seconds),
        (Raw([Silence()]), LIMITS.first_token_seconds),
        (Raw([BEGUN, Silence()]), LIMITS.idle_seconds),
    ],
    ids=repr,
)
@pytest.mark.parametrize("first", ["cancelled", "silent"])
async def test_a_cancellation_is_not_lost_where_groq_is_silent_just_then(
    model: GroqModel, script: Script, clock: Clock, answer: Answer, wait: float, first: str
) -> None:
    script.next(answer)
    task = asyncio.create_task(ask(model))
    await heard_all(script, task)

    if first == "cancelled":
        task.cancel()
        clock.forward(wait + 1)
    else:
        clock.forward(wait + 1)
        asyncio.get_running_loop().call_soon(task.cancel)
    await asyncio.wait({task})

    assert task.cancelled()
    await script.disconnected(0)


async def test_a_reader_may_take_its_time_to_leave(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(Raw([BEGUN, Silence()]))
    begun, leave = asyncio.Event(), asyncio.Event()

    async def read() -> None:
        async with model.answer(prompt()) as parts:
            await anext(parts)
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                await leave.wait()

    task = asyncio.create_task(read())
    await begun.wait()
    for _ in range(3):
        clock.forward(LIMITS.idle_seconds + 1)
        await tasks()
    leave.set()
    await asyncio.wait({task})

    error = task.exception()
    assert isinstance(error, ServiceError)
    assert error.problem.kind is Kind.UPSTREAM_TIMEOUT
    await script.disconnected(0)


async def heard_all(script: Script, task: "asyncio.Task[Outcome]") -> None:
    """Until the task waits for what does not come."""
    await script.request_count(1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()


async def test_the_limits_are_those_that_were_set(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(Raw([BEGUN, Silence()]))
    task = asyncio.create_task(ask(model))
    await heard_all(script, task)

    clock.forward(LIMITS.idle_seconds - 2)
    for _ in range(50):
        await asyncio.sleep(0)
    assert not task.done()
    clock.forward(2)

    problem = (await task).problem
    assert problem
    assert problem.kind is Kind.UPSTREAM_TIMEOUT


async def test_a_client_that_was_closed_refuses_in_our_words(client: groq.AsyncGroq) -> None:
    await client.close()

    with pytest.raises(ServiceError, match="no connection to Groq"):
        async with GroqModel(client, LIMITS, QUIET).answer(prompt()):
            pass


LARGE = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


@LARGE
async def test_a_large_prompt_that_groq_does_not_read_is_given_up() -> None:
    deaf = Wire(closes=False, reads=False)
    async with wired(deaf), model_at(deaf.url, evolve(LIMITS, first_token_seconds=0.2)) as model:
        outcome = await ask(model, prompt("x" * 2**24))

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_TIMEOUT
    assert outcome.seconds < 3
    assert await tasks() == []


@LARGE
async def test_an_answer_that_comes_before_the_prompt_was_sent_counts() -> None:
    early = Wire(body_of(BEGUN + DONE), closes=False, reads=False)
    async with wired(early), model_at(early.url) as model:
        outcome = await ask(model, prompt("x" * 2**24))

    assert outcome.content == "Begun"
    assert await tasks() == []


TOLD = chunk({}, usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})


@pytest.mark.parametrize(
    "end",
    [[], [Cut()], [b'data: {"error":{"message":"m"}}\n\n'], [b"data: no JSON\n\n"]],
    ids=["ended", "cut", "error", "unreadable"],
)
async def test_usage_is_told_before_a_failure_as_soon_as_groq_tells_it(
    model: GroqModel, script: Script, end: Sequence[Piece]
) -> None:
    gate = asyncio.Event()
    script.next(Raw([chunk({"content": "a"}), TOLD, Gate(gate), *end]))

    heard: list[object] = []

    async def hear() -> None:
        async with model.answer(prompt()) as parts:
            async for part in parts:
                heard.append(part)
                if isinstance(part, Usage):
                    gate.set()

    with pytest.raises(ServiceError) as raised:
        await hear()

    assert heard[:2] == [Delta("a"), Usage(1, 2, 3)]
    assert raised.value.problem.kind is Kind.UPSTREAM_ERROR


async def test_usage_is_told_before_a_failure_that_comes_with_it(
    model: GroqModel, script: Script
) -> None:
    script.next(Raw([chunk({"content": "a"}) + TOLD + b"data: no JSON\n\n"]))

    outcome = await ask(model)

    assert (outcome.content, outcome.usage) == ("a", Usage(1, 2, 3))
    assert outcome.problem
