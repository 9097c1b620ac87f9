import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from fakes import catalogue
from service.core.catalogue import Model
from service.core.context import ROOM_FOR_ANSWER, estimate, fit_history, typical_tokens
from service.core.conversation import Answer, AnswerStatus, Message, Question, Usage
from service.core.errors import Kind, ServiceError
from service.core.ports import Role, Turn


def model_with(window: int | None) -> Model:
    model = catalogue().find("small")
    assert model
    return evolve(model, context_window=window)


def exchange(
    number: int, asked: str, said: str, *, status: AnswerStatus = AnswerStatus.PARTIAL
) -> tuple[Question, Answer]:
    before = f"a{number - 1}" if number else None
    question = Question(f"q{number}", before, asked, "now")
    return question, Answer(f"a{number}", f"q{number}", said, "now", "small", status)


texts = st.text(min_size=1, max_size=80) | st.integers(1, 3000).map("word ".__mul__)
branches = st.lists(st.tuples(texts, texts), max_size=8).map(
    lambda said: tuple(m for n, (asked, told) in enumerate(said) for m in exchange(n, asked, told))
)


class TestFitting:
    @given(
        st.integers(1, 8192),
        branches,
        st.none() | texts,
        texts,
        st.none() | st.integers(1, 8192),
    )
    def test_keeps_the_newest_whole_turns_that_fit_the_window(
        self,
        window: int,
        branch: tuple[Message, ...],
        system_prompt: str | None,
        question: str,
        max_tokens: int | None,
    ) -> None:
        model = model_with(window)
        if typical_tokens(question, system_prompt or "") > window:
            with pytest.raises(ServiceError) as raised:
                fit_history(
                    model,
                    branch,
                    system_prompt=system_prompt,
                    question=question,
                    max_tokens=max_tokens,
                )
            assert raised.value.problem.kind is Kind.CONTEXT_TOO_LONG
            return

        history = fit_history(
            model, branch, system_prompt=system_prompt, question=question, max_tokens=max_tokens
        )

        system = [Turn(Role.SYSTEM, system_prompt)] if system_prompt else []
        roles = [Role.USER, Role.ASSISTANT]
        kept = branch[history.dropped :]
        said = [Turn(roles[n % 2], message.content) for n, message in enumerate(kept)]
        assert list(history.turns) == [*system, *said, Turn(Role.USER, question)]
        assert history.dropped % 2 == 0
        answer_room = min(max_tokens or ROOM_FOR_ANSWER, window // 2)
        room = (
            window
            - answer_room
            - sum(estimate(turn.content) for turn in [*system, *history.turns[-1:]])
        )
        assert not kept or sum(estimate(message.content) for message in kept) <= room
        wider = branch[max(history.dropped - 2, 0) :]
        assert wider == kept or sum(estimate(message.content) for message in wider) > room

    @pytest.mark.parametrize(("missing", "dropped"), [(0, 0), (1, 2)])
    def test_a_turn_that_fits_exactly_is_kept(self, missing: int, dropped: int) -> None:
        branch = exchange(0, "a" * 300, "b" * 300)
        needed = sum(estimate(message.content) for message in branch) + estimate("Why?") + 10

        history = fit_history(
            model_with(needed - missing), branch, system_prompt=None, question="Why?", max_tokens=10
        )

        assert history.dropped == dropped

    @given(branches)
    def test_keeps_everything_where_no_window_is_known(self, branch: tuple[Message, ...]) -> None:
        history = fit_history(
            model_with(None), branch, system_prompt=None, question="Why?", max_tokens=None
        )

        assert history.dropped == 0
        assert len(history.turns) == len(branch) + 1

    def test_an_answer_of_which_nothing_came_is_not_sent(self) -> None:
        branch = (*exchange(0, "Why?", ""), *exchange(1, "Why not?", "Because."))

        history = fit_history(
            model_with(8192), branch, system_prompt=None, question="So?", max_tokens=None
        )

        assert [turn.content for turn in history.turns] == ["Why?", "Why not?", "Because.", "So?"]
        assert history.dropped == 0

    def test_a_complete_answer_counts_what_groq_counted_without_its_reasoning(self) -> None:
        question, answer = exchange(0, "Why?", "word " * 1000, status=AnswerStatus.COMPLETE)
        counted = evolve(answer, usage=Usage(10, 500, 510, reasoning_tokens=490))

        by_estimate = fit_history(
            model_with(1000), (question, answer), system_prompt=None, question="So?", max_tokens=10
        )
        by_count = fit_history(
            model_with(1000), (question, counted), system_prompt=None, question="So?", max_tokens=10
        )

        assert (by_estimate.dropped, by_count.dropped) == (2, 0)

    def test_a_compound_answer_counts_no_more_than_its_bytes(self) -> None:
        question, answer = exchange(0, "Why?", "Because.", status=AnswerStatus.COMPLETE)
        tools_counted = evolve(answer, usage=Usage(10, 50_000, 50_010))

        history = fit_history(
            model_with(1000),
            (question, tools_counted),
            system_prompt=None,
            question="So?",
            max_tokens=10,
        )

        assert history.dropped == 0

    def test_a_prompt_too_long_says_how_much_there_is_and_fits(self) -> None:
        with pytest.raises(ServiceError) as raised:
            fit_history(
                model_with(100), (), system_prompt="s" * 300, question="q" * 300, max_tokens=None
            )

        assert "216 tokens" in raised.value.problem.detail
        assert "holds 100" in raised.value.problem.detail


class TestEstimate:
    @given(st.text(max_size=300), st.text(max_size=300))
    def test_is_never_less_than_what_is_typical_and_grows_with_the_text(
        self, text: str, more: str
    ) -> None:
        assert typical_tokens(text) <= estimate(text) <= estimate(text + more)
        assert estimate(text) <= 8 + len(text.encode())

    @pytest.mark.parametrize(
        ("text", "tokens"), [("", 8), ("abc" * 10, 18), ("漢字", 11), ("a" * 3 + "é", 10)]
    )
    def test_counts_ascii_and_other_bytes_apart(self, text: str, tokens: int) -> None:
        assert estimate(text) == tokens
