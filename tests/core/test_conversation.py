from collections.abc import Sequence

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from service.core.conversation import (
    TITLE_LENGTH,
    Answer,
    AnswerStatus,
    Conversation,
    Message,
    Question,
    system_prompt_of,
    title_of,
)


def message(number: int, parent: Message | None) -> Message:
    """Number 0, 1, 2, … of a conversation: an answer below a question, else a question."""
    if isinstance(parent, Question):
        name = f"m{number}"
        return Answer(name, parent.message_id, "", "now", f"model-{number}", AnswerStatus.COMPLETE)
    return Question(f"m{number}", parent.message_id if parent else None, "Why?", "now")


def conversation(messages: Sequence[Message], active: str = "m0") -> Conversation:
    return Conversation("c", "Title", "then", "now", active, tuple(messages))


@st.composite
def trees(draw: st.DrawFn) -> Conversation:
    messages: list[Message] = []
    for number in range(draw(st.integers(1, 15))):
        at = draw(st.integers(-1, number - 1))
        messages.append(message(number, None if at < 0 else messages[at]))
    return conversation(messages, draw(st.sampled_from(messages)).message_id)


def naive_path(kept: Conversation, message_id: str) -> list[str]:
    """Ids from the root to a message, by asking for one parent after the other."""
    found = kept.message(message_id)
    assert found
    above = naive_path(kept, found.parent_message_id) if found.parent_message_id else []
    return [*above, message_id]


class TestBranches:
    @given(trees(), st.data())
    def test_a_path_goes_from_the_root_down_to_the_message(
        self, kept: Conversation, data: st.DataObject
    ) -> None:
        end = data.draw(st.sampled_from(kept.messages)).message_id

        path = [message.message_id for message in kept.path_to(end)]

        assert path == naive_path(kept, end)

    @given(trees())
    def test_the_active_branch_ends_in_the_active_message(self, kept: Conversation) -> None:
        assert kept.active_branch() == kept.path_to(kept.active_message_id)

    @given(trees(), st.data())
    def test_the_latest_leaf_is_the_last_written_without_answers_of_those_below(
        self, kept: Conversation, data: st.DataObject
    ) -> None:
        top = data.draw(st.sampled_from(kept.messages)).message_id
        parents = {m.parent_message_id for m in kept.messages}
        below = [
            m.message_id
            for m in kept.messages
            if m.message_id not in parents and top in naive_path(kept, m.message_id)
        ]

        assert kept.latest_leaf(top) == below[-1]

    def test_there_is_no_path_to_a_message_that_is_not_there(self) -> None:
        assert conversation([message(0, None)]).path_to("another") == ()

    @given(trees())
    def test_a_summary_counts_all_branches_and_names_the_model_of_the_last_answer(
        self, kept: Conversation
    ) -> None:
        models = [m.model for m in kept.messages if isinstance(m, Answer)]

        summary = kept.summary()

        assert summary.message_count == len(kept.messages)
        assert summary.model == (models[-1] if models else None)
        assert (summary.conversation_id, summary.title) == ("c", "Title")


class TestSystemPrompt:
    @pytest.mark.parametrize(
        ("given_prompts", "expected"),
        [([], None), ([None], None), (["a", None], "a"), (["a", "b"], "b"), (["a", ""], "")],
    )
    def test_is_the_last_that_was_given(
        self, given_prompts: list[str | None], expected: str | None
    ) -> None:
        answer = Answer("a", "q", "", "now", "small", AnswerStatus.COMPLETE)
        path: list[Message] = [Question("q", None, "Why?", "now")]
        path += [evolve(answer, system_prompt=prompt) for prompt in given_prompts]

        assert system_prompt_of(path) == expected


class TestTitle:
    @given(st.text(min_size=1, max_size=200).filter(str.strip))
    def test_is_one_short_line_that_begins_like_the_question(self, question: str) -> None:
        title = title_of(question)

        assert 1 <= len(title) <= TITLE_LENGTH
        assert title == " ".join(title.split())
        assert " ".join(question.split()).startswith(title.removesuffix("…"))

    def test_is_cut_where_the_question_is_long(self) -> None:
        assert title_of("x" * 60) == "x" * 60
        assert title_of("x" * 61) == "x" * 59 + "…"
        assert title_of(" a\n\tb  c ") == "a b c"
