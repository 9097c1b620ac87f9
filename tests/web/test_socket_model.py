"""Any sequence of messages is answered as the model of the contract says."""

from collections.abc import AsyncIterator
from typing import assert_never

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from web.outside import Json, asked
from web.protocol import (
    MOST_RUNS,
    About,
    Chat,
    Garbage,
    LetGo,
    Model,
    Resume,
    Step,
    Unknown,
    by_id,
    reply_of,
)
from web.speaking import Peer, speaking

from support import Running, running

pytestmark = pytest.mark.asyncio(loop_scope="module")

ABSENT = "0198c2f0-0000-7000-8000-000000000000"
BAD_MESSAGES = 4400

ids = st.sampled_from(["a", "b", "c", "d"])
numbers = st.integers(0, 4)
unknown: st.SearchStrategy[dict[str, object]] = st.sampled_from(
    [{}, {"type": None}, {"type": "Chat"}, {"type": "ping", "x": 1}, {"type": "auth", "token": "x"}]
)
step: st.SearchStrategy[Step] = st.one_of(
    st.builds(Chat, ids, st.sampled_from([True, True, False])),
    st.builds(Resume, ids, numbers, st.integers(-1, 4)),
    st.builds(About, st.sampled_from(["cancel", "leave"]), ids),
    st.builds(LetGo, numbers),
    st.builds(Garbage, st.sampled_from([1, 2, 1, 2, 3])),
    st.builds(Unknown, unknown),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[Running]:
    async with running(
        SOCKET_MAX_RUNS=str(MOST_RUNS),
        SOCKET_MESSAGES_PER_SECOND="1000000",
        SOCKET_MESSAGES_BURST="1000000",
    ) as service:
        yield service


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(step, max_size=25))
async def test_any_sequence_is_answered_as_the_contract_says(
    shared: Running, steps: list[Step]
) -> None:
    model = Model()

    async with speaking(shared) as peer:
        for taken in steps:
            expected = model.replies(taken)
            await take(shared, peer, model, taken)
            heard = [await peer.hear() for _ in expected]
            learn(model, heard)

            assert by_id([reply_of(message) for message in heard]) == by_id(expected)
            if model.closed:
                assert await peer.closed() == BAD_MESSAGES
                break
            await peer.nothing_more()
    for run in model.runs:
        run.held.let_go()


async def take(served: Running, peer: Peer, model: Model, taken: Step) -> None:
    """Do what a step says."""
    match taken:
        case Chat(id=name, fit=fit):
            if fit:
                served.script.next(*(run.held.answer for run in model.runs if not run.run_id))
            await peer.chat(name, **({} if fit else {"hyperparameters": {"top_p": 2}}))
        case Resume(id=name, run=number, after=after):
            run_id = model.runs[number].run_id if number < len(model.runs) else ABSENT
            await peer.say("resume", id=name, run_id=run_id, after=after)
        case About(kind=kind, id=name):
            await peer.say(kind, id=name)
        case LetGo(run=number):
            if number < len(model.runs):
                model.runs[number].held.let_go()
        case Garbage(count=count):
            for _ in range(count):
                await peer.socket.send_str("[]")
        case Unknown(members=members):
            await peer.socket.send_json(members)
        case _:
            assert_never(taken)


def learn(model: Model, heard: list[Json]) -> None:
    """Keep the id that a run has been given."""
    for message in heard:
        if message["type"] == "started" and not model.runs[-1].run_id:
            model.runs[-1].run_id = message["run_id"]


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.one_of(
            st.text(max_size=50),
            st.binary(max_size=50),
            st.dictionaries(
                st.sampled_from(["type", "id", "request", "run_id", "after", "idempotency_key"]),
                st.one_of(
                    st.sampled_from(["chat", "resume", "cancel", "leave", "ping", "a"]),
                    st.none(),
                    st.integers(),
                    st.floats(allow_nan=False, allow_infinity=False),
                    st.text(max_size=70),
                    st.just(asked(model="nope")),
                    st.lists(st.integers(), max_size=2),
                ),
            ),
        ),
        max_size=10,
    )
)
async def test_anything_at_all_is_answered_and_never_by_a_defect(
    shared: Running, messages: list[str | bytes | Json]
) -> None:
    async with speaking(shared) as peer:
        for message in messages:
            match message:
                case str():
                    await peer.socket.send_str(message)
                case bytes():
                    await peer.socket.send_bytes(message)
                case dict():
                    await peer.socket.send_json(message)
            answer = await peer.hear()

            assert answer["type"] in ("error", "pong")
            assert answer.get("error", {}).get("status", 200) < 500
            await peer.nothing_more()
