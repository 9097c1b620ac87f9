import json
from typing import Any

from service.simulator import DONE, chunk, error_data, in_pieces, stream_of


def test_a_chunk_is_one_event_in_the_form_of_groq() -> None:
    data = chunk({"content": " hi"}, id="chatcmpl-1", created=5, model="m")

    assert data == (
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"model":"m",'
        b'"system_fingerprint":"fp_simulator","choices":[{"index":0,"delta":{"content":" hi"},'
        b'"logprobs":null,"finish_reason":null}]}\n\n'
    )


def test_less_than_signs_are_escaped_in_chunks() -> None:
    data = chunk({"content": "<b>"})

    assert rb'"content":"\u003cb>"' in data


def test_extra_members_replace_and_follow_the_usual_ones() -> None:
    data = chunk({}, "stop", choices=[], usage=None)

    value = json.loads(data.removeprefix(b"data: "))
    assert value["choices"] == []
    assert list(value)[-1] == "usage"


def test_a_stream_says_its_text_in_deltas_of_the_given_size() -> None:
    events = stream_of("abcde", 2)

    assert events[-1] == DONE
    assert [delta_of(event).get("content") for event in events[:-1]] == ["", "ab", "cd", "e", None]


def test_pieces_join_to_the_bytes_they_were_cut_from() -> None:
    assert in_pieces(b"abcde", 2) == [b"ab", b"cd", b"e"]


def test_an_error_has_a_code_only_where_there_is_one() -> None:
    assert error_data("m") == {"error": {"message": "m", "type": "invalid_request_error"}}
    assert error_data("m", "c", kind="tokens") == {
        "error": {"message": "m", "type": "tokens", "code": "c"}
    }


def delta_of(event: bytes) -> Any:
    return json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"]
