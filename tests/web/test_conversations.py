import re

import pytest
from web.outside import (
    Held,
    asked,
    asking,
    chat,
    contents,
    conversation_about,
    ended,
    events_of,
    listed,
    problem_of,
    shown,
    start,
    state_of,
)

from service.simulator import NoResponse, Text
from support import Running

UNKNOWN = "0198c2f0-0000-7000-8000-000000000000"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


async def titles(served: Running, query: str = "") -> list[str]:
    return [item["title"] for item in (await listed(served, query))["items"]]


async def test_there_are_none_at_first(served: Running) -> None:
    assert await listed(served) == {"items": [], "next_cursor": None}


async def test_a_conversation_in_the_list(served: Running) -> None:
    conversation_id = await conversation_about(served, "What is a log?")

    page = await listed(served)

    (item,) = page["items"]
    assert item.keys() == {
        "conversation_id",
        "title",
        "created_at",
        "updated_at",
        "message_count",
        "model",
    }
    assert (item["conversation_id"], item["title"]) == (conversation_id, "What is a log?")
    assert (item["message_count"], item["model"]) == (2, "openai/gpt-oss-20b")
    assert re.fullmatch(MOMENT, item["created_at"])
    assert re.fullmatch(MOMENT, item["updated_at"])
    assert page["next_cursor"] is None


async def test_the_one_written_last_comes_first(served: Running) -> None:
    first = await conversation_about(served, "one")
    await conversation_about(served, "two")
    before = await titles(served)
    await chat(served, conversation_id=first, user_prompt="more")

    assert (before, await titles(served)) == (["two", "one"], ["one", "two"])


async def test_a_conversation_as_a_whole(served: Running) -> None:
    served.script.next(Text("Yes", reasoning="because"))
    answer = await chat(served, user_prompt="Is it?")

    conversation = await shown(served, answer["conversation_id"])

    assert {"conversation_id", "title", "created_at", "updated_at", "active_run_id"} < set(
        conversation
    )
    assert (conversation["title"], conversation["active_run_id"]) == ("Is it?", None)
    question, reply = conversation["messages"]
    assert question.keys() == {
        "role",
        "content",
        "message_id",
        "parent_message_id",
        "created_at",
    }
    assert (question["role"], question["content"]) == ("user", "Is it?")
    assert question["parent_message_id"] is None
    assert (reply["role"], reply["content"], reply["reasoning"]) == ("assistant", "Yes", "because")
    assert reply["message_id"] == answer["message_id"]
    assert reply["parent_message_id"] == question["message_id"]
    assert (reply["model"], reply["status"]) == ("openai/gpt-oss-20b", "complete")
    assert (reply["finish_reason"], reply["usage"]) == ("stop", answer["usage"])


async def test_a_conversation_in_the_middle_of_an_answer(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with asking(served) as frames:
        started, _ = await anext(frames), await anext(frames)
        conversation = await shown(served, str(started.data["conversation_id"]))

    reply = conversation["messages"][-1]
    assert conversation["active_run_id"] == started.data["run_id"]
    assert (reply["status"], reply["finish_reason"]) == ("streaming", None)
    assert reply["message_id"] == started.data["message_id"]
    assert conversation["messages"][0]["message_id"] == started.data["user_message_id"]


async def test_the_active_run_can_be_read_to_its_end(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with asking(served) as frames:
        started = await anext(frames)

    conversation = await shown(served, str(started.data["conversation_id"]))
    held.let_go()
    rest = await events_of(served, conversation["active_run_id"])

    assert rest[-1].data["finish_reason"] == "stop"


# Titles.


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("short", "short"),
        ("  two\n\n lines\t", "two lines"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 59 + "…"),
    ],
)
async def test_the_first_question_makes_the_title(
    served: Running, question: str, title: str
) -> None:
    await conversation_about(served, question)

    assert await titles(served) == [title]


@pytest.mark.parametrize("title", ["New", "x" * 200, "🧑🏽‍💻 \u0000 \"'</script>"])
async def test_a_title_can_be_changed(served: Running, title: str) -> None:
    conversation_id = await conversation_about(served, "one")
    before = (await listed(served))["items"][0]

    async with served.client.patch(
        f"/api/conversations/{conversation_id}", json={"title": title}
    ) as response:
        changed = await response.json()

    assert response.status == 200
    assert changed == before | {"title": title}
    assert (await shown(served, conversation_id))["title"] == title


async def test_a_title_can_be_changed_while_an_answer_is_written(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with asking(served) as frames:
        conversation_id = str((await anext(frames)).data["conversation_id"])
        async with served.client.patch(
            f"/api/conversations/{conversation_id}", json={"title": "New"}
        ) as response:
            assert response.status == 200
        held.let_go()
        async for _ in frames:
            pass

    conversation = await shown(served, conversation_id)
    assert (conversation["title"], contents(conversation)) == ("New", ["Hello", "Hello"])


# One run at a time.


@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat", "/api/runs"])
async def test_a_conversation_with_a_run_is_busy(served: Running, path: str) -> None:
    held = Held()
    served.script.next(held.answer)

    async with asking(served) as frames:
        started = await anext(frames)
        conversation_id = str(started.data["conversation_id"])
        async with served.client.post(
            path, json=asked(conversation_id=conversation_id)
        ) as response:
            await problem_of(response, 409, "conversation-busy")
        async with served.client.post(
            f"/api/conversations/{conversation_id}/messages/{started.data['message_id']}/regenerate"
        ) as response:
            await problem_of(response, 409, "conversation-busy")
        held.let_go()
        async for _ in frames:
            pass

    assert (await chat(served, conversation_id=conversation_id))["finish_reason"] == "stop"


async def test_it_is_busy_as_soon_as_a_run_is_accepted_here(served: Running) -> None:
    conversation_id = await conversation_about(served, "one")
    served.script.next(NoResponse())

    run_id = await start(served, conversation_id=conversation_id)
    async with served.client.post(
        "/api/chat", json=asked(conversation_id=conversation_id)
    ) as response:
        await problem_of(response, 409, "conversation-busy")
    await served.client.post(f"/api/runs/{run_id}/cancel")

    assert (await shown(served, conversation_id))["active_run_id"] is None


async def test_the_next_question_may_come_as_soon_as_the_last_answer_is_done(
    served: Running,
) -> None:
    conversation_id = await conversation_about(served, "one")

    for _ in range(5):
        async with asking(served, conversation_id=conversation_id) as frames:
            async for frame in frames:
                if frame.data["finished"]:
                    break

    assert len((await shown(served, conversation_id))["messages"]) == 12


async def test_a_busy_conversation_may_be_read_for_its_history(served: Running) -> None:
    conversation_id = await conversation_about(served, "one", "first")
    gate = Held()
    served.script.next(gate.answer, Text("aside"))
    run_id = await start(served, conversation_id=conversation_id, user_prompt="two")

    aside = await chat(
        served, conversation_id=conversation_id, user_prompt="aside?", save_conversation=False
    )
    gate.let_go()
    await ended(served, run_id)

    assert (aside["content"], aside["conversation_id"]) == ("aside", None)
    assert contents(await shown(served, conversation_id)) == ["one", "first", "two", "Hello"]
    sent = served.script.requests[-1].body["messages"]
    assert isinstance(sent, list)
    assert [turn["content"] for turn in sent][:2] == ["one", "first"]
    assert sent[-1]["content"] == "aside?"


async def test_what_is_not_saved_is_nowhere(served: Running) -> None:
    await chat(served, save_conversation=False)

    assert (await listed(served))["items"] == []


async def test_a_refusal_leaves_a_conversation_as_it_was(served: Running) -> None:
    conversation_id = await conversation_about(served, "one")
    before = await shown(served, conversation_id), await listed(served)
    served.script.next(NoResponse())

    run_id = await start(served, conversation_id=conversation_id, user_prompt="two")
    await served.client.post(f"/api/runs/{run_id}/cancel")

    assert (await shown(served, conversation_id), await listed(served)) == before


# Deletion.


async def test_a_deleted_conversation_is_gone(served: Running) -> None:
    conversation_id = await conversation_about(served, "one")

    async with served.client.delete(f"/api/conversations/{conversation_id}") as response:
        body = await response.read()
    async with served.client.delete(f"/api/conversations/{conversation_id}") as again:
        await problem_of(again, 404, "conversation-not-found")

    assert (response.status, body) == (204, b"")
    assert (await listed(served))["items"] == []


async def test_deleting_cancels_a_run_that_is_under_way(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    async with asking(served) as frames:
        started, _ = await anext(frames), await anext(frames)
        run_id, conversation_id = started.data["run_id"], started.data["conversation_id"]
        async with served.client.delete(f"/api/conversations/{conversation_id}") as response:
            status = response.status
        rest = [frame async for frame in frames]

    assert status == 204
    assert rest[-1].data["finish_reason"] == "cancelled"
    assert (await state_of(served, str(run_id)))["content"] == "Hel"
    assert (await listed(served))["items"] == []
    await served.script.disconnected(0)


async def test_deleting_cancels_a_run_that_groq_has_not_accepted(served: Running) -> None:
    conversation_id = await conversation_about(served, "one")
    served.script.next(NoResponse())
    run_id = await start(served, conversation_id=conversation_id)
    await served.script.request_count(2)

    async with served.client.delete(f"/api/conversations/{conversation_id}") as response:
        assert response.status == 204

    assert (await state_of(served, run_id))["status"] == "cancelled"
    assert (await listed(served))["items"] == []
    await served.script.disconnected(1)


# Pages.


async def test_pages_have_all_and_each_once(served: Running) -> None:
    made = [await conversation_about(served, f"number {n}") for n in range(7)]

    pages, query = [], "?limit=3"
    while query:
        page = await listed(served, query)
        pages.append([item["conversation_id"] for item in page["items"]])
        cursor = page["next_cursor"]
        query = f"?limit=3&cursor={cursor}" if cursor else ""

    assert [len(page) for page in pages] == [3, 3, 1]
    assert sum(pages, []) == list(reversed(made))  # noqa: RUF017  # three short lists


async def test_a_page_has_20_at_most_unless_told(served: Running) -> None:
    for n in range(21):
        await conversation_about(served, f"number {n}")

    usual, all_of_them = await listed(served), await listed(served, "?limit=100")

    assert (len(usual["items"]), len(all_of_them["items"])) == (20, 21)
    assert usual["next_cursor"]
    assert all_of_them["next_cursor"] is None


async def test_a_full_last_page_has_no_cursor(served: Running) -> None:
    for n in range(2):
        await conversation_about(served, f"number {n}")

    assert (await listed(served, "?limit=2"))["next_cursor"] is None


# Search.


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ("quantum", ["Quantum physics"]),
        ("QUANTUM", ["Quantum physics"]),
        ("quan", ["Quantum physics"]),
        ("uantum", []),
        ("physics quantum", ["Quantum physics"]),
        ("quantum cooking", []),
        ("entangle", ["Quantum physics"]),
        ("straße", ["Straßenkarte"]),
        ("STRASSE", ["Straßenkarte"]),
        ("soup", ["Cooking"]),
        ("世", ["Cooking"]),
        ("%", ["Straßenkarte", "Cooking", "Quantum physics"]),
        ("x" * 200, []),
    ],
)
async def test_it_finds_words_and_beginnings_of_words(
    served: Running, sought: str, found: list[str]
) -> None:
    await conversation_about(served, "Quantum physics", "Entanglement, of course")
    await conversation_about(served, "Cooking", "A soup of 世界")
    await conversation_about(served, "Straßenkarte")

    async with served.client.get("/api/conversations", params={"q": sought}) as response:
        page = await response.json()

    assert [item["title"] for item in page["items"]] == found


async def test_a_search_has_pages_too(served: Running) -> None:
    for question in ("apple one", "pear", "apple two", "apple three"):
        await conversation_about(served, question)

    first = await listed(served, "?q=apple&limit=2")
    second = await listed(served, f"?q=apple&limit=2&cursor={first['next_cursor']}")

    found = [item["title"] for page in (first, second) for item in page["items"]]
    assert found == ["apple three", "apple two", "apple one"]
    assert second["next_cursor"] is None


async def test_a_new_title_can_be_found(served: Running) -> None:
    conversation_id = await conversation_about(served, "one")
    await served.client.patch(f"/api/conversations/{conversation_id}", json={"title": "Zebra"})

    assert await titles(served, "?q=zebra") == ["Zebra"]


# Export.


@pytest.mark.parametrize("query", ["", "?format=json"])
async def test_an_export_as_json_has_everything(served: Running, query: str) -> None:
    answer = await chat(served, user_prompt="Is it?")
    conversation_id = answer["conversation_id"]

    async with served.client.get(f"/api/conversations/{conversation_id}/export{query}") as response:
        exported = await response.json()
    tree = await shown(served, conversation_id, "?tree=true")

    assert response.content_type == "application/json"
    assert exported["messages"] == tree["messages"]
    assert exported["title"] == "Is it?"
    disposition = response.headers["Content-Disposition"]
    assert disposition == f'attachment; filename="conversation-{conversation_id}.json"'


async def test_an_export_as_markdown_can_be_read(served: Running) -> None:
    conversation_id = await conversation_about(served, "Ist das schön?", "Ja, *sehr*")

    path = f"/api/conversations/{conversation_id}/export?format=markdown"
    async with served.client.get(path) as response:
        text = await response.text()

    assert response.headers["Content-Type"] == "text/markdown; charset=utf-8"
    assert response.headers["Content-Disposition"].endswith(f'{conversation_id}.md"')
    assert text.startswith("# Ist das schön?\n")
    assert text.index("Ist das schön?", 5) < text.index("Ja, *sehr*")
