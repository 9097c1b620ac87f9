"""The stores that there are, and values to put into them."""

from collections.abc import Callable
from pathlib import Path

from service.core.conversation import (
    Answer,
    AnswerStatus,
    FinishReason,
    Hyperparameters,
    Question,
    Usage,
)
from service.core.ports import Beginning

STORES: dict[str, Callable[[Path], str]] = {
    "memory": lambda directory: "memory://",
    "sqlite": lambda directory: f"sqlite:///{directory / 'conversations.db'}",
}
"""The URL of an empty store for a test that has that directory."""

USAGE = Usage(10, 20, 30, reasoning_tokens=5, cached_tokens=3)
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
    )


def beginning(name: str, content: str = "Why?", *, title: str = "Title", at: int = 1) -> Beginning:
    """Of the conversation `c-NAME`, with the messages `q-NAME` and `a-NAME`."""
    return Beginning(f"c-{name}", growing(name, at=at), question(name, content, at=at), title)
