"""Which history fits the window?"""

from collections.abc import Sequence

from attrs import frozen

from service.core.catalogue import Model
from service.core.conversation import Answer, AnswerStatus, Message, Question
from service.core.errors import Kind, ServiceError
from service.core.ports import Role, Turn

TOKENS_PER_MESSAGE = 8
"""What a chat template adds to a message, generously."""
ROOM_FOR_ANSWER = 4096
"""Tokens kept free for an answer when the client gave no `max_tokens`."""


@frozen
class History:
    """The turns of a prompt, and how many messages of the branch were left out."""

    turns: tuple[Turn, ...]
    dropped: int


def fit_history(
    model: Model,
    branch: Sequence[Message],
    *,
    system_prompt: str | None,
    question: str,
    max_tokens: int | None,
) -> History:
    """The system prompt, as much of a branch as fits, and the question.

    Whole turns are left out, the oldest first. Raises `ServiceError(CONTEXT_TOO_LONG)` when the
    prompt alone does not fit.
    """
    fixed = estimate(question) + (estimate(system_prompt) if system_prompt else 0)
    window = model.context_window
    if window is not None and typical_tokens(question, system_prompt or "") > window:
        raise ServiceError(
            Kind.CONTEXT_TOO_LONG,
            f"the prompt has about {fixed} tokens, the context window of {model.id} holds {window}",
        )
    kept = list(branch)
    if window is not None:
        room = window - fixed - min(max_tokens or ROOM_FOR_ANSWER, window // 2)
        kept = _newest(branch, room)
    system = [Turn(Role.SYSTEM, system_prompt)] if system_prompt else []
    said = [_turn(message) for message in kept if message.content]
    return History((*system, *said, Turn(Role.USER, question)), len(branch) - len(kept))


def estimate(text: str) -> int:
    """Tokens of a message, rather too many than too few.

    English has 4 to 5 characters to a token, code about 3; other scripts have up to 2 tokens
    to a character of 3 or 4 bytes.
    """
    ascii_length, other_bytes = _measure(text)
    return TOKENS_PER_MESSAGE + ascii_length // 3 + other_bytes // 2


def typical_tokens(*texts: str) -> int:
    """Tokens that texts have at the least in practice; a tokenizer is the judge of the rest."""
    measured = [_measure(text) for text in texts]
    return sum(ascii_length // 4 + other_bytes // 4 for ascii_length, other_bytes in measured)


def _measure(text: str) -> tuple[int, int]:
    """ASCII characters, and bytes of the other characters."""
    if text.isascii():
        return len(text), 0
    others = len(text) - len(text.encode("ascii", "ignore"))
    return len(text) - others, len(text.encode()) - (len(text) - others)


def _newest(branch: Sequence[Message], room: int) -> list[Message]:
    """The newest turns that fit; a turn is a question and what follows it."""
    kept: list[Message] = []
    turn: list[Message] = []
    for message in reversed(branch):
        turn.insert(0, message)
        room -= _tokens(message)
        if isinstance(message, Question):
            if room < 0:
                break
            kept = turn + kept
            turn = []
    return kept


def _tokens(message: Message) -> int:
    """Groq's own figure where it is known, else the estimate."""
    match message:
        case Answer(status=AnswerStatus.COMPLETE, usage=usage) if usage:
            counted = usage.completion_tokens - usage.reasoning_tokens
            # A compound system counts its tools' tokens too; a text never has more than its bytes.
            return TOKENS_PER_MESSAGE + min(max(counted, 1), len(message.content.encode()))
        case _:
            return estimate(message.content)


def _turn(message: Message) -> Turn:
    role = Role.USER if isinstance(message, Question) else Role.ASSISTANT
    return Turn(role, message.content)
