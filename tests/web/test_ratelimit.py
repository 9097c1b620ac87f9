import re
from collections.abc import Mapping

import pytest
from aiohttp import ClientResponse
from web.outside import Held, Json, asked, conversation_about, ended, problem_of, said, start
from web.speaking import refused, speaking

from credentials import asked_by, entries
from service.core.quota import Quota, Rate, RateLimits
from service.simulator import Refusal, error_data
from service.web.ratelimit import limit_headers, policy_of
from support import Running, all_frames, running

STARTS = ["/api/chat/stream", "/api/chat", "/api/runs"]
ORIGIN = {"Origin": "http://localhost:3000"}
KEY = {"Idempotency-Key": "a-key"}


def told(response: ClientResponse) -> dict[str, str]:
    """What a response says of limits; what is left of a window as whether it is one."""
    found = {name: value for name, value in response.headers.items() if "limit" in name.lower()}
    if reset := found.pop("RateLimit-Reset", None):
        found["RateLimit-Reset"] = "soon" if 0 < int(reset) <= 60 else reset
    return found


async def ask(
    served: Running,
    path: str = "/api/chat",
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> tuple[int, dict[str, str]]:
    """The status and what is said of limits."""
    async with served.client.post(path, json=asked(**members), headers=headers) as response:
        await response.read()
        return response.status, told(response)


class TestHeaders:
    def test_say_what_is_left_and_for_how_long(self) -> None:
        assert limit_headers(Quota(60, 59, 100.5), "60;w=60", 70.25) == {
            "RateLimit-Limit": "60",
            "RateLimit-Remaining": "59",
            "RateLimit-Reset": "31",
            "RateLimit-Policy": "60;w=60",
        }

    @pytest.mark.parametrize("now", [100.0, 101.0])
    def test_say_nothing_of_a_window_that_has_ended(self, now: float) -> None:
        assert limit_headers(Quota(60, 59, 100), "60;w=60", now) == {}

    @pytest.mark.parametrize(
        ("limits", "policy"),
        [
            (RateLimits(), ""),
            (RateLimits(tokens=Rate(9, 600)), '9;w=600;comment="tokens"'),
            (
                RateLimits(Rate(60, 60), Rate(200_000, 86_400)),
                '60;w=60;comment="requests", 200000;w=86400;comment="tokens"',
            ),
        ],
    )
    def test_name_every_limit_that_has_a_window(self, limits: RateLimits, policy: str) -> None:
        assert policy_of(limits) == policy


class TestWhatIsToldOfAStart:
    @pytest.mark.parametrize("path", STARTS)
    async def test_is_what_is_left(self, path: str) -> None:
        async with running(RATE_LIMIT_REQUESTS="2/minute") as served:
            answers = [await ask(served, path) for _ in range(3)]

        common = {
            "RateLimit-Limit": "2",
            "RateLimit-Reset": "soon",
            "RateLimit-Policy": '2;w=60;comment="requests"',
        }
        assert answers == [
            (202 if path == "/api/runs" else 200, common | {"RateLimit-Remaining": "1"}),
            (202 if path == "/api/runs" else 200, common | {"RateLimit-Remaining": "0"}),
            (429, common | {"RateLimit-Remaining": "0"}),
        ]

    async def test_is_told_of_a_regeneration_too(self) -> None:
        async with running(RATE_LIMIT_REQUESTS="2/minute") as served:
            conversation_id = await conversation_about(served, "Why?")
            path = f"/api/conversations/{conversation_id}"
            async with served.client.get(path) as shown:
                message_id = (await shown.json())["messages"][-1]["message_id"]
            async with served.client.post(f"{path}/messages/{message_id}/regenerate") as response:
                await response.read()

        assert told(response)["RateLimit-Remaining"] == "0"

    async def test_counts_the_tokens_of_an_answer_that_is_whole(self) -> None:
        async with running(RATE_LIMIT_TOKENS="9/10 minutes") as served:
            served.script.next(said("five"), said("five"))
            answers = [await ask(served) for _ in range(3)]

        assert [status for status, _ in answers] == [200, 200, 429]
        assert [headers["RateLimit-Remaining"] for _, headers in answers] == ["1", "0", "0"]
        assert {headers["RateLimit-Policy"] for _, headers in answers} == {
            '9;w=600;comment="tokens"'
        }

    async def test_is_nothing_without_limits(self, served: Running) -> None:
        assert await ask(served) == (200, {})

    @pytest.mark.parametrize("path", ["/health", "/api/models", "/api/conversations"])
    async def test_is_not_told_of_what_starts_nothing(self, path: str) -> None:
        async with running(RATE_LIMIT_REQUESTS="2/minute") as served:
            async with served.client.get(path) as response:
                assert told(response) == {}

    async def test_is_not_told_where_groq_refused(self) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute") as served:
            served.script.next(Refusal(400, error_data("no")), Refusal(400, error_data("no")))
            answers = [await ask(served, path) for path in ("/api/chat", "/api/chat/stream")]
            let_in, _ = await ask(served)

        assert answers == [(502, {}), (502, {})]
        assert let_in == 200


class TestARunTooMany:
    @pytest.mark.parametrize("path", STARTS)
    async def test_is_told_which_limit_it_is_and_when_to_ask_again(self, path: str) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute") as served:
            await ask(served)
            async with served.client.post(path, json=asked()) as response:
                problem = await problem_of(response, 429, "rate-limited")

        assert re.fullmatch(
            r"the limit of requests, 1 per minute, is reached; it resets in (59|60) s",
            problem["detail"],
        )
        assert 59 <= problem["retry_after"] <= 60
        assert (
            response.headers["Retry-After"]
            == response.headers["RateLimit-Reset"]
            == str(problem["retry_after"])
        )
        assert "X-Run-Id" not in response.headers
        assert len(served.script.requests) == 1

    async def test_is_none_when_it_is_the_same_one_again(self) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute") as served:
            answers = [await ask(served, path, KEY) for path in STARTS * 2]
            refused_status, _ = await ask(served)

        assert {status for status, _ in answers} == {200, 202}
        assert {headers["RateLimit-Remaining"] for _, headers in answers} == {"0"}
        assert refused_status == 429

    async def test_may_be_one_of_too_many_at_once(self) -> None:
        held = Held()
        async with running(RATE_LIMIT_CONCURRENT_RUNS="1") as served:
            served.script.next(held.answer)
            run_id = await start(served)
            async with served.client.post("/api/chat", json=asked()) as response:
                problem = await problem_of(response, 429, "rate-limited")
            held.let_go()
            await ended(served, run_id)
            again = await ask(served)

        assert "runs at once, 1," in problem["detail"]
        assert problem["retry_after"] == 1
        assert told(response) == {
            "RateLimit-Limit": "1",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": "soon",
        }
        assert again == (200, {})

    @pytest.mark.parametrize(("requests", "tokens"), [("1/day", "1000/day"), ("9/day", "1/day")])
    async def test_is_one_of_its_owner_only(self, requests: str, tokens: str) -> None:
        keys = entries("ann", "bob", "eve")
        async with running(
            API_KEYS=keys, RATE_LIMIT_REQUESTS=requests, RATE_LIMIT_TOKENS=tokens
        ) as served:
            owners = ["ann", "bob", "ann", "eve", "bob", "eve"]
            statuses = [(await ask(served, headers=asked_by(one)))[0] for one in owners]

        assert statuses == [200, 200, 429, 200, 429, 429]

    async def test_is_one_of_an_owner_whoever_starts_it_where(self) -> None:
        keys = entries("ann", "bob")
        async with running(API_KEYS=keys, RATE_LIMIT_REQUESTS="1/minute") as served:
            await ask(served, headers=asked_by("ann"))
            async with speaking(served, headers=asked_by("ann")) as peer:
                await peer.chat("a")
                await refused(peer, 429, "rate-limited", "a")
            async with speaking(served, headers=asked_by("bob")) as peer:
                await peer.chat("a")
                await peer.hear_end("a")
            refused_status, _ = await ask(served, headers=asked_by("bob"))

        assert refused_status == 429

    async def test_at_once_is_one_of_its_owner_only(self) -> None:
        held = Held()
        keys = entries("ann", "bob")
        async with running(API_KEYS=keys, RATE_LIMIT_CONCURRENT_RUNS="1") as served:
            served.script.next(held.answer)
            async with speaking(served, headers=asked_by("ann")) as peer:
                await peer.chat("a")
                await peer.hear_to("started")
                refused_status, _ = await ask(served, headers=asked_by("ann"))
                bobs = await ask(served, headers=asked_by("bob"))
                held.let_go()
                await peer.hear_end("a")
            anns = await ask(served, headers=asked_by("ann"))

        assert refused_status == 429
        assert [bobs, anns] == [(200, {}), (200, {})]

    async def test_is_none_of_who_is_nobody(self) -> None:
        async with running(API_KEYS=entries("ann"), RATE_LIMIT_REQUESTS="1/minute") as served:
            nobodys = [await ask(served) for _ in range(3)]
            anns, _ = await ask(served, headers=asked_by("ann"))

        assert nobodys == [(401, {})] * 3
        assert anns == 200

    async def test_does_not_hinder_reading(self) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute", RATE_LIMIT_TOKENS="1/day") as served:
            run_id = await start(served)
            state = await ended(served, run_id)
            async with served.client.get(f"/api/runs/{run_id}/events") as events:
                frames = await all_frames(events)

        assert state["status"] == "finished"
        assert told(events) == {}
        assert frames[-1].data["finished"]

    async def test_is_told_on_a_socket_too(self) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute") as served, speaking(served) as peer:
            await peer.chat("a")
            await peer.hear_end("a")
            await peer.chat("b")
            problem: Json = await refused(peer, 429, "rate-limited", "b")
            await peer.nothing_more()

        assert "requests, 1 per minute," in problem["detail"]
        assert 59 <= problem["retry_after"] <= 60


class TestBrowsers:
    @pytest.mark.parametrize(("before", "status"), [(0, 200), (1, 429)])
    async def test_may_read_all_that_is_told(self, before: int, status: int) -> None:
        async with running(RATE_LIMIT_REQUESTS="1/minute") as served:
            for _ in range(before):
                await ask(served)
            async with served.client.post("/api/chat", json=asked(), headers=ORIGIN) as response:
                await response.read()

        exposed = response.headers["Access-Control-Expose-Headers"].split(",")
        assert response.status == status
        assert len(told(response)) == 4
        assert set(told(response)) <= set(exposed)
        assert "Retry-After" in exposed
