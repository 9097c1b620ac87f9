"""What are the words of a text? One answer for every store, so that all find the same."""

import re
from collections.abc import Sequence

# Scripts written without spaces: each character counts as a word.
_UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words of a text in order, in folded case: runs of letters and digits.

    Chinese characters and kana are a word each, since nothing separates words there.
    """
    return _WORD.findall(text.casefold())


def matches(query: Sequence[str], texts: Sequence[str]) -> bool:
    """Whether each word of a query is the beginning of a word in one of the texts."""
    found = {word for text in texts for word in words(text)}
    return all(any(word.startswith(sought) for word in found) for sought in query)
