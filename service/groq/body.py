"""What is Groq sent?"""

from msgspec.json import Encoder

from service.core.conversation import HyperparameterValue
from service.core.ports import Prompt

BYTES_PER_TOKEN = 4
"""Of a body, its JSON included: tokens are rather counted too few, so that nobody waits in vain."""

encode = Encoder().encode


def request_body(prompt: Prompt) -> dict[str, object]:
    """What Groq is sent: https://console.groq.com/docs/api-reference#chat-create."""
    sent = dict(
        _sent(name, value, prompt.model.parameters[name].sent_as)
        for name, value in prompt.hyperparameters.items()
    )
    return {
        "model": prompt.model.id,
        "messages": [{"role": turn.role, "content": turn.content} for turn in prompt.turns],
        "stream": True,
        **sent,
    }


def tokens_of(prompt: Prompt, body: bytes) -> int:
    """About what Groq counts for a request before it takes it: the prompt, and `max_tokens`."""
    asked = prompt.hyperparameters.get("max_tokens")
    return len(body) // BYTES_PER_TOKEN + (asked if isinstance(asked, int) else 0)


def _sent(
    name: str, value: HyperparameterValue, sent_as: str | None
) -> tuple[str, HyperparameterValue]:
    if sent_as == "include_reasoning":
        return sent_as, value != "hidden"
    return sent_as or name, value
