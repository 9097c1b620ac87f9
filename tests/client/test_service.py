"""Does the client get on with a service that asks who it is, goes away, or has other answers?"""

import asyncio

import pytest
from client.driving import check_exact, page, url_of
from web.outside import Held, chat, said, until
from web.speaking import sockets_open

from credentials import entries, key_of
from service.web.keys import SOCKETS
from support import Running, running

pytestmark = pytest.mark.servers


# Who asks.


async def test_a_token_lets_in(transport: str) -> None:
    async with running(API_KEYS=entries("ada")) as served:
        served.script.always(said("Hello"))
        async with page(url_of(served), transport, token=key_of("ada")) as told:
            told.at(0, "cut")
            told.start()
            await told.end()
            models = await told.call("models")

    check_exact(told, "Hello")
    assert models["answer"]["items"]


@pytest.mark.parametrize("token", [None, "wrong", "wr\u00f6ng"])
async def test_a_wrong_token_is_told_at_once_and_a_new_one_lets_in(
    transport: str, token: str | None
) -> None:
    async with running(API_KEYS=entries("ada")) as served:
        served.script.always(said("Hello"))
        async with page(url_of(served), transport, token=token) as told:
            told.start("refused")
            refused = await told.end("refused")
            called = await told.call("models")
            told.do("token", token=key_of("ada"))
            told.start()
            await told.end()

    assert (refused["failure"]["slug"], refused["failure"]["status"]) == ("unauthorized", 401)
    assert called["problem"]["slug"] == "unauthorized"
    check_exact(told, "Hello")
    assert not told.told("connection", state="waiting")


async def test_a_token_that_has_run_out_is_asked_for_again(transport: str) -> None:
    async with running(API_KEYS=entries("ada")) as served:
        served.script.always(said("Hello"))
        async with page(url_of(served), transport, tokens=["old", key_of("ada")]) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")


# A service that goes away.


async def test_a_draining_service_says_its_answers_to_the_end(transport: str) -> None:
    held = Held()
    async with running() as served:
        served.script.next(held.answer)
        async with page(url_of(served), transport) as told:
            told.start()
            await told.event(1)
            drained = asyncio.create_task(served.service.chat.drain(10))
            served.service.app[SOCKETS].announce_draining()
            await until(lambda: served.service.chat.draining)
            told.start("late")
            await told.hears("connection", state="waiting")
            held.let_go()
            await told.end()
            await drained
            told.do("leave", run="late")

    check_exact(told, held.text)


async def test_a_service_that_is_gone_has_not_got_the_run(transport: str) -> None:
    held = Held()
    async with running() as first, running() as second:
        first.script.next(held.answer)
        async with page(url_of(first), transport) as told:
            told.start()
            await told.event(1)
            run_id = told.events()[0]["run_id"]
        async with page(url_of(second), transport) as told:
            told.do("resume", run="a", id=run_id, after=1, content=held.first)
            end = await told.end()

    assert (end["failure"]["slug"], end["failure"]["status"]) == ("run-not-found", 404)
    assert end["content"] == held.first


async def test_a_service_that_stops_ends_the_answer_and_keeps_what_was_said(
    transport: str,
) -> None:
    held = Held()
    async with running() as served:
        served.script.next(held.answer)
        async with page(url_of(served), transport) as told:
            told.start()
            await told.event(1)
            await served.service.chat.drain(0)
            end = await told.end()

    assert (end["status"], end["failure"]["slug"]) == ("failed", "interrupted")
    assert end["content"] == held.first


# What stays open.


async def test_the_socket_serves_the_next_run_too(served: Running) -> None:
    served.script.always(said("Hello"))

    async with page(url_of(served)) as told:
        for name in ("a", "b"):
            told.start(name)
            await told.end(name)
        assert sockets_open(served) == 1
        told.do("transport", transport="sse")
        await told.hears("connection", state="idle")
    await until(lambda: sockets_open(served) == 0)

    states = [one["state"] for one in told.told("connection")]
    assert states == ["connecting", "open", "idle"]


# The rest of the contract.


async def test_conversations_are_listed_shown_changed_exported_and_deleted(
    served: Running,
) -> None:
    answer = await chat(served, user_prompt="A question about tides")
    conversation = answer["conversation_id"]

    async with page(url_of(served)) as told:
        listed = await told.call("conversations", {"q": "tides", "limit": 5})
        shown = await told.call("conversation", conversation, {"tree": True})
        renamed = await told.call("rename", conversation, "Moon & tides")
        activated = await told.call("activate", conversation, answer["message_id"])
        exported = await told.call("exportConversation", conversation, "markdown")
        state = await told.call("runState", answer["run_id"])
        health = await told.call("health")
        deleted = await told.call("deleteConversation", conversation)
        missing = await told.call("conversation", conversation)
        wrong = await told.call("conversations", {"limit": 0})

    assert [item["conversation_id"] for item in listed["answer"]["items"]] == [conversation]
    assert [message["role"] for message in shown["answer"]["messages"]] == ["user", "assistant"]
    assert renamed["answer"]["title"] == "Moon & tides"
    assert activated["answer"]["conversation_id"] == conversation
    assert exported["answer"]["filename"].endswith(".md")
    assert "Moon & tides" in exported["answer"]["text"]
    assert state["answer"]["status"] == "finished"
    assert health["answer"]["status"] == "healthy"
    assert deleted["answer"] is None
    assert missing["problem"]["slug"] == "conversation-not-found"
    assert [fault["pointer"] for fault in wrong["problem"]["errors"]] == ["#/query/limit"]


async def test_a_service_that_cannot_be_reached_is_a_problem() -> None:
    async with page("http://127.0.0.1:1") as told:
        called = await told.call("models")

    assert (called["problem"]["slug"], called["problem"]["status"]) == ("network", 0)
