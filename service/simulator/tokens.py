"""Where one token ends and the next begins."""

import re
from collections.abc import Iterator, Sequence

BYTES_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 4

# A character of a script without spaces, up to six letters or digits with the space before them,
# a run of white space, or any other single character: every character is in exactly one token.
# Combining marks and the parts of an emoji come apart, as they do in real models.
TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]| ?[^\W_]{1,6}|\s+(?!\w)|\s|.", re.DOTALL
)


def tokens_of(text: str) -> Iterator[str]:
    """Split text into what is sent as one delta each; joined, they are the text again."""
    return (match.group() for match in TOKEN.finditer(text))


def count_tokens(text: str) -> int:
    """How many tokens `tokens_of` makes of it."""
    return sum(1 for _ in TOKEN.finditer(text))


def estimate_tokens(texts: Sequence[str]) -> int:
    """About how many tokens the messages of a prompt are; cheap, however long they are."""
    size = sum(len(text.encode()) for text in texts)
    return size // BYTES_PER_TOKEN + TOKENS_PER_MESSAGE * len(texts)
