"""What a request may hold, and what is said of every fault in it."""

import json

import pytest
from web.outside import JSON_TYPE, Json, asked, chat, faults_of, problem_of, start

from support import MODEL, Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

QWEN = "qwen/qwen3.8-27b"
ALLAM = "allam-2-7b"
RETIRED = "llama-3.1-8b-instant"
STARTS = ["/api/chat/stream", "/api/chat", "/api/runs"]


async def refused(served: Running, body: object, path: str = "/api/chat") -> dict[str, str]:
    """The faults found in a body."""
    async with served.client.post(path, json=body) as response:
        return faults_of(await problem_of(response, 422, "validation-error"))


async def refused_bytes(served: Running, hyperparameters: bytes) -> Json:
    """The problem of hyperparameters that no encoder would write."""
    body = b'{"model":"%b","user_prompt":"x","hyperparameters":%b}' % (
        MODEL.encode(),
        hyperparameters,
    )
    async with served.client.post("/api/chat", data=body, headers=JSON_TYPE) as response:
        problem: Json = await response.json(content_type="application/problem+json")
        return problem


@pytest.mark.parametrize("path", STARTS)
async def test_what_is_missing_is_named_where_it_would_be(shared: Running, path: str) -> None:
    faults = await refused(shared, {}, path)

    assert faults == {"#/model": "is required", "#/user_prompt": "is required"}


async def test_every_fault_is_told_at_once(shared: Running) -> None:
    body = {
        "model": 7,
        "user_prompt": "  ",
        "system_prompt": ["x"],
        "save_conversation": "yes",
        "conversation_id": 1,
        "parent_message_id": {},
        "on_disconnect": "explode",
        "surprise": 1,
        "hyperparameters": {
            "temperature": 3.5,
            "top_p": "0.7",
            "max_tokens": 0,
            "stop": ["a", "", 3, "d", "e"],
            "top_k": -1,
            "repetition_penalty": 2.5,
            "frequency_penalty": True,
            "presence_penalty": -2.01,
            "seed": 7.0,
            "reasoning_effort": "extreme",
            "reasoning_format": 1,
            "warmth": 1,
        },
    }

    faults = await refused(shared, body)

    assert set(faults) == {
        "#/model",
        "#/user_prompt",
        "#/system_prompt",
        "#/save_conversation",
        "#/conversation_id",
        "#/parent_message_id",
        "#/on_disconnect",
        "#/surprise",
        "#/hyperparameters/temperature",
        "#/hyperparameters/top_p",
        "#/hyperparameters/max_tokens",
        "#/hyperparameters/stop",
        "#/hyperparameters/stop/1",
        "#/hyperparameters/stop/2",
        "#/hyperparameters/top_k",
        "#/hyperparameters/repetition_penalty",
        "#/hyperparameters/frequency_penalty",
        "#/hyperparameters/presence_penalty",
        "#/hyperparameters/seed",
        "#/hyperparameters/reasoning_effort",
        "#/hyperparameters/reasoning_format",
        "#/hyperparameters/warmth",
    }
    assert faults["#/hyperparameters/temperature"] == "must be between 0.0 and 2.0, got 3.5"


RIGHT: dict[str, list[object]] = {
    "temperature": [0, 0.0, 2, 2.0, 0.7],
    "top_p": [0, 1, 0.9],
    "max_tokens": [1, 32000],
    "stop": [[], ["END"], ["a", "b", "c", "d"]],
    "top_k": [0],
    "repetition_penalty": [1, 1.0],
    "frequency_penalty": [0, 0.0, -0.0],
    "presence_penalty": [0, 0.0],
    "seed": [0, -1, 2**63 - 1, -(2**63)],
    "reasoning_effort": ["low", "high"],
    "reasoning_format": ["parsed", "hidden"],
}


@pytest.mark.parametrize("name", RIGHT)
async def test_what_is_allowed_is_taken(shared: Running, name: str) -> None:
    for value in [*RIGHT[name], None]:
        answer = await chat(shared, hyperparameters={name: value}, save_conversation=False)

        assert answer["finish_reason"] in ("stop", "length"), value


WRONG: dict[str, list[object]] = {
    "temperature": [-0.01, 2.01, "0.7", True, [], {}, 10**400, -(10**30), 2**64],
    "top_p": [-0.1, 1.01, "1", False],
    "max_tokens": [0, -1, 32001, 7.0, 1.5, "1", True, 10**30],
    "stop": ["END", {}, 1, ["a", "b", "c", "d", "e"]],
    "top_k": [-1, 1, 0.0, "0", False],
    "repetition_penalty": [-0.1, 2.1, 1.1, "1", True],
    "frequency_penalty": [-2.1, 2.1, 0.5, "0", False],
    "presence_penalty": [-2.1, 2.1, 0.5],
    "seed": [7.0, 0.5, "1", True, 2**63, -(2**63) - 1, 10**400],
    "reasoning_effort": ["LOW", "", 1, "none"],
    "reasoning_format": ["raw", "Parsed", False],
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_not_allowed_is_named(shared: Running, name: str) -> None:
    for value in WRONG[name]:
        faults = await refused(shared, asked(hyperparameters={name: value}))

        assert set(faults) == {f"#/hyperparameters/{name}"}, value


async def test_faults_in_stop_are_told_item_by_item(shared: Running) -> None:
    faults = await refused(shared, asked(hyperparameters={"stop": ["a", "", None, 3]}))

    assert set(faults) == {f"#/hyperparameters/stop/{index}" for index in (1, 2, 3)}


async def test_the_most_tokens_are_the_models_own_limit_where_that_is_lower(
    shared: Running,
) -> None:
    at_limit = {"max_tokens": 4096}
    beyond = {"max_tokens": 4097}

    answer = await chat(shared, model=ALLAM, hyperparameters=at_limit, save_conversation=False)
    faults = await refused(shared, asked(model=ALLAM, hyperparameters=beyond))

    assert answer["model"] == ALLAM
    assert faults == {"#/hyperparameters/max_tokens": "must be between 1 and 4096, got 4097"}


# What the model does not take.


async def test_a_neutral_value_is_accepted_and_not_sent(shared: Running) -> None:
    neutral = {
        "top_k": 0,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0,
        "presence_penalty": 0,
    }

    await chat(shared, hyperparameters=neutral | {"temperature": 0.5}, save_conversation=False)

    sent = shared.script.requests[-1].body
    assert sent["temperature"] == 0.5
    assert not sent.keys() & neutral.keys()


async def test_what_is_supported_is_sent(shared: Running) -> None:
    values = {"temperature": 0.25, "top_p": 0.5, "max_tokens": 9, "stop": ["END"], "seed": 3}

    await chat(shared, hyperparameters=values, save_conversation=False)

    sent = shared.script.requests[-1].body
    tokens = sent.get("max_tokens", sent.get("max_completion_tokens"))
    assert sent | {"max_tokens": tokens} == sent | values | {"max_tokens": 9}


async def test_another_value_names_the_models_that_support_it(shared: Running) -> None:
    effort = {"reasoning_effort": "low"}

    faults = await refused(shared, asked(model=ALLAM, hyperparameters=effort))

    detail = faults["#/hyperparameters/reasoning_effort"]
    assert MODEL in detail
    assert QWEN in detail
    assert RETIRED not in detail


async def test_left_out_where_the_settings_say_so() -> None:
    values = {"top_k": 40, "reasoning_effort": "low", "temperature": 1}
    async with running(UNSUPPORTED_PARAMETERS="ignore") as served:
        run_id = await start(served, model=ALLAM, hyperparameters=values)
        async with served.client.get(f"/api/runs/{run_id}/events") as response:
            started = json.loads((await response.content.readline())[6:])
        sent = served.script.requests[0].body

        wrong = {"top_k": -1}
        faults = await refused(served, asked(model=ALLAM, hyperparameters=wrong))

    assert started["ignored_parameters"] == ["top_k", "reasoning_effort"]
    assert sent["temperature"] == 1
    assert not sent.keys() & {"top_k", "reasoning_effort"}
    assert faults.keys() == {"#/hyperparameters/top_k"}


# Models.


@pytest.mark.parametrize("path", STARTS)
async def test_an_unknown_model_that_is_the_only_fault_has_a_problem_of_its_own(
    shared: Running, path: str
) -> None:
    async with shared.client.post(path, json=asked(model="gpt-99")) as response:
        problem = await problem_of(response, 422, "unknown-model")

    assert "gpt-99" in problem["detail"]
    assert "errors" not in problem


async def test_an_unknown_model_among_other_faults_is_one_of_them(shared: Running) -> None:
    body = {"model": "gpt-99", "hyperparameters": {"temperature": 9}}

    faults = await refused(shared, body)

    assert set(faults) == {"#/model", "#/user_prompt", "#/hyperparameters/temperature"}


async def test_a_model_that_groq_does_not_serve_names_its_replacement(shared: Running) -> None:
    async with shared.client.post("/api/chat", json=asked(model=RETIRED)) as response:
        problem = await problem_of(response, 422, "model-unavailable")

    assert MODEL in problem["detail"]


async def test_an_unavailable_model_among_other_faults_is_one_of_them(shared: Running) -> None:
    faults = await refused(shared, {"model": RETIRED, "user_prompt": ""})

    assert set(faults) == {"#/model", "#/user_prompt"}
    assert MODEL in faults["#/model"]


@pytest.mark.parametrize("model", ["", " openai/gpt-oss-20b", "OPENAI/GPT-OSS-20B", "x" * 500])
async def test_a_models_name_is_exact(shared: Running, model: str) -> None:
    async with shared.client.post("/api/chat", json=asked(model=model)) as response:
        problem = await problem_of(response, 422, "unknown-model")

    assert len(problem["detail"]) < 1000


# Types, nulls, names.


WRONG_MEMBERS: dict[str, list[object]] = {
    "model": [1, True, [], {}, 1.5],
    "user_prompt": [1, False, [], {}, "", " ", "\n\t\u2003\u3000"],
    "system_prompt": [1, True, [], {}],
    "hyperparameters": ["x", 1, True, []],
    "save_conversation": ["true", 1, 0, [], {}],
    "conversation_id": [1, True, [], {}],
    "on_disconnect": ["CANCEL", "stop", "", 1, True],
}


@pytest.mark.parametrize("name", WRONG_MEMBERS)
async def test_types_are_exact(shared: Running, name: str) -> None:
    for value in WRONG_MEMBERS[name]:
        assert set(await refused(shared, asked(**{name: value}))) == {f"#/{name}"}, value


async def test_a_required_member_that_is_null_is_missing(shared: Running) -> None:
    faults = await refused(shared, {"model": None, "user_prompt": None})

    assert faults == {"#/model": "is required", "#/user_prompt": "is required"}


async def test_an_optional_member_that_is_null_is_as_if_it_were_not_there(shared: Running) -> None:
    nulls = dict.fromkeys(
        (
            "system_prompt",
            "hyperparameters",
            "save_conversation",
            "conversation_id",
            "parent_message_id",
            "on_disconnect",
        )
    )

    answer = await chat(shared, **nulls)

    assert answer["conversation_id"]
    await shared.client.delete(f"/api/conversations/{answer['conversation_id']}")


@pytest.mark.parametrize(
    ("name", "pointer"),
    [
        ("Model", "#/Model"),
        ("messages", "#/messages"),
        ("", "#/"),
        ("a/b", "#/a~1b"),
        ("a~b", "#/a~0b"),
        ("é ü", "#/%C3%A9%20%C3%BC"),
        ("__class__", "#/__class__"),
    ],
)
async def test_an_unknown_member_is_an_error(shared: Running, name: str, pointer: str) -> None:
    assert set(await refused(shared, asked(**{name: 1}))) == {pointer}
    assert set(await refused(shared, asked(**{name: None}))) == {pointer}


async def test_many_unknown_members_make_no_large_answer(shared: Running) -> None:
    body = asked(**{f"x{number}": 1 for number in range(300)})

    async with shared.client.post("/api/chat", json=body) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert 100 <= len(problem["errors"]) < 300
    assert len(json.dumps(problem)) < 100_000


async def test_the_detail_tells_the_faults_too(shared: Running) -> None:
    async with shared.client.post("/api/chat", json=asked(user_prompt="")) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert "user_prompt" in problem["detail"]


async def test_a_value_is_echoed_in_part_only(shared: Running) -> None:
    faults = await refused(shared, asked(hyperparameters={"temperature": "long" * 500}))

    assert len(faults["#/hyperparameters/temperature"]) < 120


async def test_a_parent_needs_its_conversation(shared: Running) -> None:
    assert set(await refused(shared, asked(parent_message_id="root"))) == {"#/parent_message_id"}


# Numbers that no encoder writes.


@pytest.mark.parametrize("text", [b"1e999", b"-1e999", b"NaN", b"Infinity", b"01", b"+1", b".5"])
async def test_what_is_no_json_number_is_malformed(shared: Running, text: bytes) -> None:
    problem = await refused_bytes(shared, b'{"temperature":%b}' % text)

    assert problem["type"] == "/problems/malformed-json"


@pytest.mark.parametrize("text", [b"1e2", b"7e0", b"1e-400", b"-0", b"9" * 1000])
async def test_an_odd_number_is_a_number(shared: Running, text: bytes) -> None:
    problem = await refused_bytes(shared, b'{"temperature":%b,"top_k":0.5}' % text)

    assert "#/hyperparameters/top_k" in faults_of(problem)


async def test_an_integer_in_exponent_form_is_no_integer(shared: Running) -> None:
    problem = await refused_bytes(shared, b'{"seed":1e2}')

    assert set(faults_of(problem)) == {"#/hyperparameters/seed"}


async def test_of_members_of_the_same_name_the_last_counts(shared: Running) -> None:
    problem = await refused_bytes(shared, b'{"temperature":"x","temperature":9}')

    assert faults_of(problem) == {
        "#/hyperparameters/temperature": "must be between 0.0 and 2.0, got 9"
    }


async def test_nothing_that_was_refused_left_a_trace(shared: Running) -> None:
    async with shared.client.get("/api/conversations") as response:
        page = await response.json()
    async with shared.client.get("/health") as response:
        health = await response.json()

    assert page["items"] == []
    assert health["active_runs"] == 0
