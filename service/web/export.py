"""What does a conversation look like outside? As JSON and as Markdown."""

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    FinishReason,
    Hyperparameters,
    Message,
    Usage,
)
from service.core.events import encode


class UserMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    """A question."""

    content: str
    message_id: str
    parent_message_id: str | None
    created_at: str


class AssistantMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    """An answer, and how it was asked for."""

    content: str
    message_id: str
    parent_message_id: str
    created_at: str
    model: str
    status: AnswerStatus
    reasoning: str | None
    finish_reason: FinishReason | None
    usage: Usage | None
    seconds: float | None
    """From the request to the end."""
    cost: float | None
    """US dollars."""
    system_prompt: str | None
    hyperparameters: Hyperparameters


class ExportedConversation(Struct, frozen=True, kw_only=True):
    """A conversation with its messages, oldest first."""

    conversation_id: str
    title: str
    created_at: str
    updated_at: str
    active_message_id: str
    """The last message of the active branch."""
    messages: tuple[UserMessage | AssistantMessage, ...]


class ShownConversation(ExportedConversation, frozen=True, kw_only=True):
    """A conversation with its messages, oldest first, and the run that is under way in it."""

    active_run_id: str | None


def shown(
    conversation: Conversation, messages: Iterable[Message], active_run_id: str | None
) -> ShownConversation:
    """A conversation with some of its messages."""
    return ShownConversation(
        conversation_id=conversation.conversation_id,
        title=conversation.title,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        active_message_id=conversation.active_message_id,
        messages=_messages(messages),
        active_run_id=active_run_id,
    )


def as_json(conversation: Conversation) -> bytes:
    """Every message of the tree, oldest first."""
    return encode(
        ExportedConversation(
            conversation_id=conversation.conversation_id,
            title=conversation.title,
            created_at=conversation.created_at,
            updated_at=conversation.updated_at,
            active_message_id=conversation.active_message_id,
            messages=_messages(conversation.messages),
        )
    )


def as_markdown(conversation: Conversation) -> bytes:
    """The active branch, to be read."""
    parts = [f"# {conversation.title}"]
    for message in conversation.active_branch():
        if isinstance(message, Answer):
            partial = "" if message.status == "complete" else f", {message.status}"
            parts.append(f"## Assistant ({message.model}{partial})")
        else:
            parts.append("## User")
        parts.append(message.content)
    return ("\n\n".join(parts) + "\n").encode()


def _messages(messages: Iterable[Message]) -> tuple[UserMessage | AssistantMessage, ...]:
    return tuple(_message(message) for message in messages)


def _message(message: Message) -> UserMessage | AssistantMessage:
    if not isinstance(message, Answer):
        return UserMessage(
            content=message.content,
            message_id=message.message_id,
            parent_message_id=message.parent_message_id,
            created_at=message.created_at,
        )
    return AssistantMessage(
        content=message.content,
        message_id=message.message_id,
        parent_message_id=message.parent_message_id,
        created_at=message.created_at,
        model=message.model,
        status=message.status,
        reasoning=message.reasoning,
        finish_reason=message.finish_reason,
        usage=message.usage,
        seconds=message.seconds,
        cost=message.cost,
        system_prompt=message.system_prompt,
        hyperparameters=message.hyperparameters,
    )


FORMATS: Mapping[str, tuple[Callable[[Conversation], bytes], str, str]] = {
    "json": (as_json, "application/json", "json"),
    "markdown": (as_markdown, "text/markdown", "md"),
}
"""By name: how to render, content type, ending of the file's name."""
