import pytest

from service.simulator.tokens import count_tokens, tokens_of


@pytest.mark.parametrize(
    "text",
    [
        "",
        "One word, then another.",
        "  indented\n\n\n    twice\t\tand\r\nends  ",
        "天地玄黃 and いろは, 다람쥐",
        "نص حكيم له سر قاطع",
        "👩🏽‍💻 e\u0301 __init__ \x00",
    ],
)
def test_tokens_joined_are_the_text(text: str) -> None:
    tokens = list(tokens_of(text))

    assert "".join(tokens) == text
    assert all(tokens)
    assert count_tokens(text) == len(tokens)


def test_a_token_is_a_short_word_with_the_space_before_it_or_one_cjk_character() -> None:
    assert list(tokens_of("To read 天地")) == ["To", " read", " 天地"]
    assert list(tokens_of("天地 extraordinary")) == ["天", "地", " extrao", "rdinar", "y"]
