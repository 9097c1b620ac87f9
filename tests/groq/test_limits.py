"""What becomes of runs near Groq's limits, and of those at a model that fails, over real HTTP."""

import asyncio

import groq
import pytest
from attrs import evolve

from asking import LIMITS, Clock, Outcome, Watcher, ask, prompt, tasks
from service.core.errors import Kind
from service.groq.breaker import FAILURES, OPEN_SECONDS
from service.groq.model import GroqModel
from service.simulator import (
    Answer,
    Cut,
    CutBeforeHeaders,
    NoResponse,
    Raw,
    Refusal,
    Script,
    Silence,
    Text,
    chunk,
    error_data,
    stream_of,
)

OTHER = "allam-2-7b"
BEGUN = chunk({"content": "Begun"})


@pytest.fixture
def watcher() -> Watcher:
    return Watcher()


@pytest.fixture
def model(client: groq.AsyncGroq, watcher: Watcher) -> GroqModel:
    return GroqModel(client, LIMITS, watcher)


def left(*, requests: int = 999, tokens: int = 59_000) -> dict[str, str]:
    """Headers of a limit that fills up by 10 requests and 1000 tokens a second."""
    return {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": str(requests),
        "x-ratelimit-reset-requests": f"{(1000 - requests) / 10}s",
        "x-ratelimit-limit-tokens": "60000",
        "x-ratelimit-remaining-tokens": str(tokens),
        "x-ratelimit-reset-tokens": f"{(60_000 - tokens) / 1000}s",
    }


def saying(text: str, headers: dict[str, str]) -> Raw:
    return Raw(stream_of(text, 5), headers=headers)


def kinds(outcomes: list[Outcome]) -> list[Kind | None]:
    return [one.problem.kind if one.problem else None for one in outcomes]


# Limits


async def test_what_groq_says_is_left_is_told(
    model: GroqModel, script: Script, watcher: Watcher
) -> None:
    script.next(saying("Hello", left(requests=7, tokens=70)))

    await ask(model)

    name = prompt().model.id
    assert watcher.quotas == [(name, "requests", 1000, 7), (name, "tokens", 60_000, 70)]


async def test_headers_that_say_nothing_are_passed_over(
    model: GroqModel, script: Script, watcher: Watcher
) -> None:
    odd = dict.fromkeys(left(), "many")
    script.always(saying("Hello", odd))

    outcomes = [await ask(model) for _ in range(5)]

    assert {one.content for one in outcomes} == {"Hello"}
    assert watcher.quotas == []


async def test_where_nothing_is_left_a_run_waits_its_turn(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(saying("Hello", left(tokens=0)))
    await ask(model)

    waiting = asyncio.create_task(ask(model, prompt(max_tokens=4000)))
    await tasks()
    assert len(script.requests) == 1
    clock.forward(3.9)
    await tasks()
    assert len(script.requests) == 1
    clock.forward(0.3)

    assert (await waiting).ending
    assert len(script.requests) == 2


async def test_a_wait_that_is_too_long_is_refused_at_once_without_asking(
    model: GroqModel, script: Script
) -> None:
    script.next(saying("Hello", left(tokens=0)))
    await ask(model)

    outcome = await ask(model, prompt(max_tokens=20_000))

    assert outcome.problem
    assert outcome.problem.kind is Kind.UPSTREAM_RATE_LIMITED
    assert outcome.problem.retry_after == pytest.approx(20, abs=1)
    assert outcome.seconds < 1
    assert len(script.requests) == 1


async def test_the_wait_is_part_of_the_time_to_the_first_token(
    client: groq.AsyncGroq, script: Script
) -> None:
    limits = evolve(LIMITS, first_token_seconds=0.5)
    model = GroqModel(client, limits, Watcher())
    script.next(saying("Hello", left(tokens=0)))
    await ask(model)

    outcome = await ask(model, prompt(max_tokens=1000))

    assert kinds([outcome]) == [Kind.UPSTREAM_RATE_LIMITED]
    assert len(script.requests) == 1


async def test_a_refusal_tells_what_is_left_too(model: GroqModel, script: Script) -> None:
    script.next(Refusal(400, error_data("m"), left(tokens=0)))
    await ask(model)

    assert kinds([await ask(model, prompt(max_tokens=20_000))]) == [Kind.UPSTREAM_RATE_LIMITED]


async def test_one_models_limits_are_not_anothers(model: GroqModel, script: Script) -> None:
    script.next(saying("Hello", left(tokens=0)))
    await ask(model)

    assert (await ask(model, prompt(model=OTHER))).ending


async def test_a_flood_is_not_burned_at_groq(model: GroqModel, script: Script) -> None:
    """Five are left and none comes back soon: of a hundred five are asked, and all are answered."""
    script.next(saying("Hello", left(requests=5) | {"x-ratelimit-reset-requests": "24h0m0s"}))
    await ask(model)
    for count in range(4, -1, -1):
        script.next(
            saying("Hello", left(requests=count) | {"x-ratelimit-reset-requests": "24h0m0s"})
        )

    outcomes = await asyncio.gather(*[ask(model) for _ in range(100)])

    assert kinds(outcomes).count(None) == 5
    assert set(kinds(outcomes)) == {None, Kind.UPSTREAM_RATE_LIMITED}
    assert all(one.problem.retry_after for one in outcomes if one.problem)
    assert len(script.requests) == 6
    assert await tasks() == []


async def test_who_waits_can_be_cancelled_and_the_next_moves_up(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(saying("Hello", left(tokens=0)))
    await ask(model)
    large = asyncio.create_task(ask(model, prompt(max_tokens=4000)))
    small = asyncio.create_task(ask(model, prompt(max_tokens=500)))
    await tasks()

    large.cancel()
    await asyncio.wait({large})
    clock.forward(1)

    assert large.cancelled()
    assert (await small).ending
    assert len(script.requests) == 2
    assert await tasks() == []


async def test_a_limit_that_no_header_shows_is_kept_by_all(
    client: groq.AsyncGroq, script: Script, clock: Clock
) -> None:
    """Of requests for a minute: one is refused, and nobody else is sent into the same refusal."""
    model = GroqModel(client, evolve(LIMITS, retries=1), Watcher())
    minute = error_data("requests per minute", "rate_limit_exceeded", kind="requests")
    script.next(Refusal(429, minute, {"retry-after": "3"}))
    first = asyncio.create_task(ask(model))
    await script.finished(0)
    await tasks()

    others = [asyncio.create_task(ask(model)) for _ in range(10)]
    await tasks()
    assert len(script.requests) == 1
    clock.forward(3.1)

    assert kinds([await one for one in (first, *others)]) == [None] * 11
    assert len(script.requests) == 12


async def test_a_request_that_is_too_large_for_now_holds_no_other_up(
    model: GroqModel, script: Script
) -> None:
    minute = error_data("tokens per minute", "rate_limit_exceeded", kind="tokens")
    script.next(Refusal(429, minute, {"retry-after": "30"}))

    outcomes = [await ask(model), await ask(model)]

    assert kinds(outcomes) == [Kind.UPSTREAM_RATE_LIMITED, None]


# A model that fails


FAILING = [
    Refusal(503, b""),
    CutBeforeHeaders(),
    Raw([Cut()]),
    Raw([]),
    Raw([b"<html>"], headers={"Content-Type": "text/html"}),
]


@pytest.mark.parametrize("failure", FAILING, ids=repr)
async def test_a_model_that_fails_again_and_again_is_left_alone_and_then_tried_by_one(
    model: GroqModel, script: Script, clock: Clock, watcher: Watcher, failure: Raw | Refusal
) -> None:
    script.always(failure)
    for _ in range(FAILURES):
        assert kinds([await ask(model)]) == [Kind.UPSTREAM_ERROR]

    refused = await ask(model)
    assert refused.problem
    assert refused.problem.kind is Kind.UPSTREAM_ERROR
    assert refused.problem.retry_after == pytest.approx(OPEN_SECONDS, abs=3)
    assert not refused.accepted
    assert len(script.requests) == FAILURES
    script.always(Text("Hello"))
    assert (await ask(model, prompt(model=OTHER))).ending
    clock.forward(OPEN_SECONDS)
    assert (await ask(model)).ending
    name = prompt().model.id
    assert watcher.breakers == [(name, "open"), (name, "half-open"), (name, "closed")]


async def test_silence_is_a_failure(client: groq.AsyncGroq, script: Script) -> None:
    model = GroqModel(client, evolve(LIMITS, first_token_seconds=0.1), Watcher())
    silent: list[Answer] = [NoResponse(), Raw([Silence()])]
    script.next(*silent * FAILURES)

    outcomes = await asyncio.gather(*[ask(model) for _ in range(FAILURES)])

    assert kinds(outcomes) == [Kind.UPSTREAM_TIMEOUT] * FAILURES
    assert kinds([await ask(model)]) == [Kind.UPSTREAM_ERROR]
    assert len(script.requests) == FAILURES


@pytest.mark.parametrize(
    "answer",
    [
        Refusal(400, error_data("m")),
        Refusal(401, error_data("m")),
        Refusal(408, error_data("m")),
        Refusal(413, error_data("m")),
        Refusal(429, error_data("m")),
        Refusal(498, error_data("m")),
        Raw([BEGUN, Cut()]),
        Raw([BEGUN]),
        Raw([b'data: {"error":{"message":"m"}}\n\n']),
    ],
    ids=repr,
)
async def test_a_refusal_and_an_answer_that_breaks_off_are_no_reason_to_leave_it_alone(
    model: GroqModel, script: Script, watcher: Watcher, answer: Raw | Refusal
) -> None:
    script.always(answer)

    for _ in range(2 * FAILURES):
        assert (await ask(model)).problem

    assert watcher.breakers == []
    assert len(script.requests) == 2 * FAILURES


async def test_attempts_of_one_run_are_one_failure(client: groq.AsyncGroq, script: Script) -> None:
    model = GroqModel(client, evolve(LIMITS, retries=10), Watcher())
    script.next(*[Refusal(503, b"", {"retry-after": "0"})] * 10, Text("Hello"))

    assert (await ask(model)).content == "Hello"


async def test_who_is_cancelled_has_not_failed(
    model: GroqModel, script: Script, watcher: Watcher
) -> None:
    script.always(NoResponse())
    for index in range(2 * FAILURES):
        task = asyncio.create_task(ask(model))
        await script.request_count(index + 1)
        task.cancel()
        await asyncio.wait({task})

    assert watcher.breakers == []


async def test_a_try_that_is_cancelled_does_not_stop_the_next_one(
    model: GroqModel, script: Script, clock: Clock
) -> None:
    script.next(*[Refusal(503, b"")] * FAILURES, NoResponse())
    for _ in range(FAILURES):
        await ask(model)
    clock.forward(OPEN_SECONDS)
    trying = asyncio.create_task(ask(model))
    await script.request_count(FAILURES + 1)
    assert kinds([await ask(model)]) == [Kind.UPSTREAM_ERROR]

    trying.cancel()
    await asyncio.wait({trying})

    assert (await ask(model)).ending
    assert (await ask(model)).ending


async def test_of_a_crowd_one_tries(model: GroqModel, script: Script, clock: Clock) -> None:
    script.always(Refusal(503, b""))
    for _ in range(FAILURES):
        await ask(model)
    clock.forward(OPEN_SECONDS)

    outcomes = await asyncio.gather(*[ask(model) for _ in range(50)])

    assert set(kinds(outcomes)) == {Kind.UPSTREAM_ERROR}
    assert len(script.requests) == FAILURES + 1
    assert await tasks() == []
