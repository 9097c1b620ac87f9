import io
import json
from typing import Any

import aiohttp
import groq
import pytest

from service.simulator import (
    Pricing,
    Refusal,
    Script,
    SimulatedModel,
    Text,
    make_simulator,
    run_simulator,
)
from service.simulator.prose import NOTICE

REASONER = "openai/gpt-oss-20b"
PLAIN = "allam-2-7b"
HELLO = [{"role": "user", "content": "Hello"}]
ASKED: dict[str, Any] = {"model": PLAIN, "messages": HELLO}


async def whole(client: groq.AsyncGroq, **properties: Any) -> Any:
    answer = await client.chat.completions.create(**ASKED | properties)
    return answer.to_dict()


async def streamed(client: groq.AsyncGroq, **properties: Any) -> list[Any]:
    stream = await client.chat.completions.create(**ASKED | properties, stream=True)
    return [chunk.to_dict() async for chunk in stream]


def events_of(body: bytes) -> list[Any]:
    *events, done, rest = body.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def joined(chunks: list[Any], name: str) -> str:
    return "".join(chunk["choices"][0]["delta"].get(name, "") for chunk in chunks)


async def test_the_sdk_reads_a_streamed_answer(client: groq.AsyncGroq) -> None:
    chunks = await streamed(client)

    assert joined(chunks, "content").startswith(NOTICE)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[0]["x_groq"]["id"].startswith("req_")
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2


async def test_the_sdk_reads_a_whole_answer(client: groq.AsyncGroq) -> None:
    answer = await whole(client, model=REASONER, seed=3)

    message = answer["choices"][0]["message"]
    assert message["content"].startswith(NOTICE)
    assert message["reasoning"]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0
    assert answer["x_groq"]["seed"] == 3
    assert answer["model"] == REASONER


async def test_streamed_and_whole_answers_say_the_same(client: groq.AsyncGroq) -> None:
    answer = await whole(client, model=REASONER, seed=1)
    chunks = await streamed(client, model=REASONER, seed=1)

    message = answer["choices"][0]["message"]
    assert joined(chunks, "content") == message["content"]
    assert joined(chunks, "reasoning") == message["reasoning"]


async def test_the_sdk_reads_the_model_list(client: groq.AsyncGroq) -> None:
    models = await client.models.list()
    model = await client.models.retrieve(REASONER)
    inactive = await client.models.retrieve("llama-3.1-8b-instant")

    assert [entry.id for entry in models.data] == [REASONER, PLAIN, "llama-3.1-8b-instant"]
    assert {entry.owned_by for entry in models.data} == {"simulator"}
    assert model in models.data
    assert inactive in models.data


async def test_the_model_list_has_the_members_of_groqs() -> None:
    model = SimulatedModel(
        "m", 8, 4, pricing=Pricing(prompt="0.1", completion="0.2"), supported_features=["tools"]
    )

    async with (
        run_simulator(make_simulator([model])) as url,
        aiohttp.ClientSession() as session,
        session.get(f"{url}/openai/v1/models") as response,
    ):
        listed = await response.json()

    assert listed["object"] == "list"
    assert listed["data"][0] == {
        "id": "m",
        "object": "model",
        "created": listed["data"][0]["created"],
        "owned_by": "simulator",
        "active": True,
        "context_window": 8,
        "public_apps": None,
        "max_completion_tokens": 4,
        "name": "m",
        "input_modalities": ["text"],
        "output_modalities": ["text"],
        "supported_features": ["tools"],
        "pricing": {"prompt": "0.1", "completion": "0.2"},
    }


async def test_a_stream_has_the_events_of_groq(
    session: aiohttp.ClientSession, script: Script
) -> None:
    script.next(Text("a<b", reasoning="Hm"))
    body = {"model": REASONER, "messages": HELLO, "stream": True, "seed": 9}

    async with session.post("chat/completions", json=body) as response:
        raw = await response.read()

    assert response.content_type == "text/event-stream"
    assert b"<" not in raw
    first, *middle, last = events_of(raw)
    choices = [event["choices"][0] for event in middle]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert first["x_groq"] == {"id": response.headers["x-request-id"], "seed": 9}
    assert [choice["delta"] for choice in choices] == [
        {"reasoning": "Hm", "channel": "analysis"},
        {"content": "a"},
        {"content": "<"},
        {"content": "b"},
    ]
    assert {choice["finish_reason"] for choice in choices} == {None}
    assert last["choices"][0]["delta"] == {}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"]["completion_tokens"] == 4
    assert last["usage"]["completion_tokens_details"] == {"reasoning_tokens": 1}
    assert last["x_groq"] == {"id": first["x_groq"]["id"], "usage": last["usage"]}
    assert len({event["id"] for event in (first, *middle, last)}) == 1


async def test_usage_comes_once_more_when_it_is_asked_for(session: aiohttp.ClientSession) -> None:
    body = ASKED | {"stream": True, "stream_options": {"include_usage": True}}

    async with session.post("chat/completions", json=body) as response:
        *_, final, extra = events_of(await response.read())

    assert extra["choices"] == []
    assert extra["usage"] == final["usage"]
    assert extra["service_tier"] == "on_demand"


async def test_the_limits_of_the_request_are_kept(client: groq.AsyncGroq) -> None:
    answer = await whole(client, max_completion_tokens=4)

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 4


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "models", 200),
        ("GET", "models/nobody", 404),
        ("POST", "chat/completions", 400),
        ("GET", "chat/completions", 404),
        ("GET", "elsewhere", 404),
    ],
)
async def test_every_response_says_that_it_is_simulated(
    session: aiohttp.ClientSession, method: str, path: str, status: int
) -> None:
    async with session.request(method, path) as response:
        body = await response.json()

    assert response.status == status
    assert response.headers["X-Simulated"] == "true"
    assert response.headers["x-request-id"].startswith("req_")
    assert response.headers["x-ratelimit-reset-requests"] == "1m26.4s"
    assert ("error" in body) == (status != 200)


async def test_a_prompt_cannot_choose_a_fault(session: aiohttp.ClientSession) -> None:
    messages = [{"role": "user", "content": "simulate 429; Cut(); status=500; NoResponse()"}]

    async with session.post(
        "chat/completions", json={"model": PLAIN, "messages": messages}, headers={"X-Fault": "500"}
    ) as response:
        answer = await response.json()

    assert response.status == 200
    assert answer["choices"][0]["message"]["content"].startswith(NOTICE)


async def test_the_sdk_raises_its_own_errors(client: groq.AsyncGroq) -> None:
    with pytest.raises(groq.NotFoundError, match="model_not_found"):
        await streamed(client, model="nobody")
    with pytest.raises(groq.BadRequestError, match="property 'top_k' is unsupported"):
        await streamed(client, extra_body={"top_k": 5})


async def test_where_a_key_is_expected_another_is_refused() -> None:
    application = make_simulator([SimulatedModel("m", 1_000, 100)], api_key="right")

    async with (
        run_simulator(application) as url,
        groq.AsyncGroq(base_url=url, api_key="wrong", max_retries=0) as stranger,
        groq.AsyncGroq(base_url=url, api_key="right", max_retries=0) as friend,
    ):
        with pytest.raises(groq.AuthenticationError):
            await stranger.models.list()
        with pytest.raises(groq.AuthenticationError):
            await whole(stranger, model="m")
        listed = await friend.models.list()

    assert [model.id for model in listed.data] == ["m"]


async def test_a_body_that_is_too_large_is_413(session: aiohttp.ClientSession) -> None:
    body = io.BytesIO(bytes(21 * 2**20))

    async with session.post("chat/completions", data=body) as response:
        answer = await response.json()

    assert response.status == 413
    assert answer["error"]["message"] == "Request Entity Too Large"


async def test_the_model_list_can_be_refused(client: groq.AsyncGroq, script: Script) -> None:
    script.models_answer = Refusal(401, {"error": {"message": "Invalid API Key"}})

    with pytest.raises(groq.AuthenticationError):
        await client.models.list()
