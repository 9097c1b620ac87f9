import asyncio

from web.outside import Held, active_run, asked, begun, chat, problem_of, said, shown, state_of

from service.simulator import Cut, Pause, Raw, Text, chunk
from support import Running, running


async def test_it_answers_with_one_object_when_the_run_ends(served: Running) -> None:
    served.script.next(Text("whole", reasoning="because"))

    async with served.client.post("/api/chat", json=asked()) as response:
        answer = await response.json()

    assert response.status == 200
    assert response.content_type == "application/json"
    assert answer.keys() == {
        "run_id",
        "conversation_id",
        "message_id",
        "model",
        "content",
        "reasoning",
        "finish_reason",
        "usage",
        "cost",
        "timing",
    }
    assert answer["run_id"] == response.headers["X-Run-Id"]
    assert (answer["content"], answer["reasoning"]) == ("whole", "because")
    assert (answer["finish_reason"], answer["model"]) == ("stop", "openai/gpt-oss-20b")
    assert answer["usage"].keys() == {
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "reasoning_tokens",
        "cached_tokens",
    }
    assert answer["timing"].keys() == {"time_to_first_token", "total_time"}


async def test_the_answer_is_in_the_conversation(served: Running) -> None:
    answer = await chat(served)

    conversation = await shown(served, answer["conversation_id"])

    assert conversation["messages"][-1]["message_id"] == answer["message_id"]
    assert conversation["messages"][-1]["content"] == answer["content"]


async def test_without_saving_there_is_no_conversation(served: Running) -> None:
    answer = await chat(served, save_conversation=False)

    assert answer["conversation_id"] is None


async def test_the_run_can_be_read_meanwhile_and_after(served: Running) -> None:
    served.script.next(said("said"))

    answer = await chat(served)

    assert (await state_of(served, answer["run_id"]))["content"] == "said"


async def test_a_failure_after_the_beginning_is_a_status_here(served: Running) -> None:
    served.script.next(Raw([chunk({"content": "Hel"}), Pause(0.02), Cut()]))

    async with served.client.post("/api/chat", json=asked()) as response:
        await problem_of(response, 502, "upstream-error")

    state = await state_of(served, response.headers["X-Run-Id"])
    assert (state["status"], state["content"]) == ("failed", "Hel")


async def test_a_cancelled_run_is_answered_with_what_there_is(served: Running) -> None:
    held = Held()
    served.script.next(held.answer)
    waiting = asyncio.create_task(chat(served))
    run_id = await active_run(served)

    await begun(served, run_id, held.first)
    await served.client.post(f"/api/runs/{run_id}/cancel")
    answer = await waiting

    assert (answer["run_id"], answer["content"]) == (run_id, "Hel")
    assert (answer["finish_reason"], answer["usage"]) == ("cancelled", None)


async def test_a_run_that_takes_long_is_waited_for() -> None:
    async with running(KEEPALIVE_INTERVAL="0.01", SEND_TIMEOUT="0.01") as served:
        served.script.next(Raw([Pause(0.1), *said("late").pieces]))

        assert (await chat(served))["content"] == "late"
