import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import Clock, catalogue
from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    Hyperparameters,
    Message,
    Question,
)
from service.core.errors import Kind, ServiceError
from service.core.plan import Plan, plan_question, plan_regeneration
from service.core.ports import Role, Turn
from service.core.request import RegenerateRequest, UnsupportedParameters, parse_chat

CATALOGUE = catalogue()
REJECT = UnsupportedParameters.REJECT


def question(name: str, parent: str | None = None) -> Question:
    return Question(f"q-{name}", parent, f"{name}?", "then")


def answer(
    name: str,
    parent: str,
    *,
    model: str = "small",
    system_prompt: str | None = None,
    hyperparameters: Hyperparameters | None = None,
) -> Answer:
    return Answer(
        f"a-{name}",
        parent,
        f"{name}!",
        "then",
        model,
        AnswerStatus.COMPLETE,
        system_prompt=system_prompt,
        hyperparameters=hyperparameters or {},
    )


def conversation(*messages: Message) -> Conversation:
    return Conversation("c", "Title", "then", "then", messages[-1].message_id, messages)


KEPT = conversation(
    question("one"),
    answer("one", "q-one", system_prompt="Be brief."),
    question("two", "a-one"),
    answer("two", "q-two", model="thinker", hyperparameters={"stop": ("END",), "top_p": 0.5}),
    question("other", "a-one"),
    answer("other", "q-other"),
)


def planned(kept: Conversation | None = None, **members: object) -> Plan:
    value = {"model": "small", "user_prompt": "New?"} | members
    request, model, fitted = parse_chat(value, CATALOGUE, REJECT)
    return plan_question(request, model, fitted, kept, Clock().stamps)


def replanned(message_id: str, kept: Conversation = KEPT, **members: object) -> Plan:
    request = RegenerateRequest(**members)  # type: ignore[arg-type]  # as a test gives them
    return plan_regeneration(request, kept, message_id, CATALOGUE, REJECT, Clock().stamps)


def turns(plan: Plan) -> list[str]:
    return [turn.content for turn in plan.prompt.turns]


def refused(kept: Conversation, parent: str) -> ServiceError:
    with pytest.raises(ServiceError) as raised:
        planned(kept, conversation_id="c", parent_message_id=parent)
    return raised.value


class TestAQuestion:
    def test_that_begins_a_conversation_gives_it_a_title(self) -> None:
        plan = planned(system_prompt="Be kind.", hyperparameters={"stop": ["END"]})

        assert plan.prompt.turns == (Turn(Role.SYSTEM, "Be kind."), Turn(Role.USER, "New?"))
        assert plan.prompt.hyperparameters == {"stop": ("END",)}
        assert plan.title == "New?"
        assert plan.question == Question("id-000001", None, "New?", "2025-01-01T00:00:00.000Z")
        assert plan.answer == Answer(
            "id-000002",
            "id-000001",
            "",
            "2025-01-01T00:00:00.000Z",
            "small",
            AnswerStatus.STREAMING,
            system_prompt="Be kind.",
            hyperparameters={"stop": ("END",)},
        )

    def test_continues_the_active_branch(self) -> None:
        plan = planned(KEPT, conversation_id="c")

        assert turns(plan) == ["Be brief.", "one?", "one!", "other?", "other!", "New?"]
        assert plan.question is not None
        assert plan.question.parent_message_id == "a-other"
        assert plan.title is None

    def test_continues_from_an_earlier_answer(self) -> None:
        plan = planned(KEPT, conversation_id="c", parent_message_id="a-two")

        assert turns(plan) == ["Be brief.", "one?", "one!", "two?", "two!", "New?"]

    def test_takes_the_place_of_the_first_question(self) -> None:
        plan = planned(KEPT, conversation_id="c", parent_message_id="root")

        assert turns(plan) == ["New?"]
        assert plan.question is not None
        assert plan.question.parent_message_id is None
        assert plan.title is None

    @pytest.mark.parametrize(
        ("given_prompt", "sent"), [(None, "Be brief."), ("Be kind.", "Be kind."), ("", "one?")]
    )
    def test_has_the_last_system_prompt_of_its_branch_unless_it_has_its_own(
        self, given_prompt: str | None, sent: str
    ) -> None:
        plan = planned(KEPT, conversation_id="c", system_prompt=given_prompt)

        assert turns(plan)[0] == sent
        assert plan.answer.system_prompt == given_prompt

    def test_does_not_begin_below_a_question(self) -> None:
        problem = refused(KEPT, "q-two").problem

        assert problem.kind is Kind.VALIDATION_ERROR
        assert [fault.pointer for fault in problem.faults] == ["#/parent_message_id"]

    def test_does_not_begin_below_what_is_not_there(self) -> None:
        assert refused(KEPT, "a-nowhere").problem.kind is Kind.MESSAGE_NOT_FOUND

    def test_leaves_room_for_the_tokens_asked_for_and_counts_what_is_left_out(self) -> None:
        long = answer("one", "q-one")
        kept = conversation(
            question("one"), Answer("a-one", "q-one", "word " * 3000, "t", "m", long.status)
        )

        roomy = planned(kept, conversation_id="c", hyperparameters={"max_tokens": 10})
        tight = planned(kept, conversation_id="c", hyperparameters={"max_tokens": 4096})

        assert (roomy.dropped, tight.dropped) == (0, 2)
        assert turns(tight) == ["New?"]

    def test_too_long_for_the_window_is_refused(self) -> None:
        with pytest.raises(ServiceError) as raised:
            planned(user_prompt="word " * 10_000)
        assert raised.value.problem.kind is Kind.CONTEXT_TOO_LONG


class TestARegeneration:
    def test_asks_the_old_question_as_the_old_answer_was_asked(self) -> None:
        plan = replanned("a-two")

        assert turns(plan) == ["Be brief.", "one?", "one!", "two?"]
        assert plan.prompt.model.id == "thinker"
        assert plan.answer.parent_message_id == "q-two"
        assert plan.answer.message_id not in {m.message_id for m in KEPT.messages}
        assert (plan.question, plan.title) == (None, None)

    def test_leaves_out_what_the_model_does_not_take_and_names_it(self) -> None:
        plan = replanned("a-two")

        assert plan.prompt.hyperparameters == {"top_p": 0.5}
        assert plan.ignored == ("stop",)

    def test_may_be_asked_of_another_model(self) -> None:
        plan = replanned("a-two", model="small")

        assert plan.prompt.model.id == plan.answer.model == "small"
        assert plan.prompt.hyperparameters == {"top_p": 0.5, "stop": ("END",)}

    def test_has_the_hyperparameters_that_are_given_and_no_others(self) -> None:
        plan = replanned("a-two", hyperparameters={"temperature": 1})

        assert plan.prompt.hyperparameters == plan.answer.hyperparameters == {"temperature": 1}
        assert plan.ignored == ()

    @pytest.mark.parametrize(
        ("given_prompt", "sent", "kept_with_it"),
        [
            (None, "Be brief.", "Be brief."),
            ("Be kind.", "Be kind.", "Be kind."),
            ("", "one?", ""),
        ],
    )
    def test_has_the_system_prompt_of_the_old_answer_unless_it_has_its_own(
        self, given_prompt: str | None, sent: str, kept_with_it: str | None
    ) -> None:
        plan = replanned("a-one", system_prompt=given_prompt)

        assert turns(plan)[0] == sent
        assert plan.answer.system_prompt == kept_with_it

    def test_with_hyperparameters_at_fault_is_refused_with_all_of_them(self) -> None:
        with pytest.raises(ServiceError) as raised:
            replanned("a-one", hyperparameters={"top_p": 2, "x": 1})
        pointers = [fault.pointer for fault in raised.value.problem.faults]
        assert pointers == ["#/hyperparameters/top_p", "#/hyperparameters/x"]

    @pytest.mark.parametrize("message_id", ["q-one", "nowhere"])
    def test_of_what_is_no_answer_is_refused(self, message_id: str) -> None:
        with pytest.raises(ServiceError) as raised:
            replanned(message_id)
        assert raised.value.problem.kind is Kind.MESSAGE_NOT_FOUND

    def test_of_an_answer_whose_model_is_gone_is_refused(self) -> None:
        kept = conversation(question("one"), answer("one", "q-one", model="old"))

        with pytest.raises(ServiceError) as raised:
            replanned("a-one", kept)
        assert raised.value.problem.kind is Kind.MODEL_UNAVAILABLE
        assert replanned("a-one", kept, model="small").prompt.model.id == "small"


@given(st.lists(st.sampled_from(["temperature", "top_p", "seed"]), unique=True))
def test_what_was_asked_once_is_asked_again(names: list[str]) -> None:
    values = dict.fromkeys(names, 1)
    kept = conversation(question("one"), answer("one", "q-one", hyperparameters=values))

    plan = replanned("a-one", kept)

    assert (plan.prompt.hyperparameters, plan.ignored) == (values, ())
