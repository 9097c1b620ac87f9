import json
from typing import Any

import pytest

from service.simulator.answers import RefusedError
from service.simulator.call import parse_call
from service.simulator.models import SimulatedModel

MODELS = {
    model.id: model
    for model in (
        SimulatedModel("plain", 1_000, 500),
        SimulatedModel("reasoning", 1_000, 500, reasoning=True),
        SimulatedModel("gone", 1_000, 500, active=False),
    )
}
HELLO = [{"role": "user", "content": "Hello"}]


def refusal_of(**properties: object) -> tuple[int, str, str | None]:
    body = json.dumps({"model": "plain", "messages": HELLO} | properties).encode()
    with pytest.raises(RefusedError) as caught:
        parse_call(body, MODELS)
    refusal: Any = caught.value.refusal
    error = refusal.body["error"]
    return refusal.status, error["message"], error.get("code")


def test_a_full_request_is_read() -> None:
    body = {
        "model": "plain",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "He"}, {"text": "llo"}]},
        ],
        "temperature": 0,
        "top_p": 1,
        "max_completion_tokens": 500,
        "stop": "END",
        "seed": 7,
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    call = parse_call(json.dumps(body).encode(), MODELS)

    assert [message.text for message in call.messages] == ["Be brief.", "Hello"]
    assert call.stops == ["END"]
    assert call.seed == 7


@pytest.mark.parametrize("name", ["top_k", "repetition_penalty", "min_p", "logprobs", "fault"])
def test_an_unknown_property_is_refused_by_name(name: str) -> None:
    status, message, _ = refusal_of(**{name: 1})

    assert (status, message) == (400, f"property '{name}' is unsupported")


@pytest.mark.parametrize("name", ["name", "reasoning_content"])
def test_an_unknown_property_of_a_message_is_refused_by_name(name: str) -> None:
    status, message, _ = refusal_of(messages=[{"role": "user", "content": "Hi", name: "x"}])

    assert (status, message) == (400, f"property '{name}' is unsupported")


@pytest.mark.parametrize(
    "properties",
    [
        {"messages": []},
        {"messages": [{"role": "robot", "content": "Hi"}]},
        {"messages": "Hi"},
        {"model": 5},
        {"temperature": 2.1},
        {"temperature": "0.5"},
        {"top_p": True},
        {"max_completion_tokens": 0},
        {"max_completion_tokens": 501},
        {"max_tokens": 501},
        {"stop": ["1", "2", "3", "4", "5"]},
        {"n": 2},
        {"presence_penalty": -3},
        {"reasoning_effort": "huge", "model": "reasoning"},
        {"reasoning_effort": "low"},
        {"reasoning_format": "hidden"},
        {"messages": [*HELLO, {"role": "assistant", "content": "Hi", "reasoning": "Hm"}]},
        {"reasoning_format": "parsed", "include_reasoning": True, "model": "reasoning"},
    ],
)
def test_what_does_not_fit_is_a_bad_request(properties: dict[str, object]) -> None:
    status, message, _ = refusal_of(**properties)

    assert status == 400
    assert message


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"model": "plain"}'])
def test_a_malformed_body_is_a_bad_request(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_call(body, MODELS)

    assert caught.value.refusal.status == 400


def test_a_model_that_is_not_listed_is_not_found() -> None:
    assert refusal_of(model="nobody") == (
        404,
        "The model `nobody` does not exist or you do not have access to it.",
        "model_not_found",
    )


def test_a_model_that_is_not_active_is_decommissioned() -> None:
    status, _, code = refusal_of(model="gone")

    assert (status, code) == (400, "model_decommissioned")


def test_a_prompt_that_fills_the_context_window_is_refused() -> None:
    status, _, code = refusal_of(messages=[{"role": "user", "content": "word " * 1_000}])

    assert (status, code) == (400, "context_length_exceeded")
