"""How does an answer go on that broke off? Asked for once more, with what there is of it."""

from attrs import evolve
from msgspec import structs

from service.core.conversation import Usage
from service.core.events import Delta, Ending
from service.core.ports import Prompt, Role, Turn

CAPABILITY = "prefill"
"""Of models that continue a last message of the assistant's, and do not repeat it.

https://console.groq.com/docs/prefilling
"""


class Begun:
    """An answer as far as it came."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._only_text = True

    def add(self, delta: Delta) -> None:
        """It came a piece further."""
        self._content.append(delta.content)
        if delta != Delta(delta.content):
            self._only_text = False

    def rest(self, prompt: Prompt, tokens: int) -> "Rest | None":
        """What is missing of the answer to `prompt`; None where it cannot be asked for.

        `tokens` have been written, and count towards `max_tokens`. Reasoning would begin anew and
        tools would run again, so neither goes on.
        """
        text = "".join(self._content)
        shown = text.rstrip()
        values = dict(prompt.hyperparameters)
        if isinstance(most := values.get("max_tokens"), int):
            values["max_tokens"] = most - tokens
            if most <= tokens:
                return None
        if not (shown and self._only_text):
            return None
        turns = (*prompt.turns, Turn(Role.ASSISTANT, shown))
        asked = evolve(prompt, turns=turns, hyperparameters=values)
        return Rest(asked, tokens, text[len(shown) :])


class Rest:
    """The rest of an answer: how it is asked for, and how it is joined to the beginning.

    White space at the end is not sent: a chat template may cut it off, and models write worse
    behind it than in front of it. The reader has it already, so it is taken off the rest.
    """

    def __init__(self, prompt: Prompt, tokens: int, white_space: str) -> None:
        self.prompt = prompt
        self._tokens = tokens
        self._white_space = white_space

    def joined(self, part: Delta | Usage | Ending) -> Delta | Usage | Ending | None:
        """A part as it follows the beginning; None where nothing new is left of it."""
        if isinstance(part, Usage):
            return self._summed(part)
        if isinstance(part, Ending):
            return evolve(part, usage=part.usage and self._summed(part.usage))
        if self._white_space and part.content:
            same = _common(self._white_space, part.content)
            whole = same == len(part.content)
            self._white_space = self._white_space[same:] if whole else ""
            part = structs.replace(part, content=part.content[same:])
        return part if part != Delta("") else None

    def _summed(self, usage: Usage) -> Usage:
        """Of both calls.

        Groq tells nothing of the one that broke off. It wrote `tokens`, and its prompt was that of
        the second without them.
        """
        prompt = usage.prompt_tokens + max(0, usage.prompt_tokens - self._tokens)
        completion = usage.completion_tokens + self._tokens
        return evolve(
            usage,
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
        )


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with together."""
    length = min(len(one), len(other))
    return next((index for index in range(length) if one[index] != other[index]), length)
