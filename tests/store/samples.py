"""The stores that there are, and values to put into them."""

from collections.abc import Callable
from pathlib import Path

from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    FinishReason,
    Hyperparameters,
    Question,
    Usage,
)
from service.core.ports import Beginning, Kept
from store.mongo import shared_url

STORES: dict[str, Callable[[Path], str]] = {
    "memory": lambda directory: "memory://",
    "sqlite": lambda directory: f"sqlite:///{directory / 'conversations.db'}",
    "mongodb": shared_url,
}
"""The URL of an empty store for a test that has that directory."""

OWNER, OTHER = "ann", "bob"
"""Of what the tests keep, and somebody else."""

USAGE = Usage(10, 20, 30, reasoning_tokens=5, cached_tokens=3)
MILLISECONDS, NANODOLLARS = 1234, 2**40
SETTINGS: Hyperparameters = {
    "temperature": 1.0,
    "max_tokens": 2048,
    "seed": 2**63 - 1,
    "reasoning_effort": "low",
    "stop": ("END", "\0", "“"),
}


def moment(second: int) -> str:
    return f"2025-01-01T00:{second // 60:02}:{second % 60:02}.000Z"


def question(
    name: str, content: str = "Why?", *, at: int = 1, after: str | None = None
) -> Question:
    return Question(f"q-{name}", after, content, moment(at))


def growing(name: str, *, at: int = 1, model: str = "small") -> Answer:
    return Answer(
        f"a-{name}",
        f"q-{name}",
        "",
        moment(at),
        model,
        AnswerStatus.STREAMING,
        system_prompt="Be brief.",
        hyperparameters=SETTINGS,
    )


def ended(name: str, content: str, *, at: int = 1, reasoning: str | None = None) -> Answer:
    return Answer(
        f"a-{name}",
        f"q-{name}",
        content,
        moment(at),
        "small",
        AnswerStatus.COMPLETE,
        reasoning,
        FinishReason.STOP,
        USAGE,
        "Be brief.",
        SETTINGS,
        MILLISECONDS,
        NANODOLLARS,
    )


def beginning(
    name: str, content: str = "Why?", *, title: str = "Title", at: int = 1, owner: str = OWNER
) -> Beginning:
    """Of the conversation `c-NAME` by the run `r-NAME`, with the messages `q-NAME` and `a-NAME`."""
    asked, answer = question(name, content, at=at), growing(name, at=at)
    return Beginning(owner, f"c-{name}", f"r-{name}", answer, asked, title)


def kept(name: str, content: str = "Because.", *, at: int = 1, owner: str = OWNER) -> Kept:
    """A conversation `c-NAME` whose answer has ended."""
    said = (question(name, at=at), ended(name, content, at=at))
    conversation = Conversation(f"c-{name}", "Title", moment(at), moment(at), f"a-{name}", said)
    return Kept(owner, conversation)
