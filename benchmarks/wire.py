"""What do the two ends of a measurement agree on? The text of an answer, and its schedule.

An answer is `tokens` pieces of text. Token 0 carries the moment for which the fake Groq scheduled
it (CLOCK_MONOTONIC, the same clock for every process of a machine), so that a client behind any
gateway that keeps the text can tell how late each token comes. The rest is fixed, so that a lost,
doubled, reordered or damaged token shows.
"""

from functools import lru_cache

from attrs import frozen

MODEL = "meta-llama/llama-4-scout-17b-16e-instruct"

# Characters that JSON has to escape, or that take 2, 3 or 4 bytes of UTF-8.
AWKWARD = ('"', "\n", "\\", "é", "漢", "🙂", "\t", "</")
STAMP_LENGTH = 18


def stamp(scheduled_ns: int) -> str:
    return f"@{scheduled_ns:016x} "


def token_text(index: int) -> str:
    """About four characters; every 16th token holds something awkward to encode."""
    if index % 16 == 15:
        return f"{index % 256:02x}{AWKWARD[index // 16 % len(AWKWARD)]} "
    return f"{index % 4096:03x} "


@frozen
class Plan:
    """How the fake Groq answers; a rate of 0 is as fast as it can."""

    tokens: int = 256
    rate: float = 0.0
    """Tokens per second of one stream."""
    burst: int = 1
    """Tokens per TCP write."""

    def offset_ns(self, index: int) -> int:
        """When a token is due, after token 0."""
        return int(index // self.burst * self.burst * 1e9 / self.rate) if self.rate else 0

    def seconds(self) -> float:
        return self.tokens / self.rate if self.rate else 0.0


@lru_cache(maxsize=64)
def text_after_stamp(tokens: int) -> str:
    return "".join(token_text(index) for index in range(1, tokens))


@lru_cache(maxsize=64)
def token_ends(tokens: int) -> list[int]:
    """How many characters of text there are at the end of each token."""
    ends = [STAMP_LENGTH]
    for index in range(1, tokens):
        ends.append(ends[-1] + len(token_text(index)))
    return ends
