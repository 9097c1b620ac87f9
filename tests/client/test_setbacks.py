"""Does the client get on, and stop, whatever else goes wrong at the same time?"""

import pytest
from aiohttp import web
from client.driving import check_exact, page, url_of
from client.scripted import HANG, STARTED, Answer, frame, scripted
from client.test_malformed import frames, messages, proof
from web.outside import Held, Json, said

from credentials import entries, key_of
from support import Running, running

pytestmark = pytest.mark.servers

CANCELLED = proof("") | {"finish_reason": "cancelled"}
STOPPED = [frame(1, "finished", **CANCELLED)]


def refused(slug: str, retry_after: float, status: int = 503) -> web.Response:
    problem = {"type": f"/problems/{slug}", "status": status, "retry_after": retry_after}
    return web.json_response(problem, status=status, content_type="application/problem+json")


def answered(**members: object) -> web.Response:
    return web.json_response(members)


def paths(asked: list[Json]) -> list[str]:
    return [one["path"] for one in asked]


# What cannot be said.


async def test_a_start_that_cannot_be_read_is_refused_and_those_beside_it_go_on(
    served: Running, transport: str
) -> None:
    held = Held()
    served.script.always(held.answer)

    async with page(url_of(served), transport) as told:
        told.start()
        told.start("half", user_prompt="Hello \ud83d")
        end = await told.end("half")
        held.let_go()
        await told.end()

    assert (end["failure"]["slug"], end["failure"]["status"]) == ("malformed-json", 400)
    check_exact(told, held.text)
    assert len(served.script.requests) == 1


async def test_what_json_cannot_say_is_told_at_once() -> None:
    async with page("http://127.0.0.1:1") as told:
        told.do("startUnsayable")
        thrown = await told.hears("thrown")

    assert thrown["name"] == "TypeError"


# When to come back.


async def test_a_socket_that_only_answers_pings_is_not_taken_for_one_that_is_well() -> None:
    lost: list[Json | str | int] = [{"type": "pong"}, 1011]
    async with scripted(sockets=[*5 * [lost], messages("Hello")]) as service:
        async with page(service.url) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")
    waits = told.told("connection", state="waiting")
    assert [wait["attempt"] for wait in waits] == [1, 2, 3, 4, 5]


async def test_a_socket_that_allows_one_message_at_a_time_is_enough() -> None:
    async with running(SOCKET_MESSAGES_BURST="1", SOCKET_MESSAGES_PER_SECOND="5") as served:
        served.script.always(said("Hello"))
        async with page(url_of(served)) as told:
            for name in ("a", "b"):
                told.start(name)
            for name in ("a", "b"):
                await told.end(name)

    for name in ("a", "b"):
        check_exact(told, "Hello", name)
    assert not told.told("connection", state="waiting")


async def test_a_run_that_has_to_wait_holds_up_no_other() -> None:
    good = frames("Hello")
    async with scripted([refused("overloaded", 30), good[:1], good[1:]]) as service:
        async with page(service.url, "sse") as told:
            told.do("resume", run="late", id="late")
            await told.hears("connection", state="waiting")
            told.start()
            await told.end()
            assert not told.told("end", run="late")

    check_exact(told, "Hello")


async def test_those_who_are_told_when_to_come_back_do_not_come_at_one_moment() -> None:
    slow = {"backoffSeconds": 20, "backoffMaxSeconds": 20}
    async with scripted([refused("draining", 30)]) as service:
        async with page(service.url, "sse", timing=slow) as told:
            told.start()
            wait = await told.hears("connection", state="waiting")

    assert 30 < wait["retryInSeconds"] <= 50


async def test_a_run_that_would_have_to_wait_for_too_long_is_given_up_at_once() -> None:
    async with scripted([refused("overloaded", 86400)]) as service:
        async with page(service.url, "sse") as told:
            told.do("resume", run="a", id="run")
            end = await told.end()

    assert (end["failure"]["slug"], end["failure"]["retryAfter"]) == ("overloaded", 86400)


async def test_a_clock_that_is_set_back_holds_nothing_up(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    served.script.next(said("Hello"))

    async with page(url_of(served)) as told:
        told.start()
        await told.event(1)
        told.do("clock", seconds=-3600)
        told.do("cancel", run="a")
        assert (await told.end())["status"] == "cancelled"
        told.start("b")
        await told.end("b")

    check_exact(told, "Hello", "b")


# Who asks.


async def test_a_token_that_is_new_each_time_is_refused_all_the_same(transport: str) -> None:
    async with running(API_KEYS=entries("ada")) as served:
        async with page(url_of(served), transport, tokens=["wrong."]) as told:
            told.start()
            end = await told.end()

    assert end["failure"]["slug"] == "unauthorized"
    assert len(told.told("connection", state="waiting")) <= 1


async def test_a_token_that_never_comes_is_asked_for_again(transport: str) -> None:
    soon = {"silenceSeconds": 1, "connectSeconds": 1}
    async with running(API_KEYS=entries("ada")) as served:
        served.script.always(said("Hello"))
        tokens = ["", key_of("ada")]
        async with page(url_of(served), transport, tokens=tokens, timing=soon) as told:
            told.start()
            await told.end()

    check_exact(told, "Hello")


# Taken back.


async def test_a_run_is_cancelled_in_place_of_its_own_response() -> None:
    begun: Answer = [frame(0, "started", **STARTED), HANG]
    async with scripted([begun, answered(), STOPPED]) as service:
        async with page(service.url, "sse") as told:
            told.at(0, "cancel")
            told.start()
            end = await told.end()

    assert end["status"] == "cancelled"
    assert paths(service.asked)[1:] == ["/api/runs/run/cancel", "/api/runs/run/events"]
    assert service.asked[2]["Last-Event-ID"] == "run:0"


@pytest.mark.parametrize("status", [500, 502])
async def test_a_cancel_that_fails_is_repeated(status: int) -> None:
    begun: Answer = [frame(0, "started", **STARTED), HANG]
    fault = web.Response(status=status, text="oops")
    async with scripted([begun, fault, answered(), STOPPED]) as service:
        async with page(service.url, "sse") as told:
            told.at(0, "cancel")
            told.start()
            end = await told.end()

    assert end["status"] == "cancelled"
    assert paths(service.asked).count("/api/runs/run/cancel") == 2


async def test_a_cancel_that_is_refused_can_be_asked_for_again() -> None:
    begun: Answer = [frame(0, "started", **STARTED), HANG]
    no = web.Response(status=405, text="no")
    async with scripted(
        [
            begun,
            no,
            [frame(1, content="x"), HANG],
            answered(),
            [frame(2, "finished", **proof("x") | {"finish_reason": "cancelled"})],
        ]
    ) as service:
        async with page(service.url, "sse") as told:
            told.at(0, "cancel")
            told.at(1, "cancel")
            told.start()
            end = await told.end()

    assert (end["status"], end["content"]) == ("cancelled", "x")


async def test_a_cancel_does_not_wait_for_its_turn() -> None:
    stopped = [frame(0, "finished", **CANCELLED)]
    async with scripted([refused("overloaded", 30), answered(), stopped]) as service:
        async with page(service.url, "sse") as told:
            told.do("resume", run="a", id="run")
            await told.hears("connection", state="waiting")
            told.do("cancel", run="a")
            end = await told.end()

    assert end["status"] == "cancelled"


async def test_a_start_that_may_have_been_heard_is_not_called_cancelled_before_it_is() -> None:
    stopped = [frame(0, "finished", **CANCELLED)]
    answers: list[Answer] = [
        web.Response(status=502),
        refused("draining", 5),
        answered(run_id="run"),
        answered(),
    ]
    async with scripted([*answers, stopped]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            await told.hears("connection", state="waiting", attempt=2)
            told.do("cancel", run="a")
            end = await told.end()

    assert (end["status"], end["id"]) == ("cancelled", "run")
    assert paths(service.asked)[2:4] == ["/api/runs", "/api/runs/run/cancel"]


# Listeners that do things.


async def test_a_switch_as_soon_as_the_id_is_known_reads_the_run_once() -> None:
    good = frames("Hello")
    async with scripted([[*good[:1], HANG]], [messages("Hello")]) as service:
        async with page(service.url, "sse") as told:
            told.start()
            told.do("moveOnChange", run="a", to="websocket")
            await told.end()

    check_exact(told, "Hello")
    assert [one.get("type") for one in service.asked].count("resume") == 1


async def test_a_start_that_is_taken_back_before_it_is_asked_for_is_not_asked_for() -> None:
    async with scripted(sockets=[messages("Hello")]) as service:
        async with page(service.url) as told:
            told.start("big", user_prompt="x" * 10**6)
            told.start("other")
            told.do("leaveAtEnd", run="big", other="other")
            await told.end("other")
            told.start()
            await told.hears("connection", state="open")

    asked = [one for one in service.asked if one["type"] == "chat"]
    assert "other" not in {one["id"] for one in asked}
    assert [one["id"] for one in asked] in ([], ["r3"])
