import json

import pytest
from web.outside import Held, asked, conversation_about, ended, faults_of, said, start
from web.speaking import check_whole, of, refused, said_in, speaking

from service.simulator import Raw, Refusal, Silence, error_data
from support import MODEL, Running, running

ABSENT = "0198c2f0-0000-7000-8000-000000000000"


async def test_the_welcome_comes_first_and_names_every_limit(served: Running) -> None:
    async with speaking(served) as peer:
        welcome = peer.welcome
        await peer.nothing_more()

    assert welcome == {
        "type": "welcome",
        "protocol": 1,
        "connection_id": welcome["connection_id"],
        "limits": {
            "runs": 16,
            "message_bytes": 1048576,
            "messages_per_second": 20,
            "messages_burst": 40,
        },
    }
    assert welcome["connection_id"]


async def test_limits_are_those_of_the_settings() -> None:
    async with (
        running(
            SOCKET_MAX_RUNS="3",
            MAX_BODY_BYTES="2048",
            SOCKET_MESSAGES_PER_SECOND="5",
            SOCKET_MESSAGES_BURST="7",
        ) as served,
        speaking(served) as peer,
    ):
        limits = peer.welcome["limits"]

    assert limits == {
        "runs": 3,
        "message_bytes": 2048,
        "messages_per_second": 5,
        "messages_burst": 7,
    }


async def test_a_chat_is_answered_by_the_events_of_its_run(served: Running) -> None:
    served.script.next(said("Hel", "lo"))

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_end("a")
        await peer.nothing_more()

    assert heard[0]["type"] == "started"
    assert heard[0]["model"] == MODEL
    assert {message["id"] for message in heard} == {"a"}
    assert [message["finished"] for message in heard[:-1]] == [False] * (len(heard) - 1)
    assert check_whole(heard) == "Hello"


async def test_events_are_those_of_the_other_transport_with_id_and_seq(served: Running) -> None:
    async with speaking(served) as peer:
        await peer.chat('ä"\\\n')
        heard = await peer.hear_end('ä"\\\n')
    async with served.client.get(f"/api/runs/{heard[0]['run_id']}/events") as response:
        body = (await response.read()).decode()

    blocks = [block.split("\n") for block in body.strip().split("\n\n")]
    payloads = [json.loads(data.removeprefix("data: ")) for data, _ in blocks]
    assert [{"id": 'ä"\\\n', "seq": seq} | data for seq, data in enumerate(payloads)] == heard


async def test_ping_is_answered_by_pong(served: Running) -> None:
    async with speaking(served) as peer:
        await peer.say("ping")

        assert await peer.hear() == {"type": "pong"}


async def test_leave_is_answered_by_left_and_nothing_more(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        (started, *_) = await peer.hear_to("delta")
        await peer.say("leave", id="a")
        left = await peer.hear()
        held.let_go()
        state = await ended(served, started["run_id"])
        await peer.nothing_more()

    assert left == {"type": "left", "id": "a"}
    assert (state["status"], state["content"]) == ("finished", "Hello")


async def test_cancel_ends_the_run_with_what_it_has_said(served: Running) -> None:
    served.script.next(Held().answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_to("delta")
        await peer.say("cancel", id="a")
        heard += await peer.hear_end("a")
        await peer.nothing_more()

    assert check_whole(heard) == "Hel"
    assert heard[-1]["finish_reason"] == "cancelled"
    await served.script.disconnected(0)


async def test_a_run_cancelled_before_groq_accepts_has_only_finished(served: Running) -> None:
    served.script.next(Raw([Silence()]), Refusal(503, error_data("later"), {"retry-after": "1"}))

    async with speaking(served) as peer:
        await peer.chat("held")
        await peer.hear_to("started")
        await peer.chat("b")
        await served.script.request_count(2)
        await peer.say("cancel", id="b")
        only = await peer.hear()

    assert (only["id"], only["seq"], only["type"]) == ("b", 0, "finished")
    assert only["finish_reason"] == "cancelled"


# What is refused.


async def test_other_refusals_are_those_of_http(served: Running) -> None:
    async with speaking(served) as peer:
        await peer.chat("a", model="nope")
        await refused(peer, 422, "unknown-model", "a")
        await peer.say("resume", id="a", run_id=ABSENT)
        await refused(peer, 404, "run-not-found", "a")
        await peer.chat("a", conversation_id=ABSENT)
        await refused(peer, 404, "conversation-not-found", "a")
        await peer.chat("a", user_prompt="word " * 200_000)
        await refused(peer, 422, "context-too-long", "a")
        await peer.nothing_more()

    assert served.script.requests == []


async def test_what_only_the_conversation_shows_points_into_the_message(served: Running) -> None:
    async with speaking(served) as peer:
        await peer.chat("a")
        started = (await peer.hear_end("a"))[0]
        await peer.chat(
            "b",
            conversation_id=started["conversation_id"],
            parent_message_id=started["user_message_id"],
        )
        problem = await refused(peer, 422, "validation-error", "b")

    assert faults_of(problem).keys() == {"#/request/parent_message_id"}


async def test_a_busy_conversation_is_refused(served: Running) -> None:
    conversation_id = await conversation_about(served, "first")
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer:
        await peer.chat("a", conversation_id=conversation_id)
        heard = await peer.hear_to("delta")
        await peer.chat("b", conversation_id=conversation_id)
        await refused(peer, 409, "conversation-busy", "b")
        held.let_go()
        heard += await peer.hear_end("a")

    assert check_whole(heard) == "Hello"


async def test_what_groq_refuses_is_an_error_and_frees_the_id(served: Running) -> None:
    served.script.next(Refusal(400, error_data("no")), said("yes"))

    async with speaking(served) as peer:
        await peer.chat("a")
        await refused(peer, 502, "upstream-rejected", "a")
        await peer.chat("a")
        heard = await peer.hear_end("a")

    assert check_whole(heard) == "yes"


async def test_a_failure_after_the_beginning_is_an_event(served: Running) -> None:
    served.script.next(Raw([b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n']))

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_end("a")

    assert heard[-1]["type"] == "failed"
    assert heard[-1]["error"]["type"] == "/problems/upstream-error"
    assert said_in(heard) == "a"


async def test_an_id_in_use_is_refused_and_its_run_goes_on(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)

    async with speaking(served) as peer:
        await peer.chat("a")
        heard = await peer.hear_to("delta")
        await peer.chat("a")
        problem = await refused(peer, 422, "validation-error", "a")
        await peer.say("resume", id="a", run_id=heard[0]["run_id"])
        await refused(peer, 422, "validation-error", "a")
        held.let_go()
        heard += await peer.hear_end("a")

    assert faults_of(problem).keys() == {"#/id"}
    assert check_whole(heard) == "Hello"
    assert len(served.script.requests) == 1


@pytest.mark.parametrize("kind", ["cancel", "leave"])
async def test_what_is_not_read_can_be_neither_cancelled_nor_left(
    served: Running, kind: str
) -> None:
    async with speaking(served) as peer:
        await peer.say(kind, id="a")
        await refused(peer, 404, "not-found", "a")
        await peer.chat("a")
        await peer.hear_end("a")
        await peer.say(kind, id="a")
        await refused(peer, 404, "not-found", "a")


async def test_null_is_as_if_it_were_not_there(served: Running) -> None:
    run_id = await start(served)

    async with speaking(served) as peer:
        await peer.say("resume", id="a", run_id=run_id, after=None)
        heard = await peer.hear_end("a")
        await peer.say("chat", id="b", request=asked(), idempotency_key=None)
        await peer.hear_end("b")

    assert check_whole(heard[1:])


async def test_a_key_attaches_to_the_run_that_it_started(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    message = {"request": asked(), "idempotency_key": "key"}

    async with speaking(served) as peer:
        await peer.say("chat", id="a", **message)
        await peer.hear_to("delta")
        await peer.say("chat", id="b", **message)
        heard = await peer.hear_to("delta", "b")
        await peer.say("chat", id="c", **message | {"request": asked(user_prompt="Other")})
        await refused(peer, 409, "idempotency-conflict", "c")
        held.let_go()
        heard += await peer.hear_end("a", "b")

    assert check_whole(of(heard, "b")) == "Hello"
    assert len(served.script.requests) == 1
