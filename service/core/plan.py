"""What will a run ask, and what will it store?"""

from collections.abc import Callable

from attrs import evolve, frozen

from service.core.catalogue import Catalogue, Model
from service.core.context import fit_history
from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    Message,
    Question,
    system_prompt_of,
    title_of,
)
from service.core.errors import Fault, Kind, ServiceError, invalid
from service.core.ports import Beginning, Prompt
from service.core.request import (
    ROOT,
    ChatRequest,
    Fitted,
    RegenerateRequest,
    UnsupportedParameters,
    fit,
    usable_model,
)


@frozen
class Plan:
    """A prompt to be sent, and the messages that it makes."""

    prompt: Prompt
    answer: Answer
    """As it begins: streaming and empty."""
    question: Question | None
    """None where an old question is answered anew."""
    title: str | None
    """Of a conversation that begins."""
    dropped: int
    ignored: tuple[str, ...]

    def beginning(self, owner: str, conversation_id: str, run_id: str) -> Beginning:
        """What is stored when the model has accepted the prompt."""
        return Beginning(owner, conversation_id, run_id, self.answer, self.question, self.title)


@frozen
class Stamps:
    """Where ids and times come from."""

    new_id: Callable[[], str]
    """UUIDv7: later ids sort after earlier ones."""
    now: Callable[[], str]
    """RFC 3339 in UTC, with milliseconds."""


def plan_question(
    request: ChatRequest,
    model: Model,
    fitted: Fitted,
    conversation: Conversation | None,
    stamps: Stamps,
) -> Plan:
    """A question that begins a conversation, or goes on from a message of one.

    Raises `message-not-found`, `validation-error` or `context-too-long`.
    """
    branch = _branch(conversation, request.parent_message_id)
    now = stamps.now()
    question = Question(
        stamps.new_id(),
        branch[-1].message_id if branch else None,
        request.user_prompt,
        now,
    )
    answer = Answer(
        message_id=stamps.new_id(),
        parent_message_id=question.message_id,
        content="",
        created_at=now,
        model=model.id,
        status=AnswerStatus.STREAMING,
        system_prompt=request.system_prompt,
        hyperparameters=fitted.values,
    )
    title = None if conversation else title_of(request.user_prompt)
    return _plan(model, fitted, branch, question, answer, title)


def plan_regeneration(
    request: RegenerateRequest,
    conversation: Conversation,
    message_id: str,
    catalogue: Catalogue,
    unsupported: UnsupportedParameters,
    stamps: Stamps,
) -> Plan:
    """A new answer beside an old one, asked for as the old one was where nothing else is said.

    What the old answer was asked with and the model does not take is left out and named in
    `ignored`. Raises `message-not-found`, `validation-error`, `unknown-model`,
    `model-unavailable` or `context-too-long`.
    """
    old = conversation.message(message_id)
    if not isinstance(old, Answer):
        raise ServiceError(
            Kind.MESSAGE_NOT_FOUND, "there is no answer of that id in this conversation"
        )
    model = usable_model(request.model or old.model, catalogue)
    if request.hyperparameters is None:
        fitted = _inherited(old, model, catalogue)
    else:
        fitted, faults = fit(request.hyperparameters, model, catalogue, unsupported)
        if faults:
            raise invalid([fault.under("/hyperparameters") for fault in faults])
    *branch, question = conversation.path_to(old.parent_message_id)
    assert isinstance(question, Question)  # the parent of every answer
    given = request.system_prompt
    answer = Answer(
        message_id=stamps.new_id(),
        parent_message_id=question.message_id,
        content="",
        created_at=stamps.now(),
        model=model.id,
        status=AnswerStatus.STREAMING,
        system_prompt=old.system_prompt if given is None else given,
        hyperparameters=fitted.values,
    )
    plan = _plan(model, fitted, tuple(branch), question, answer, None)
    return evolve(plan, question=None)


def _plan(
    model: Model,
    fitted: Fitted,
    branch: tuple[Message, ...],
    question: Question,
    answer: Answer,
    title: str | None,
) -> Plan:
    system_prompt = answer.system_prompt
    max_tokens = fitted.values.get("max_tokens")
    history = fit_history(
        model,
        branch,
        system_prompt=system_prompt_of(branch) if system_prompt is None else system_prompt,
        question=question.content,
        max_tokens=max_tokens if isinstance(max_tokens, int) else None,
    )
    prompt = Prompt(model, history.turns, fitted.values)
    return Plan(prompt, answer, question, title, history.dropped, fitted.ignored)


def _inherited(old: Answer, model: Model, catalogue: Catalogue) -> Fitted:
    values = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in old.hyperparameters.items()
    }
    _, faults = fit(values, model, catalogue, UnsupportedParameters.REJECT)
    unfit = {fault.pointer.split("/")[1] for fault in faults}
    taken = {name: value for name, value in values.items() if name not in unfit}
    fitted, _ = fit(taken, model, catalogue, UnsupportedParameters.REJECT)
    return evolve(fitted, ignored=tuple(sorted(unfit)))


def _branch(conversation: Conversation | None, parent: str | None) -> tuple[Message, ...]:
    if conversation is None or parent == ROOT:
        return ()
    if parent is None:
        return conversation.active_branch()
    match conversation.message(parent):
        case None:
            raise ServiceError(
                Kind.MESSAGE_NOT_FOUND, "there is no message of that id in this conversation"
            )
        case Question():
            raise invalid(
                [Fault("#/parent_message_id", f"must be the id of an answer, or {ROOT!r}")]
            )
        case Answer():
            return conversation.path_to(parent)
