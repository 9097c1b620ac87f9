"""Does any input break a promise, of those that look like good ones?"""

import json
import time
from collections.abc import Mapping

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzzing.credentials import ENTRY, SIGNER
from fuzzing.targets import TARGETS
from service.core.catalogue import PARAMETER_TYPES
from service.settings import Settings
from service.simulator import DONE, chunk
from service.web.messages import CLIENT_MESSAGES
from signing import p256, rsa
from support import MODEL

Inputs = st.SearchStrategy[bytes]

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
plain = st.text("abcxyz0189-._~:/?#[]@!$&'()*+,;=% \"\\é", max_size=20)
numbers = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def members(names: Mapping[str, st.SearchStrategy[object]]) -> st.SearchStrategy[object]:
    """Objects that have some of these members, and some that nobody knows."""
    known = {name: fit | values for name, fit in names.items()}
    return st.builds(
        lambda some, others: {**others, **some},
        st.fixed_dictionaries({}, optional=known),
        st.dictionaries(words, values, max_size=2),
    )


def written(value: st.SearchStrategy[object]) -> Inputs:
    """JSON, in one of the ways to write it."""
    return st.builds(
        lambda told, ascii_: json.dumps(told, ensure_ascii=ascii_).encode(), value, st.booleans()
    )


def lines(*names: str, of: st.SearchStrategy[str], between: str) -> Inputs:
    """`NAMEbetweenVALUE` in a line each."""
    line = st.builds(lambda name, value: f"{name}{between}{value}", st.sampled_from(names), of)
    return st.lists(line, max_size=5).map(lambda told: "\n".join(told).encode())


def joined(told: bytes) -> bytes:
    """Lines as a query."""
    return told.replace(b"\n", b"&")


hyperparameters = members(dict.fromkeys(PARAMETER_TYPES, numbers | st.lists(words, max_size=5)))
regenerations = {
    "model": st.just(MODEL),
    "system_prompt": words,
    "hyperparameters": hyperparameters,
}
requests = members(
    {
        **regenerations,
        "user_prompt": words,
        "save_conversation": st.booleans(),
        "conversation_id": words,
        "parent_message_id": words,
        "on_disconnect": st.sampled_from(["continue", "cancel"]),
    }
)
messages = members(
    {
        "type": st.sampled_from(sorted(CLIENT_MESSAGES)),
        "id": words,
        "request": requests,
        "idempotency_key": plain,
        "run_id": words,
        "after": st.integers(-2, 5),
        "token": words,
    }
)
deltas = members(
    {
        "content": words,
        "reasoning": words,
        "tool_calls": st.lists(values, max_size=2),
        "executed_tools": st.lists(values, max_size=2),
    }
)
events = (
    st.builds(chunk, st.dictionaries(words, values, max_size=1) | deltas, words | st.none())
    | st.builds(lambda value: b"data: " + value + b"\n\n", written(values))
    | st.sampled_from([DONE, b": comment\n", b"event: error\n", b"\r\n", b"data:\n", b"id: 1\n"])
)
streams = st.lists(events, max_size=5).map(b"".join)
counts = st.integers(0, 5).map(str) | st.integers(0, 10**16).map(str) | plain
durations = st.lists(
    st.builds(
        lambda n, u: f"{n}{u}",
        st.integers(0, 10**10) | numbers,
        st.sampled_from(["h", "m", "s", "ms", "us", ""]),
    ),
    min_size=1,
    max_size=3,
).map("".join)
moments = st.dates().map(str) | st.datetimes(timezones=st.timezones()).map(
    lambda moment: moment.isoformat().replace("+", "%2B")
)
claims = members({"sub": words, "exp": st.just(7_258_118_400), "iss": words, "aud": words})
keys = st.sampled_from([SIGNER.jwk(), rsa().jwk(), p256().jwk()])
changed_keys = st.builds(lambda key, change: {**key, **change}, keys, members({"alg": words}))
entries = st.just(ENTRY) | st.builds(lambda name, rest: f"{name}:{rest}", plain, plain)

INPUTS: Mapping[str, Inputs] = {
    "chat_body": written(requests),
    "regenerate_body": written(members(regenerations)),
    "change_body": written(members({"title": words, "active_message_id": words})),
    "socket_message": written(messages),
    "groq_stream": streams,
    "groq_limits": st.fixed_dictionaries(
        {},
        optional={
            f"x-ratelimit-{said}-{of}": told
            for said, told in (("limit", counts), ("remaining", counts), ("reset", durations))
            for of in ("requests", "tokens")
        },
    ).map(lambda told: "\n".join(f"{name}: {value}" for name, value in told.items()).encode()),
    "groq_models": written(
        members(
            {
                "data": st.lists(
                    members(
                        {
                            "id": st.just(MODEL) | words,
                            "context_window": st.integers(0, 10**6),
                            "max_completion_tokens": st.integers(0, 10**6),
                            "pricing": members(
                                {"prompt": words | numbers, "completion": words | numbers}
                            ),
                            "supported_features": st.lists(words, max_size=2),
                        }
                    ),
                    max_size=3,
                )
            }
        )
    ),
    "groq_refusal": st.builds(
        lambda status, after, body: b"%b %b\n%b" % (bytes([status]), after, body),
        st.integers(0, 199),
        (numbers | words).map(lambda value: str(value).encode()),
        written(members({"error": members({"message": plain, "type": words, "code": words})})),
    ),
    "list_query": lines("limit", "cursor", "q", of=plain, between="=").map(joined),
    "usage_query": lines("from", "to", "group_by", of=moments | plain, between="=").map(joined),
    "run_cursor": st.builds(
        lambda header, after: f"{header}\nafter={after}".encode(),
        st.just("")
        | st.builds(lambda run, seq: f"{run}:{seq}", st.just("run") | plain, st.integers(-9, 9)),
        st.integers(-9, 9) | plain,
    ),
    "idempotency_key": plain.map(str.encode),
    "authorization": plain.map(lambda told: f"Bearer {told}".encode()),
    "names": st.builds(lambda host, origin: f"{host}\nhttp://{origin}".encode(), plain, plain),
    "credential": st.lists(plain, min_size=3, max_size=3).map(lambda told: ".".join(told).encode()),
    "jwt_parts": st.builds(
        lambda header, told: header + b"\n" + told,
        written(members({"alg": st.just("EdDSA"), "kid": st.just("one")})),
        written(claims),
    ),
    "jwk_set": written(members({"keys": st.lists(changed_keys, max_size=3)})),
    "api_keys": st.lists(entries, max_size=3).map(lambda told: ",".join(told).encode()),
    "settings": lines(
        *(field.name.upper() for field in attrs.fields(Settings)), of=plain, between="="
    ),
    "rate": st.builds(
        lambda amount, unit: f"{amount}{unit}".encode(),
        st.integers(-1, 10**13),
        st.sampled_from(["/minute", " per 2 days", "/0 hours", "/", "/week"]) | plain,
    ),
    "models_toml": lines(
        "[[models]]\nid", "name", "pricing", "[parameters]\nstop", of=plain, between="="
    ),
}


@pytest.mark.parametrize("name", TARGETS)
@given(st.data())
def test_no_input_that_looks_like_a_good_one_breaks_a_promise(
    name: str, data: st.DataObject
) -> None:
    TARGETS[name](data.draw(INPUTS[name]))


@pytest.mark.parametrize("name", TARGETS)
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\x00\n")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b"a=" + b"[" * 100_000)
def test_no_bytes_break_a_promise(name: str, noise: bytes) -> None:
    TARGETS[name](noise)


MEGABYTE = 1_000_000

LARGE = {
    "a long text": b'{"model":"%b","user_prompt":"?"}' % (b"x" * MEGABYTE),
    "many members": json.dumps({f"{n}~/é": n for n in range(60_000)}).encode(),
    "many hyperparameters": json.dumps(
        {"hyperparameters": {f"{n}": n for n in range(60_000)}}
    ).encode(),
    "many items": json.dumps({"hyperparameters": {"stop": [""] * 200_000}}).encode(),
    "depth": b'{"hyperparameters":' + b'{"a":' * 150_000,
    "a long number": b'{"hyperparameters":{"seed":%b}}' % (b"9" * MEGABYTE),
    "long names": json.dumps({"é" * 50_000 + str(n): n for n in range(5)}).encode(),
}


@pytest.mark.parametrize("name", ["chat_body", "regenerate_body", "change_body", "socket_message"])
@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_a_large_body_is_judged_in_bounded_time(name: str, body: bytes) -> None:
    start = time.process_time()

    TARGETS[name](body)

    assert time.process_time() - start < 5
