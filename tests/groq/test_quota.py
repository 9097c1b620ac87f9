"""What is understood of what Groq says is left."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.groq.quota import LONGEST_BELIEVED_SECONDS, Quota, Quotas, parse_duration, quotas_of

WHOLE = {
    "x-ratelimit-limit-requests": "1000",
    "x-ratelimit-limit-tokens": "250000",
    "x-ratelimit-remaining-requests": "999",
    "x-ratelimit-remaining-tokens": "249000",
    "x-ratelimit-reset-requests": "1m26.4s",
    "x-ratelimit-reset-tokens": "240ms",
}


def raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m59.56s", 179.56),
        ("7.66s", 7.66),
        ("450ms", 0.45),
        ("1m26.4s", 86.4),
        ("24h0m0s", 86_400),
        ("1h2m3.5s", 3723.5),
        ("0s", 0),
        ("12.5µs", 1.25e-5),
        ("12.5us", 1.25e-5),
        ("9ns", 9e-9),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


NO_DURATIONS = """
5|s|-5s|+5s|5 s|5S|1.2.3s|.5s|5.s|1e9s|nan|inf|1d|5sm|2m59.s|2m59,56s| 5s|5s |٣s|1h1h1h1h1h1h
"""


@pytest.mark.parametrize("text", ["", "5s\n", *NO_DURATIONS.strip("\n").split("|")])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert parse_duration(text) is None


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    seconds = parse_duration(text)

    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59_999))
def test_any_duration_is_read(hours: int, minutes: int, milliseconds: int) -> None:
    seconds = parse_duration(f"{hours}h{minutes}m{milliseconds / 1000}s")

    assert seconds == pytest.approx(hours * 3600 + minutes * 60 + milliseconds / 1000)


def test_both_limits_are_read() -> None:
    quotas = quotas_of(raw(WHOLE), 5.0)

    assert quotas.requests == Quota(1000, 999, 1 / 60, 5.0)
    assert quotas.tokens == Quota(250_000, 249_000, 1000 / 0.24, 5.0)


def test_names_may_be_written_in_any_case() -> None:
    assert quotas_of(raw({name.title(): value for name, value in WHOLE.items()}), 0) == quotas_of(
        raw(WHOLE), 0
    )


@pytest.mark.parametrize("missing", WHOLE)
def test_a_limit_of_which_something_is_missing_says_nothing(missing: str) -> None:
    quotas = quotas_of(raw({name: value for name, value in WHOLE.items() if name != missing}), 0)

    unit = missing.rpartition("-")[2]
    assert getattr(quotas, unit) is None
    assert (quotas.requests is None) != (quotas.tokens is None)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("value", ["", "-1", "1.5e", "many", "1" * 30, "\xff", "{}", "None"])
def test_a_limit_of_which_something_is_malformed_says_nothing(name: str, value: str) -> None:
    quotas = quotas_of(raw(WHOLE | {name: value}), 0)

    assert getattr(quotas, name.rpartition("-")[2]) is None


def test_a_limit_of_nothing_says_nothing() -> None:
    quotas = quotas_of(raw(WHOLE | {"x-ratelimit-limit-tokens": "0"}), 0)

    assert quotas.tokens is None


@given(st.lists(st.tuples(st.sampled_from(list(WHOLE)).map(str.encode), st.binary())), st.floats())
def test_no_header_is_too_odd(headers: list[tuple[bytes, bytes]], now: float) -> None:
    quotas_of(headers, now)


QUOTAS = st.builds(
    lambda limit, remaining, reset: quotas_of(
        raw(
            WHOLE
            | {
                "x-ratelimit-limit-requests": str(limit),
                "x-ratelimit-remaining-requests": str(remaining),
                "x-ratelimit-reset-requests": f"{reset}ms",
                "x-ratelimit-limit-tokens": str(limit),
                "x-ratelimit-remaining-tokens": str(remaining),
                "x-ratelimit-reset-tokens": f"{reset}ms",
            }
        ),
        0.0,
    ),
    st.integers(1, 10**9),
    st.integers(0, 10**9),
    st.integers(0, 10**9 - 1),
)


@given(QUOTAS, st.floats(0, 1e6), st.floats(0, 1))
def test_what_is_waited_for_is_there_then(quotas: Quotas, now: float, share: float) -> None:
    for quota in (quotas.requests, quotas.tokens):
        assert quota
        amount = share * quota.limit
        seconds = quota.seconds_until(amount, now)

        assert seconds >= 0
        assert quota.left(now + seconds) >= amount * (1 - 1e-9) - 1e-3
        assert (seconds == 0) == (quota.left(now) >= amount)


@given(QUOTAS)
def test_no_limit_shuts_a_model_off_for_long(quotas: Quotas) -> None:
    requests, tokens = quotas.requests, quotas.tokens

    assert requests
    assert tokens
    longest = LONGEST_BELIEVED_SECONDS * (1 + 1e-9)
    assert requests.seconds_until(1, 0.0) <= longest
    assert tokens.seconds_until(tokens.limit, 0.0) <= longest
