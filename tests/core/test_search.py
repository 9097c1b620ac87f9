import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.search import matches, words

TEXTS = st.text(max_size=40) | st.text(alphabet="aÄß1_ -漢字かé\u0301İ", max_size=12)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello, World!", ["hello", "world"]),
        ("snake_case and 3 x 42", ["snake", "case", "and", "3", "x", "42"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("漢字 kana かな", ["漢", "字", "kana", "か", "な"]),
        ("GPT漢4", ["gpt", "漢", "4"]),
        ("привет МИР", ["привет", "мир"]),
        (" \n\t…—_ ", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_in_folded_case(text: str, found: list[str]) -> None:
    assert words(text) == found


@given(TEXTS)
def test_words_hold_every_letter_and_digit_in_order(text: str) -> None:
    assert "".join(words(text)) == "".join(c for c in text.casefold() if words(c))


@given(TEXTS, TEXTS)
def test_words_of_two_texts_are_those_of_each(one: str, other: str) -> None:
    assert words(f"{one} {other}") == words(one) + words(other)


@given(st.lists(TEXTS, min_size=1, max_size=4), st.data())
def test_a_text_is_found_by_the_beginnings_of_its_words(
    texts: list[str], data: st.DataObject
) -> None:
    held = [word for text in texts for word in words(text)]
    chosen = data.draw(st.lists(st.sampled_from(held), max_size=3) if held else st.just([]))
    query = [word[: data.draw(st.integers(1, len(word)))] for word in chosen]

    assert matches(query, texts)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("quan comp", True),
        ("COMPUTING", True),
        ("quantum physics", False),
        ("uantum", False),
        ("", True),
        ("computers", False),
        ("story title", True),
    ],
)
def test_every_word_of_a_query_begins_a_word_somewhere(query: str, found: bool) -> None:
    texts = ["Title", "Quantum computing, a story"]

    assert matches(words(query), texts) is found
