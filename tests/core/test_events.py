import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from service.core.conversation import FinishReason, Usage
from service.core.errors import Fault, Kind, Problem
from service.core.events import (
    Delta,
    Event,
    Failed,
    Finished,
    Started,
    Timing,
    encode,
    problem_body,
)

STARTED = Started(
    run_id="run",
    conversation_id=None,
    user_message_id="question",
    message_id="answer",
    model="small",
    created_at="now",
    dropped_messages=2,
    ignored_parameters=("top_k",),
    simulated=True,
)
FINISHED = Finished(
    finish_reason=FinishReason.LENGTH,
    usage=Usage(1, 2, 3, 4, 5),
    cost=0.25,
    timing=Timing(0.5, 1.5),
    message_id="answer",
    content_length=2,
    content_sha256="ab",
)
FAILED = Failed(error=problem_body(Problem(Kind.INTERRUPTED, "stopped"), None), message_id=None)


def written(event: Event) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(encode(event))
    return decoded


class TestAnEvent:
    @pytest.mark.parametrize("event", [STARTED, Delta(""), FINISHED, FAILED])
    def test_says_its_type_first_and_whether_it_is_the_last(self, event: Event) -> None:
        data = written(event)

        assert next(iter(data)) == "type"
        assert data["type"] == type(event).__name__.lower()
        assert data["finished"] is isinstance(event, Finished | Failed)

    @given(st.text())
    def test_is_one_line_whatever_it_says(self, text: str) -> None:
        payload = encode(Delta(text))

        assert b"\n" not in payload
        assert b"\r" not in payload
        assert json.loads(payload)["content"] == text


class TestStarted:
    def test_has_the_fields_of_the_contract(self) -> None:
        assert written(STARTED) == {
            "type": "started",
            "run_id": "run",
            "conversation_id": None,
            "user_message_id": "question",
            "message_id": "answer",
            "model": "small",
            "created_at": "now",
            "dropped_messages": 2,
            "ignored_parameters": ["top_k"],
            "simulated": True,
            "finished": False,
        }


class TestDelta:
    def test_has_only_what_there_is(self) -> None:
        assert written(Delta("Hi")) == {"type": "delta", "content": "Hi", "finished": False}

    def test_passes_tools_on_as_groq_sent_them(self) -> None:
        sent = b'{"id": "call",  "big": 123456789012345678901234567890}'

        payload = encode(Delta("", "Hm", tool_calls=(Raw(sent),), executed_tools=(Raw(b"[1]"),)))

        assert sent in payload
        assert json.loads(payload)["executed_tools"] == [[1]]
        assert json.loads(payload)["reasoning"] == "Hm"


class TestTheEnd:
    def test_finished_has_the_fields_of_the_contract(self) -> None:
        assert written(FINISHED) == {
            "type": "finished",
            "content": "",
            "finish_reason": "length",
            "usage": {
                "prompt_tokens": 1,
                "completion_tokens": 2,
                "total_tokens": 3,
                "reasoning_tokens": 4,
                "cached_tokens": 5,
            },
            "cost": 0.25,
            "timing": {"time_to_first_token": 0.5, "total_time": 1.5},
            "message_id": "answer",
            "content_length": 2,
            "content_sha256": "ab",
            "finished": True,
        }

    def test_failed_has_the_fields_of_the_contract(self) -> None:
        assert written(FAILED) == {
            "type": "failed",
            "content": "",
            "error": {
                "type": "/problems/interrupted",
                "title": "The server stopped before the answer was done",
                "status": 503,
                "detail": "stopped",
                "request_id": None,
            },
            "message_id": None,
            "finished": True,
        }


class TestAProblem:
    def test_tells_faults_and_when_to_retry_where_there_are_any(self) -> None:
        problem = Problem(Kind.RATE_LIMITED, "slowly", (Fault("#/a", "is wrong"),), 2.5)

        data = json.loads(encode(problem_body(problem, "request")))

        assert data["errors"] == [{"pointer": "#/a", "detail": "is wrong"}]
        assert data["retry_after"] == 2.5
        assert data["request_id"] == "request"

    @pytest.mark.parametrize("kind", Kind)
    def test_has_a_slug_of_its_own_and_a_status_of_failure(self, kind: Kind) -> None:
        assert [other.slug for other in Kind].count(kind.slug) == 1
        assert 400 <= kind.status <= 599
        assert kind.title
