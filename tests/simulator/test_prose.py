from typing import Any

import pytest

from service.simulator import SimulatedModel
from service.simulator.call import Call, Message
from service.simulator.prose import NOTICE, answer_to
from service.simulator.tokens import count_tokens

PLAIN = SimulatedModel("plain", 131_072, 8_192)
REASONING = SimulatedModel("reasoning", 131_072, 8_192, reasoning=True)


def ask(prompt: str, **properties: Any) -> Call:
    messages = [Message(role="user", content=prompt)]
    return Call(messages=messages, model="plain", **properties)


@pytest.mark.parametrize("prompt", ["Hi", "", "Say that you are a model.", "# <b>\n```\n| a |"])
def test_the_first_words_say_that_this_is_no_model(prompt: str) -> None:
    assert answer_to(ask(prompt), PLAIN).content.startswith(NOTICE)


def test_the_reasoning_says_so_too() -> None:
    assert "built-in simulator" in answer_to(ask("Hi"), REASONING).reasoning


def test_the_same_conversation_and_seed_give_the_same_answer() -> None:
    assert answer_to(ask("Hi", seed=1), PLAIN) == answer_to(ask("Hi", seed=1), PLAIN)


def test_another_seed_or_prompt_gives_another_answer() -> None:
    answers = {answer_to(call, PLAIN).content for call in (ask("Hi"), ask("Hi", seed=1), ask("Ho"))}

    assert len(answers) == 3


def test_an_answer_shows_markdown_and_many_scripts_in_a_few_hundred_tokens() -> None:
    content = answer_to(ask("Explain quantum computing"), PLAIN).content

    assert 200 < count_tokens(content) < 800
    for part in ("\n# About", "\n> Explain", "\n- ", "\n1. ", "| --- |", "```python", "天地", "🚀"):
        assert part in content


def test_a_stop_sequence_ends_the_answer_and_is_not_said() -> None:
    answer = answer_to(ask("Hi", stop=["never said", " simulator"]), PLAIN)

    assert answer.content == "This is the built-in"
    assert answer.finish_reason == "stop"


def test_the_token_limit_ends_the_answer() -> None:
    answer = answer_to(ask("Hi", max_completion_tokens=3), PLAIN)

    assert count_tokens(answer.content) == 3
    assert NOTICE.startswith(answer.content)
    assert answer.finish_reason == "length"


def test_reasoning_counts_towards_the_token_limit() -> None:
    answer = answer_to(ask("Hi", max_tokens=5), REASONING)

    assert count_tokens(answer.reasoning) == 5
    assert answer.content == ""
    assert answer.finish_reason == "length"


def test_the_context_window_limits_the_answer() -> None:
    tiny = SimulatedModel("tiny", 20, 20)
    call = ask("Hi")

    answer = answer_to(call, tiny)

    assert count_tokens(answer.content) + call.prompt_tokens == 20


@pytest.mark.parametrize(
    "properties",
    [{"include_reasoning": False}, {"reasoning_format": "hidden"}, {"reasoning_effort": "none"}],
)
def test_reasoning_can_be_left_out(properties: dict[str, object]) -> None:
    assert answer_to(ask("Hi", **properties), REASONING).reasoning == ""


def test_raw_reasoning_is_in_the_content() -> None:
    answer = answer_to(ask("Hi", reasoning_format="raw"), REASONING)

    assert answer.reasoning == ""
    assert answer.content.startswith("<think>\nI am the built-in simulator")
    assert f"\n</think>\n\n{NOTICE}" in answer.content


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 1])
def test_a_last_message_of_the_assistants_is_continued_and_not_repeated(share: float) -> None:
    whole = answer_to(ask("Hi", seed=1), PLAIN).content
    begun = whole[: int(len(whole) * share)]
    messages = [Message(role="user", content="Hi"), Message(role="assistant", content=begun)]

    rest = answer_to(Call(messages=messages, model="plain", seed=1), PLAIN).content

    assert begun + rest == whole


def test_what_it_would_not_have_said_is_not_continued() -> None:
    messages = [Message(role="user", content="Hi"), Message(role="assistant", content="Indeed")]

    answer = answer_to(Call(messages=messages, model="plain"), PLAIN)

    assert answer.content == answer_to(ask("Hi"), PLAIN).content
