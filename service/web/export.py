"""What does a conversation look like outside? As JSON and as Markdown."""

from collections.abc import Callable, Mapping

from service.core.conversation import Answer, Conversation, Message, Question
from service.core.events import encode


def conversation_data(conversation: Conversation) -> dict[str, object]:
    """A conversation without its messages."""
    return {
        "conversation_id": conversation.conversation_id,
        "title": conversation.title,
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
    }


def message_data(message: Message) -> dict[str, object]:
    """One message."""
    data: dict[str, object] = {
        "role": "user" if isinstance(message, Question) else "assistant",
        "content": message.content,
        "message_id": message.message_id,
        "parent_message_id": message.parent_message_id,
        "created_at": message.created_at,
    }
    if isinstance(message, Answer):
        data |= {
            "model": message.model,
            "status": message.status,
            "reasoning": message.reasoning,
            "finish_reason": message.finish_reason,
            "usage": message.usage,
            "system_prompt": message.system_prompt,
            "hyperparameters": message.hyperparameters,
        }
    return data


def as_json(conversation: Conversation) -> bytes:
    """Every message of the tree, oldest first."""
    return encode(
        {
            **conversation_data(conversation),
            "active_message_id": conversation.active_message_id,
            "messages": [message_data(message) for message in conversation.messages],
        }
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


FORMATS: Mapping[str, tuple[Callable[[Conversation], bytes], str, str]] = {
    "json": (as_json, "application/json", "json"),
    "markdown": (as_markdown, "text/markdown", "md"),
}
"""By name: how to render, content type, ending of the file's name."""
