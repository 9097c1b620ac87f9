"""Editing, branching, regenerating: a conversation is a tree."""

import pytest
from web.outside import (
    Json,
    asked,
    chat,
    contents,
    faults_of,
    listed,
    problem_of,
    prompt,
    shown,
    streamed,
)

from service.simulator import Refusal, Text, error_data
from support import Running, all_frames

UNKNOWN = "0198c2f0-0000-7000-8000-000000000000"


async def say(served: Running, question: str, answer: str, **members: object) -> Json:
    served.script.next(Text(answer))
    return await chat(served, user_prompt=question, **members)


async def test_a_question_goes_on_where_the_conversation_ended(served: Running) -> None:
    first = await say(served, "one", "eins")
    known = {"conversation_id": first["conversation_id"]}

    second = await say(served, "two", "zwei", **known)
    conversation = await shown(served, first["conversation_id"])

    assert prompt(served) == ["user: one", "assistant: eins", "user: two"]
    assert second["conversation_id"] == first["conversation_id"]
    assert contents(conversation) == ["one", "eins", "two", "zwei"]
    parents = [message["parent_message_id"] for message in conversation["messages"]]
    ids = [message["message_id"] for message in conversation["messages"]]
    assert parents == [None, *ids[:-1]]


async def test_editing_a_question_makes_a_branch(served: Running) -> None:
    first = await say(served, "one", "eins")
    known = {"conversation_id": first["conversation_id"]}
    await say(served, "two", "zwei", **known)

    await say(served, "two!", "zwei!", **known, parent_message_id=first["message_id"])
    active = await shown(served, first["conversation_id"])
    tree = await shown(served, first["conversation_id"], "?tree=true")

    assert prompt(served) == ["user: one", "assistant: eins", "user: two!"]
    assert contents(active) == ["one", "eins", "two!", "zwei!"]
    assert contents(tree) == ["one", "eins", "two", "zwei", "two!", "zwei!"]


async def test_root_edits_the_first_question(served: Running) -> None:
    first = await say(served, "one", "eins")
    known = {"conversation_id": first["conversation_id"]}

    await say(served, "one!", "eins!", **known, parent_message_id="root")
    active = await shown(served, first["conversation_id"])

    assert prompt(served) == ["user: one!"]
    assert contents(active) == ["one!", "eins!"]
    assert active["messages"][0]["parent_message_id"] is None
    assert active["title"] == "one"


async def test_null_continues_the_active_branch(served: Running) -> None:
    first = await say(served, "one", "eins")
    known = {"conversation_id": first["conversation_id"]}
    await say(served, "one!", "eins!", **known, parent_message_id="root")

    await say(served, "more", "mehr", **known, parent_message_id=None)

    assert prompt(served) == ["user: one!", "assistant: eins!", "user: more"]


async def test_an_unknown_parent_is_not_found(served: Running) -> None:
    first = await say(served, "one", "eins")
    body = asked(conversation_id=first["conversation_id"], parent_message_id=UNKNOWN)

    async with served.client.post("/api/chat", json=body) as response:
        await problem_of(response, 404, "message-not-found")


async def test_the_message_of_another_conversation_is_no_parent(served: Running) -> None:
    first, other = await say(served, "one", "eins"), await say(served, "else", "anders")
    body = asked(conversation_id=first["conversation_id"], parent_message_id=other["message_id"])

    async with served.client.post("/api/chat", json=body) as response:
        await problem_of(response, 404, "message-not-found")


async def test_a_question_is_no_parent_of_a_question(served: Running) -> None:
    first = await say(served, "one", "eins")
    question = (await shown(served, first["conversation_id"]))["messages"][0]["message_id"]
    body = asked(conversation_id=first["conversation_id"], parent_message_id=question)

    async with served.client.post("/api/chat", json=body) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == {"#/parent_message_id"}


async def test_an_unsaved_question_may_branch_too(served: Running) -> None:
    first = await say(served, "one", "eins")
    known = {"conversation_id": first["conversation_id"]}
    await say(served, "two", "zwei", **known)
    aside = known | {"parent_message_id": first["message_id"], "save_conversation": False}

    await say(served, "aside", "nebenbei", **aside)

    assert prompt(served) == ["user: one", "assistant: eins", "user: aside"]
    assert len((await shown(served, first["conversation_id"], "?tree=true"))["messages"]) == 4


# System prompts.


async def test_a_system_prompt_comes_first(served: Running) -> None:
    await say(served, "one", "eins", system_prompt="Be brief.")

    assert prompt(served) == ["system: Be brief.", "user: one"]


async def test_a_continuation_uses_the_last_one_of_its_branch(served: Running) -> None:
    first = await say(served, "one", "eins", system_prompt="A")
    known = {"conversation_id": first["conversation_id"]}
    await say(served, "two", "zwei", **known, system_prompt="B")
    await say(served, "three", "drei", **known)
    last_of_branch = prompt(served)[0]

    await say(served, "two!", "zwei!", **known, parent_message_id=first["message_id"])
    other_branch = prompt(served)[0]

    await say(served, "one!", "eins!", **known, parent_message_id="root")
    no_branch = prompt(served)[0]

    assert (last_of_branch, other_branch, no_branch) == ("system: B", "system: A", "user: one!")


# Switching.


async def switched(served: Running, conversation_id: str, message_id: object) -> Json:
    path = f"/api/conversations/{conversation_id}"
    async with served.client.patch(path, json={"active_message_id": message_id}) as response:
        assert response.status == 200, await response.text()
        return await shown(served, conversation_id)


async def test_a_switch_leads_through_a_message_to_its_latest_leaf(served: Running) -> None:
    first = await say(served, "one", "eins")
    conversation_id = first["conversation_id"]
    known = {"conversation_id": conversation_id}
    await say(served, "two", "zwei", **known)
    await say(served, "two!", "zwei!", **known, parent_message_id=first["message_id"])
    await say(served, "one!", "eins!", **known, parent_message_id="root")
    tree = (await shown(served, conversation_id, "?tree=true"))["messages"]
    by_content = {message["content"]: message["message_id"] for message in tree}

    through_first = await switched(served, conversation_id, first["message_id"])
    through_second = await switched(served, conversation_id, by_content["two"])
    to_question = await switched(served, conversation_id, by_content["one!"])

    assert contents(through_first) == ["one", "eins", "two!", "zwei!"]
    assert contents(through_second) == ["one", "eins", "two", "zwei"]
    assert contents(to_question) == ["one!", "eins!"]


async def test_after_a_switch_the_conversation_goes_on_there(served: Running) -> None:
    first = await say(served, "one", "eins")
    conversation_id = first["conversation_id"]
    await say(served, "x", "y", conversation_id=conversation_id, parent_message_id="root")

    await switched(served, conversation_id, first["message_id"])
    await say(served, "two", "zwei", conversation_id=conversation_id)

    assert prompt(served) == ["user: one", "assistant: eins", "user: two"]


async def test_title_and_branch_can_change_together(served: Running) -> None:
    first = await say(served, "one", "eins")
    conversation_id = first["conversation_id"]
    await say(served, "x", "y", conversation_id=conversation_id, parent_message_id="root")

    change = {"title": "Both", "active_message_id": first["message_id"]}
    async with served.client.patch(
        f"/api/conversations/{conversation_id}", json=change
    ) as response:
        item = await response.json()

    assert (await listed(served))["items"] == [item]
    conversation = await shown(served, conversation_id)
    assert (conversation["title"], contents(conversation)) == ("Both", ["one", "eins"])


async def test_there_is_no_switch_to_an_unknown_message(served: Running) -> None:
    first = await say(served, "one", "eins")
    change = {"title": "Both", "active_message_id": UNKNOWN}

    async with served.client.patch(
        f"/api/conversations/{first['conversation_id']}", json=change
    ) as response:
        await problem_of(response, 404, "message-not-found")

    assert (await shown(served, first["conversation_id"]))["title"] == "one"


# Regeneration.


def regeneration(answer: Json, message_id: object = None) -> str:
    message_id = message_id or answer["message_id"]
    return f"/api/conversations/{answer['conversation_id']}/messages/{message_id}/regenerate"


async def again(served: Running, answer: Json, **changes: object) -> list[Json]:
    """The events of a new answer beside an old one."""
    path = regeneration(answer)
    async with served.client.post(path, json=changes) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Run-Id"]
        return [frame.data for frame in await all_frames(response)]


async def test_a_new_answer_stands_beside_the_old_one(served: Running) -> None:
    first = await say(served, "one", "eins")
    served.script.next(Text("uno"))

    events = await again(served, first)
    tree = await shown(served, first["conversation_id"], "?tree=true")
    active = await shown(served, first["conversation_id"])

    question, old, new = tree["messages"]
    assert prompt(served) == ["user: one"]
    assert (events[0]["type"], events[-1]["type"]) == ("started", "finished")
    assert events[0]["message_id"] == new["message_id"] != old["message_id"]
    assert events[0]["user_message_id"] == question["message_id"]
    assert (old["parent_message_id"], new["parent_message_id"]) == (question["message_id"],) * 2
    assert (old["content"], contents(active)) == ("eins", ["one", "uno"])


async def test_an_answer_in_the_middle_can_be_given_anew(served: Running) -> None:
    first = await say(served, "one", "eins")
    await say(served, "two", "zwei", conversation_id=first["conversation_id"])
    served.script.next(Text("uno"))

    await again(served, first)

    assert prompt(served) == ["user: one"]
    assert contents(await shown(served, first["conversation_id"])) == ["one", "uno"]


@pytest.mark.parametrize("body", [None, b"", b"{}", b'{"model":null}'])
async def test_the_body_is_optional(served: Running, body: bytes | None) -> None:
    first = await say(served, "one", "eins")

    async with served.client.post(
        regeneration(first), data=body, headers={"Content-Type": "application/json"}
    ) as response:
        assert response.status == 200


async def test_it_is_asked_as_the_old_one_was(served: Running) -> None:
    asked_with = {"temperature": 0.25, "stop": ["END"], "max_tokens": 99}
    first = await say(served, "one", "eins", system_prompt="Be brief.", hyperparameters=asked_with)

    await again(served, first)

    old, new = (request.body for request in served.script.requests)
    assert old == new


async def test_what_is_given_is_different(served: Running) -> None:
    first = await say(served, "one", "eins", system_prompt="A", hyperparameters={"seed": 1})

    events = await again(
        served,
        first,
        model="allam-2-7b",
        system_prompt="B",
        hyperparameters={"temperature": 0.5},
    )

    sent = served.script.requests[-1].body
    assert (sent["model"], sent["temperature"]) == ("allam-2-7b", 0.5)
    assert "seed" not in sent
    assert prompt(served) == ["system: B", "user: one"]
    assert events[0]["model"] == "allam-2-7b"


async def test_what_another_model_does_not_take_is_left_out_and_told(served: Running) -> None:
    taken = {"reasoning_effort": "low", "temperature": 0.5}
    first = await say(served, "one", "eins", hyperparameters=taken)

    events = await again(served, first, model="allam-2-7b")

    sent = served.script.requests[-1].body
    assert events[0]["ignored_parameters"] == ["reasoning_effort"]
    assert "reasoning_effort" not in sent
    assert sent["temperature"] == 0.5


@pytest.mark.parametrize("which", ["unknown", "question"])
async def test_only_an_answer_can_be_given_anew(served: Running, which: str) -> None:
    first = await say(served, "one", "eins")
    question = (await shown(served, first["conversation_id"]))["messages"][0]["message_id"]
    message_id = {"unknown": UNKNOWN, "question": question}[which]

    async with served.client.post(regeneration(first, message_id)) as response:
        await problem_of(response, 404, "message-not-found")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"model": 1}, {"#/model"}),
        ({"user_prompt": "x"}, {"#/user_prompt"}),
        ({"on_disconnect": "cancel"}, {"#/on_disconnect"}),
        ({"system_prompt": 1, "extra": 1}, {"#/system_prompt", "#/extra"}),
        ({"hyperparameters": {"temperature": 9}}, {"#/hyperparameters/temperature"}),
        ({"hyperparameters": {"top_k": 4}}, {"#/hyperparameters/top_k"}),
        (
            {"model": 1, "hyperparameters": {"temperature": 9}},
            {"#/model", "#/hyperparameters/temperature"},
        ),
        (
            {"model": "gpt-99", "hyperparameters": {"temperature": 9}},
            {"#/model", "#/hyperparameters/temperature"},
        ),
    ],
)
async def test_faults_are_told_all_at_once(served: Running, body: Json, pointers: set[str]) -> None:
    first = await say(served, "one", "eins")

    async with served.client.post(regeneration(first), json=body) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == pointers
    assert len(served.script.requests) == 1


@pytest.mark.parametrize(
    ("model", "slug"),
    [("gpt-99", "unknown-model"), ("llama-3.1-8b-instant", "model-unavailable")],
)
async def test_a_model_that_is_the_only_fault_has_a_problem_of_its_own(
    served: Running, model: str, slug: str
) -> None:
    first = await say(served, "one", "eins")

    async with served.client.post(regeneration(first), json={"model": model}) as response:
        await problem_of(response, 422, slug)


async def test_a_refused_regeneration_leaves_all_as_it_was(served: Running) -> None:
    first = await say(served, "one", "eins")
    before = await shown(served, first["conversation_id"], "?tree=true")
    served.script.next(Refusal(400, error_data("no")))

    async with served.client.post(regeneration(first)) as response:
        await problem_of(response, 502, "upstream-rejected")

    assert await shown(served, first["conversation_id"], "?tree=true") == before


# The window.


async def test_the_oldest_of_a_long_history_is_left_out_and_counted(served: Running) -> None:
    model = {"model": "allam-2-7b"}
    first = await say(served, "old " * 1200, "eins", **model)
    known = model | {"conversation_id": first["conversation_id"]}
    await say(served, "new", "zwei", **known)

    frames = await streamed(served, user_prompt="more " * 400, **known)

    assert frames[0].data["dropped_messages"] == 2
    assert prompt(served)[:2] == ["user: new", "assistant: zwei"]
    assert len((await shown(served, first["conversation_id"]))["messages"]) == 6


async def test_a_prompt_that_does_not_fit_by_itself_is_refused(served: Running) -> None:
    body = asked(model="allam-2-7b", user_prompt="word " * 5000)

    async with served.client.post("/api/chat", json=body) as response:
        await problem_of(response, 422, "context-too-long")

    assert served.script.requests == []
    assert (await listed(served))["items"] == []


@pytest.mark.parametrize("save", [True, False])
async def test_the_same_holds_for_a_system_prompt(served: Running, save: bool) -> None:
    body = asked(model="allam-2-7b", system_prompt="word " * 5000, save_conversation=save)

    async with served.client.post("/api/chat/stream", json=body) as response:
        await problem_of(response, 422, "context-too-long")
