"""What is refused of what is asked about conversations."""

import pytest
from web.outside import (
    asked,
    conversation_about,
    faults_of,
    problem_of,
    shown,
)

from support import Running

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNKNOWN = "0198c2f0-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "?tree=true"),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/export"),
        ("POST", f"/messages/{UNKNOWN}/regenerate"),
    ],
)
async def test_an_unknown_conversation_is_not_found(
    shared: Running, method: str, path: str
) -> None:
    change = {"title": "x"} if method == "PATCH" else None

    async with shared.client.request(
        method, f"/api/conversations/{UNKNOWN}{path}", json=change
    ) as response:
        await problem_of(response, 404, "conversation-not-found")


@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("path", ["/api/chat/stream", "/api/chat", "/api/runs"])
async def test_an_unknown_conversation_cannot_be_continued(
    shared: Running, path: str, save: bool
) -> None:
    for unknown in (UNKNOWN, "", "x" * 1000):
        body = asked(conversation_id=unknown, save_conversation=save)
        async with shared.client.post(path, json=body) as response:
            await problem_of(response, 404, "conversation-not-found")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": ""}, "#/title"),
        ({"title": "x" * 201}, "#/title"),
        ({"title": 1}, "#/title"),
        ({"active_message_id": 1}, "#/active_message_id"),
        ({"name": "x"}, "#/name"),
        ({}, "#"),
        ({"title": None, "active_message_id": None}, "#"),
    ],
)
async def test_another_change_is_refused(
    shared: Running, change: dict[str, object], pointer: str
) -> None:
    conversation_id = await conversation_about(shared, "one")

    async with shared.client.patch(
        f"/api/conversations/{conversation_id}", json=change
    ) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert pointer in faults_of(problem)
    assert (await shown(shared, conversation_id))["title"] == "one"


async def test_all_faults_of_a_change_are_told(shared: Running) -> None:
    conversation_id = await conversation_about(shared, "one")
    change = {"title": "", "active_message_id": 1, "more": 1}

    async with shared.client.patch(
        f"/api/conversations/{conversation_id}", json=change
    ) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == {"#/title", "#/active_message_id", "#/more"}


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("limit=0", {"#/query/limit"}),
        ("limit=101", {"#/query/limit"}),
        ("limit=-1", {"#/query/limit"}),
        ("limit=x", {"#/query/limit"}),
        ("limit=1.0", {"#/query/limit"}),
        ("limit=", {"#/query/limit"}),
        ("limit=٣", {"#/query/limit"}),
        ("limit=%2B1", {"#/query/limit"}),
        ("cursor=x", {"#/query/cursor"}),
        ("cursor=W10", {"#/query/cursor"}),
        ("cursor=WzEsMl0", {"#/query/cursor"}),
        ("cursor=%F0%9F", {"#/query/cursor"}),
        ("cursor=é", {"#/query/cursor"}),
        ("q=" + "x" * 201, {"#/query/q"}),
        (
            "limit=x&cursor=x&q=" + "x" * 201,
            {"#/query/limit", "#/query/cursor", "#/query/q"},
        ),
    ],
)
async def test_a_wrong_query_is_told(shared: Running, query: str, pointers: set[str]) -> None:
    async with shared.client.get(f"/api/conversations?{query}") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == pointers


@pytest.mark.parametrize("tree", ["1", "yes", "", "TRUE"])
async def test_tree_is_true_or_false(shared: Running, tree: str) -> None:
    conversation_id = await conversation_about(shared, "one")

    async with shared.client.get(f"/api/conversations/{conversation_id}?tree={tree}") as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == {"#/query/tree"}


@pytest.mark.parametrize("name", ["", "pdf", "JSON"])
async def test_there_is_no_other_format(shared: Running, name: str) -> None:
    conversation_id = await conversation_about(shared, "one")

    async with shared.client.get(
        f"/api/conversations/{conversation_id}/export?format={name}"
    ) as response:
        problem = await problem_of(response, 422, "validation-error")

    assert set(faults_of(problem)) == {"#/query/format"}
