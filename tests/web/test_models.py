from typing import Any

import pytest
from web.outside import asked, chat, problem_of

from service.simulator import Refusal, Script
from support import MODEL, Running, running

PARAMETERS = [
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "top_k",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "reasoning_effort",
    "reasoning_format",
]


async def models(served: Running) -> dict[str, Any]:
    async with served.client.get("/api/models") as response:
        body = await response.json()
    assert response.status == 200
    assert body.keys() == {"items"}
    return {item["id"]: item for item in body["items"]}


async def test_a_model_in_the_catalogue(served: Running) -> None:
    model = (await models(served))[MODEL]

    assert model.keys() == {
        "id",
        "name",
        "available",
        "replacement",
        "context_window",
        "max_completion_tokens",
        "capabilities",
        "pricing",
        "parameters",
    }
    assert model["available"] is True
    assert model["replacement"] is None
    assert model["context_window"] == 131072
    assert "reasoning" in model["capabilities"]
    assert model["pricing"]["prompt_per_million"] > 0


async def test_every_model_tells_of_every_parameter(served: Running) -> None:
    shown = await models(served)

    assert all(list(model["parameters"]) == PARAMETERS for model in shown.values())
    members = {"supported", "type", "minimum", "maximum", "default", "enum"}
    for model in shown.values():
        assert all(members <= set(parameter) for parameter in model["parameters"].values())


async def test_the_ranges_are_those_of_the_contract(served: Running) -> None:
    parameters = (await models(served))[MODEL]["parameters"]

    ranges = {
        name: (parameter["type"], parameter["minimum"], parameter["maximum"])
        for name, parameter in parameters.items()
    }
    assert ranges["temperature"] == ("number", 0, 2)
    assert ranges["top_p"] == ("number", 0, 1)
    assert ranges["max_tokens"] == ("integer", 1, 32000)
    assert ranges["top_k"][:2] == ("integer", 0)
    assert ranges["repetition_penalty"] == ("number", 0, 2)
    assert ranges["frequency_penalty"] == ("number", -2, 2)
    assert ranges["presence_penalty"] == ("number", -2, 2)
    assert parameters["reasoning_effort"]["enum"] == ["low", "medium", "high"]
    assert not parameters["top_k"]["supported"]


async def test_a_retired_model_names_its_replacement(served: Running) -> None:
    model = (await models(served))["llama-3.1-8b-instant"]

    assert (model["available"], model["replacement"]) == (False, MODEL)


@pytest.mark.parametrize("answer", [Refusal(500, b"no"), Refusal(200, b"{}")])
async def test_before_groq_was_asked_nothing_is_known_and_all_can_be_tried(
    answer: Refusal,
) -> None:
    script = Script()
    script.models_answer = answer
    async with running(script) as served:
        shown = await models(served)
        answered = await chat(served)

    assert {model["available"] for model in shown.values()} == {None}
    assert answered["finish_reason"] == "stop"


async def test_a_list_of_groqs_decides() -> None:
    script = Script()
    script.models_answer = Refusal(
        200,
        {
            "object": "list",
            "data": [
                {"id": "new/model", "active": True, "context_window": 8192},
                {"id": "whisper-large", "active": True, "context_window": 448},
                {"id": "llama-3.1-8b-instant", "active": True, "context_window": 9999},
            ],
        },
    )
    async with running(script) as served:
        shown = await models(served)
        async with served.client.post("/api/chat", json=asked()) as response:
            await problem_of(response, 422, "model-unavailable")

    assert shown["new/model"]["available"] is True
    assert shown["new/model"]["context_window"] == 8192
    assert "whisper-large" not in shown
    assert shown["llama-3.1-8b-instant"]["available"] is True
    assert shown["llama-3.1-8b-instant"]["context_window"] == 9999
    assert shown[MODEL]["available"] is False
