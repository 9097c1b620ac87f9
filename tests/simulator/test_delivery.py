import asyncio

import aiohttp

from service.simulator import SimulatedModel, Text, make_simulator, run_simulator
from service.simulator.delivery import Pace, deltas

BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}


def test_tokens_are_due_at_the_speed_that_was_chosen() -> None:
    pace = Pace(10, 2)

    assert [pace.due(seconds) for seconds in (0, 1.9, 2, 2.5)] == [0, 0, 1, 6]
    assert pace.seconds_until(0) == 2
    assert pace.seconds_until(5) == 2.5


def test_without_a_speed_everything_is_due_with_the_first_token() -> None:
    pace = Pace(0, 1)

    assert pace.due(0.5) == 0
    assert pace.due(1) == float("inf")
    assert pace.seconds_until(1_000) == 1


def test_reasoning_comes_before_the_content() -> None:
    assert list(deltas(Text("Yes", reasoning="Well"))) == [
        {"reasoning": "Well", "channel": "analysis"},
        {"content": "Yes"},
    ]


async def test_the_simulators_own_answer_takes_its_time() -> None:
    model = SimulatedModel("m", 1_000, 100)
    application = make_simulator([model], tokens_per_second=200, time_to_first_token_seconds=0.05)
    body = BODY | {"max_completion_tokens": 20}
    clock = asyncio.get_running_loop().time

    async with run_simulator(application) as url, aiohttp.ClientSession() as session:
        start = clock()
        async with session.post(f"{url}/openai/v1/chat/completions", json=body) as response:
            answer = await response.read()
        seconds = clock() - start

    assert answer.count(b'"content":') == 21
    assert seconds > 0.05 + 20 / 200


async def test_without_a_speed_events_are_joined_into_few_writes() -> None:
    application = make_simulator(
        [SimulatedModel("m", 8_000, 4_000)], tokens_per_second=0, time_to_first_token_seconds=0
    )

    async with (
        run_simulator(application) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/openai/v1/chat/completions", json=BODY) as response,
    ):
        parts = [part async for part, _ in response.content.iter_chunks()]

    assert sum(part.count(b"data: ") for part in parts) > 200
    assert len(parts) < 30
