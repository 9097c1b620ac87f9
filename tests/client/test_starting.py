"""What becomes of a start that is lost, repeated, refused or taken back?"""

import pytest
from client.driving import check_exact, page, url_of
from web.outside import Held, active_run, begun, chat, contents, said, shown, state_of

from cutting import cutting
from service.simulator import NoResponse, Refusal, Script, error_data
from support import Running, running

pytestmark = pytest.mark.servers


# Lost.


async def test_a_start_whose_response_is_lost_is_the_same_run(served: Running) -> None:
    served.script.always(said("Hel", "lo"))
    assert served.client.port

    async with cutting(served.client.port, [0, 0, 0]) as network:
        async with page(network.url, "sse") as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    assert not network.cuts
    assert len(served.script.requests) == 1


async def test_a_connection_lost_before_the_first_event_is_the_same_run(
    served: Running, transport: str
) -> None:
    held = Held()
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        told.start()
        await served.script.request_count(1)
        for _ in range(3):
            told.do("cut")
            told.do("reconnect")
        held.let_go()
        await told.end()

    check_exact(told, held.text)
    assert len(served.script.requests) == 1


async def test_a_switch_before_the_first_event_is_the_same_run(
    served: Running, transport: str
) -> None:
    held = Held()
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        told.start()
        await served.script.request_count(1)
        for to in ("sse", "websocket", "sse"):
            told.do("transport", transport=to)
        held.let_go()
        await told.end()

    check_exact(told, held.text)
    assert len(served.script.requests) == 1


async def test_the_same_key_joins_the_same_run(served: Running, transport: str) -> None:
    held = Held()
    served.script.next(held.answer)
    request = {"model": "openai/gpt-oss-20b", "user_prompt": "Hello"}

    async with page(url_of(served), transport) as before:
        before.do("start", run="a", request=request, key="mine")
        await before.event(1)
    async with page(url_of(served), transport) as told:
        told.do("start", run="a", request=request, key="mine")
        await told.event(1)
        held.let_go()
        end = await told.end()

    check_exact(told, held.text)
    assert end["idempotencyKey"] == "mine"
    assert len(served.script.requests) == 1


# Regenerated.


async def test_a_regeneration_is_read_on_either_transport(served: Running, transport: str) -> None:
    held = Held()
    answer = await chat(served)
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        told.at(1, "cut")
        told.do(
            "regenerate",
            run="a",
            conversation=answer["conversation_id"],
            message=answer["message_id"],
        )
        await told.event(1)
        held.let_go()
        end = await told.end()

    check_exact(told, held.text)
    assert contents(await shown(served, answer["conversation_id"])) == ["Hello", held.text]
    assert end["messageId"] != answer["message_id"]
    assert len(served.script.requests) == 2


# Taken back.


async def test_a_run_that_was_never_sent_is_cancelled_at_once() -> None:
    async with page("http://127.0.0.1:1", timing={"backoffSeconds": 100}) as told:
        told.start()
        await told.hears("connection", state="waiting")
        told.do("cancel", run="a")
        end = await told.end()

    assert (end["status"], end["content"], end["id"]) == ("cancelled", "", None)
    assert told.told("connection")[-1]["state"] == "idle"


async def test_a_run_that_groq_has_not_accepted_is_cancelled(
    served: Running, transport: str
) -> None:
    served.script.next(NoResponse())

    async with page(url_of(served), transport) as told:
        told.start()
        await served.script.request_count(1)
        told.do("cancel", run="a")
        end = await told.end()

    assert (end["status"], end["lastSeq"]) == ("cancelled", 0)
    await served.script.disconnected(0)


async def test_a_run_is_cancelled_in_mid_answer(served: Running, transport: str) -> None:
    held = Held()
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        told.at(1, "cancel")
        told.start()
        end = await told.end()

    assert (end["status"], end["content"]) == ("cancelled", held.first)
    assert end["finished"]["finish_reason"] == "cancelled"
    await served.script.disconnected(0)


async def test_a_run_is_cancelled_though_the_connection_is_lost(
    served: Running, transport: str
) -> None:
    held = Held()
    served.script.next(held.answer)

    async with page(url_of(served), transport, timing={"backoffSeconds": 100}) as told:
        told.at(1, "cut")
        told.start()
        await told.hears("connection", state="waiting")
        told.do("cancel", run="a")
        end = await told.end()

    assert (end["status"], end["content"]) == ("cancelled", held.first)
    await served.script.disconnected(0)


async def test_a_regeneration_is_cancelled_as_soon_as_it_is_known(
    served: Running, transport: str
) -> None:
    held = Held()
    answer = await chat(served)
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        conversation, message = answer["conversation_id"], answer["message_id"]
        told.do("regenerate", run="a", conversation=conversation, message=message)
        told.do("cancel", run="a")
        end = await told.end()

    assert end["status"] == "cancelled"


async def test_a_regeneration_of_which_there_is_nothing_yet_is_cancelled(
    served: Running, transport: str
) -> None:
    served.script.next(said("Hello"), NoResponse())
    answer = await chat(served)

    async with page(url_of(served), transport) as told:
        conversation, message = answer["conversation_id"], answer["message_id"]
        told.do("regenerate", run="a", conversation=conversation, message=message)
        await served.script.request_count(2)
        told.do("cancel", run="a")
        end = await told.end()

    assert end["status"] == "cancelled"
    assert len(served.script.requests) == 2
    assert contents(await shown(served, conversation)) == ["Hello", "Hello"]


async def test_cancelling_what_has_ended_changes_nothing(served: Running, transport: str) -> None:
    served.script.next(said("Hello"))

    async with page(url_of(served), transport) as told:
        told.start()
        await told.end()
        told.do("cancel", run="a")
        told.do("leave", run="a")
        await told.call("models")

    check_exact(told, "Hello")


async def test_a_run_that_is_left_goes_on(served: Running, transport: str) -> None:
    held = Held()
    served.script.next(held.answer)

    async with page(url_of(served), transport) as told:
        told.at(1, "leave")
        told.start()
        told.do("iterate", run="a")
        end = await told.end()
        iterated = await told.hears("iterated")
        run_id = await active_run(served)
        held.let_go()
        await begun(served, run_id, held.text)

    assert (end["status"], end["failure"]["slug"]) == ("left", "left")
    assert (iterated["seqs"], iterated["thrown"]) == ([0, 1], None)
    assert (await state_of(served, run_id))["status"] == "finished"


# Refused.


async def test_faults_are_named_by_pointers_into_the_request(
    served: Running, transport: str
) -> None:
    async with page(url_of(served), transport) as told:
        told.start(hyperparameters={"temperature": 9, "stop": ["", "a"]})
        failure = (await told.end())["failure"]

    assert (failure["name"], failure["slug"], failure["status"]) == (
        "Problem",
        "validation-error",
        422,
    )
    assert {fault["pointer"] for fault in failure["errors"]} == {
        "#/hyperparameters/temperature",
        "#/hyperparameters/stop/0",
    }
    assert failure["requestId"]


async def test_what_groq_refuses_is_a_problem(served: Running, transport: str) -> None:
    served.script.next(Refusal(429, error_data("too many"), {"retry-after": "77"}))

    async with page(url_of(served), transport) as told:
        told.start()
        told.do("iterate", run="a")
        end = await told.end()
        iterated = await told.hears("iterated")

    assert (end["status"], end["content"]) == ("failed", "")
    assert end["failure"]["slug"] == "upstream-rate-limited"
    assert end["failure"]["retryAfter"] == 77
    assert iterated["thrown"]["slug"] == "upstream-rate-limited"


async def test_a_run_that_fails_keeps_its_text_and_says_why(
    served: Running, transport: str
) -> None:
    answer = said("Hello")
    served.script.next(type(answer)(answer.pieces[:1]))

    async with page(url_of(served), transport) as told:
        told.start()
        told.do("iterate", run="a")
        end = await told.end()
        iterated = await told.hears("iterated")

    assert (end["status"], end["content"]) == ("failed", "Hello")
    assert end["failure"]["slug"] == "upstream-error"
    assert iterated["seqs"] == [event["seq"] for event in told.events()]
    assert iterated["thrown"] == end["failure"]


async def test_a_request_that_is_too_big_is_refused_and_others_go_on(transport: str) -> None:
    held = Held()
    script = Script()
    script.always(held.answer)
    async with running(script, MAX_BODY_BYTES="2048") as served:
        async with page(url_of(served), transport) as told:
            told.start("small")
            await told.event(1, "small")
            told.start("big", user_prompt="x" * 2048)
            failure = (await told.end("big"))["failure"]
            held.let_go()
            await told.end("small")

    check_exact(told, held.text, "small")
    assert (failure["slug"], failure["status"]) == ("payload-too-large", 413)
    assert len(told.told("connection", state="waiting")) == 0


async def test_a_run_that_is_not_there_any_more_ends_with_its_problem(transport: str) -> None:
    async with running(RUN_RETENTION="0") as served:
        async with page(url_of(served), transport) as told:
            told.do("resume", run="none", id="0198c2f2-0000-7000-8000-000000000000")
            assert (await told.end("none"))["failure"]["slug"] == "run-not-found"
            told.start()
            run_id = (await told.end())["id"]
            told.do("resume", run="old", id=run_id)
            assert (await told.end("old"))["failure"]["slug"] == "run-expired"
