import contextlib
import json
from collections.abc import Mapping
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import catalogue
from service.core.catalogue import PARAMETER_TYPES, Parameter, ParameterType
from service.core.errors import MOST_FAULTS, Kind, Problem, ServiceError
from service.core.request import (
    ChatRequest,
    ConversationChange,
    Fitted,
    OnDisconnect,
    RegenerateRequest,
    UnsupportedParameters,
    fingerprint,
    parse_change,
    parse_chat,
    parse_regenerate,
    usable_model,
)

CATALOGUE = catalogue()
REJECT, IGNORE = UnsupportedParameters.REJECT, UnsupportedParameters.IGNORE
LEAST = {"model": "small", "user_prompt": "Why?"}

Json = dict[str, object]


def parsed(value: object, unsupported: UnsupportedParameters = REJECT) -> ChatRequest:
    return parse_chat(value, CATALOGUE, unsupported)[0]


def fitted(
    hyperparameters: object, *, model: str = "small", unsupported: UnsupportedParameters = REJECT
) -> Fitted:
    value = LEAST | {"model": model, "hyperparameters": hyperparameters}
    return parse_chat(value, CATALOGUE, unsupported)[2]


def problem_of(value: object) -> Problem:
    with pytest.raises(ServiceError) as raised:
        parsed(value)
    return raised.value.problem


def faults_of(value: object) -> dict[str, str]:
    problem = problem_of(value)
    assert problem.kind is Kind.VALIDATION_ERROR
    return {fault.pointer: fault.detail for fault in problem.faults}


def fault_of(hyperparameters: object, *, model: str = "small") -> tuple[str, str]:
    """The pointer below `#/hyperparameters`, and the detail."""
    ((pointer, detail),) = faults_of(
        LEAST | {"model": model, "hyperparameters": hyperparameters}
    ).items()
    return pointer.removeprefix("#/hyperparameters"), detail


# Values that fit and values that do not, by what they are for.

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
not_strings = anything.filter(lambda value: value is not None and not isinstance(value, str))
blank = st.text(alphabet=" \t\n\r\u00a0\u2003", max_size=4)


def fit_values(parameter: Parameter) -> st.SearchStrategy[object]:
    """Values that a model takes for a parameter."""
    low, high = parameter.minimum, parameter.maximum
    match parameter.type:
        case _ if not parameter.supported:
            return st.none() | (
                st.none() if parameter.neutral is None else st.just(parameter.neutral)
            )
        case ParameterType.NUMBER:
            assert isinstance(low, float)
            return st.floats(low, high) | st.integers(int(low), int(high or 0))
        case ParameterType.INTEGER:
            assert low is None or isinstance(low, int)
            return st.integers(low, None if high is None else int(high))
        case ParameterType.STRING:
            return st.sampled_from(parameter.enum or ())
        case ParameterType.ARRAY:
            return st.lists(st.text(min_size=1, max_size=5), max_size=parameter.max_items)


def unfit_values(parameter: Parameter) -> st.SearchStrategy[object]:
    """Values that are wrong for a parameter as a whole, whether a model takes it or not."""
    low, high = parameter.minimum, parameter.maximum
    beyond = []
    if low is not None:
        beyond += [low - 1, low - 10**30]
    if high is not None:
        beyond += [high + 1, high + 10**30]
    outside = st.sampled_from(beyond) if beyond else st.nothing()
    match parameter.type:
        case ParameterType.NUMBER:
            return outside | st.sampled_from(["0.7", True, [], {}, ""])
        case ParameterType.INTEGER:
            return outside | st.sampled_from(["7", 7.0, False, [7], {}])
        case ParameterType.STRING:
            return st.sampled_from(["", "LOW", "other", 1, True, ["low"]])
        case ParameterType.ARRAY:
            return st.sampled_from(["END", ["a"] * 5, {"0": "a"}, 1, True])


@st.composite
def fit_requests(draw: st.DrawFn) -> Json:
    model = draw(st.sampled_from(["small", "thinker", "boundless"]))
    found = CATALOGUE.find(model)
    assert found
    hyperparameters = {name: fit_values(found.parameters[name]) for name in PARAMETER_TYPES}
    optional: dict[str, st.SearchStrategy[object]] = {
        "system_prompt": st.none() | st.text(max_size=10),
        "hyperparameters": st.none() | st.fixed_dictionaries({}, optional=hyperparameters),
        "save_conversation": st.none() | st.booleans(),
        "conversation_id": st.text(max_size=10),
        "parent_message_id": st.none() | st.text(max_size=10),
        "on_disconnect": st.sampled_from([None, "continue", "cancel"]),
    }
    value = draw(
        st.fixed_dictionaries(
            {"model": st.just(model), "user_prompt": st.text(min_size=1).filter(str.strip)},
            optional=optional,
        )
    )
    if value.get("conversation_id") is None:
        value.pop("parent_message_id", None)
    return value


TOP_LEVEL: Mapping[str, st.SearchStrategy[object]] = {
    "model": not_strings,
    "user_prompt": not_strings | blank,
    "system_prompt": not_strings,
    "hyperparameters": anything.filter(lambda v: v is not None and not isinstance(v, dict)),
    "save_conversation": anything.filter(lambda v: v is not None and not isinstance(v, bool)),
    "conversation_id": not_strings,
    "parent_message_id": not_strings,
    "on_disconnect": anything.filter(lambda v: v not in (None, "continue", "cancel")),
}


class TestAChatRequest:
    def test_may_hold_no_more_than_a_model_and_a_question(self) -> None:
        assert parsed(LEAST) == ChatRequest("small", "Why?")

    def test_has_its_members_as_they_were_sent(self) -> None:
        request = parsed(
            {
                "model": "small",
                "user_prompt": " Why? ",
                "system_prompt": "",
                "hyperparameters": {"temperature": 0.5},
                "save_conversation": False,
                "conversation_id": "c",
                "parent_message_id": "root",
                "on_disconnect": "cancel",
            }
        )

        assert request == ChatRequest(
            "small", " Why? ", "", {"temperature": 0.5}, False, "c", "root", OnDisconnect.CANCEL
        )

    @given(fit_requests())
    def test_that_is_fit_is_taken(self, value: Json) -> None:
        request, model, fitted = parse_chat(value, CATALOGUE, REJECT)

        given_values = value.get("hyperparameters")
        asked = given_values if isinstance(given_values, dict) else {}
        assert request.user_prompt == value["user_prompt"]
        assert model.id == value["model"]
        assert fitted.ignored == ()
        assert fitted.values == {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in asked.items()
            if value is not None and model.parameters[name].supported
        }

    @given(fit_requests(), st.sampled_from(list(TOP_LEVEL)), st.data())
    def test_with_one_member_at_fault_is_refused_for_that_one(
        self, value: Json, name: str, data: st.DataObject
    ) -> None:
        value.setdefault("conversation_id", "c")
        value[name] = data.draw(TOP_LEVEL[name])

        assert list(faults_of(value)) == [f"#/{name}"]

    @given(fit_requests(), st.sampled_from(list(PARAMETER_TYPES)), st.data())
    def test_with_one_hyperparameter_at_fault_is_refused_for_that_one(
        self, value: Json, name: str, data: st.DataObject
    ) -> None:
        parameter = CATALOGUE.general[name]
        asked = dict(value.get("hyperparameters") or {})  # type: ignore[call-overload]  # it is fit
        value["hyperparameters"] = asked | {name: data.draw(unfit_values(parameter))}

        assert list(faults_of(value)) == [f"#/hyperparameters/{name}"]

    @given(fit_requests(), st.text(max_size=50))
    def test_with_a_member_that_is_not_known_is_refused_at_its_pointer(
        self, value: Json, name: str
    ) -> None:
        (pointer,) = faults_of(value | {f"?{name}": None})

        assert pointer.isascii()
        assert (
            unquote(pointer).removeprefix("#/").replace("~1", "/").replace("~0", "~") == f"?{name}"
        )

    def test_has_its_unknown_members_escaped_in_their_pointers(self) -> None:
        assert list(faults_of(LEAST | {"a/b~c d": 1, "é": 1})) == ["#/a~1b~0c%20d", "#/%C3%A9"]

    @given(fit_requests(), st.text(max_size=50))
    def test_with_a_hyperparameter_that_is_not_known_is_refused_at_its_pointer(
        self, value: Json, name: str
    ) -> None:
        (pointer,) = faults_of(value | {"hyperparameters": {f"?{name}": None}})

        assert pointer.startswith("#/hyperparameters/%3F")

    @given(anything)
    def test_whatever_it_is_it_is_taken_or_refused(self, value: object) -> None:
        with pytest.raises(ServiceError):
            parsed(value)

    @given(
        st.dictionaries(st.sampled_from([*TOP_LEVEL, "x"]), anything),
        st.dictionaries(st.sampled_from([*PARAMETER_TYPES, "x"]), anything),
        st.sampled_from(UnsupportedParameters),
    )
    def test_whatever_its_members_are_it_is_taken_or_refused(
        self, value: Json, asked: Json, unsupported: UnsupportedParameters
    ) -> None:
        with contextlib.suppress(ServiceError):
            assert isinstance(
                parsed(LEAST | value | {"hyperparameters": asked}, unsupported), ChatRequest
            )

    @pytest.mark.parametrize("name", [n for n in TOP_LEVEL if n not in LEAST])
    def test_an_optional_member_that_is_null_is_as_if_it_were_not_there(self, name: str) -> None:
        assert parsed(LEAST | {name: None}) == parsed(LEAST)

    @pytest.mark.parametrize("name", PARAMETER_TYPES)
    def test_a_hyperparameter_that_is_null_is_as_if_it_were_not_there(self, name: str) -> None:
        assert fitted({name: None}).values == {}

    @pytest.mark.parametrize(
        ("value", "faults"),
        [
            ([], {"#": "must be an object, got an array"}),
            (None, {"#": "must be an object, got null"}),
            ({}, {"#/model": "is required", "#/user_prompt": "is required"}),
            (LEAST | {"model": None}, {"#/model": "is required"}),
            (LEAST | {"model": 1}, {"#/model": "must be a string, got 1"}),
            (
                LEAST | {"user_prompt": " \n"},
                {"#/user_prompt": "must hold at least one character that is not white space"},
            ),
            (
                LEAST | {"on_disconnect": "stop"},
                {"#/on_disconnect": 'must be one of continue, cancel; got "stop"'},
            ),
            (
                LEAST | {"save_conversation": "yes"},
                {"#/save_conversation": 'must be true or false, got "yes"'},
            ),
            (
                LEAST | {"parent_message_id": "m"},
                {"#/parent_message_id": "needs a conversation_id"},
            ),
            (
                LEAST | {"hyperparameters": []},
                {"#/hyperparameters": "must be an object, got an array"},
            ),
            (
                LEAST | {"system_prompt": {"a": 1}},
                {"#/system_prompt": "must be a string, got an object"},
            ),
        ],
    )
    def test_says_what_is_wrong(self, value: object, faults: dict[str, str]) -> None:
        assert faults_of(value) == faults

    def test_tells_all_its_faults_at_once(self) -> None:
        value = {
            "model": "nowhere",
            "system_prompt": 1,
            "x/y": 1,
            "parent_message_id": "m",
            "hyperparameters": {"top_p": 2, "stop": ["", 1], "max_tokens": 0.5, "z": 1},
        }

        assert set(faults_of(value)) == {
            "#/model",
            "#/user_prompt",
            "#/system_prompt",
            "#/x~1y",
            "#/parent_message_id",
            "#/hyperparameters/top_p",
            "#/hyperparameters/stop/0",
            "#/hyperparameters/stop/1",
            "#/hyperparameters/max_tokens",
            "#/hyperparameters/z",
        }

    def test_tells_no_more_faults_than_the_limit_and_repeats_no_long_value(self) -> None:
        hostile = {f"name{number}" * 100: "x" * 10_000 for number in range(1000)}

        problem = problem_of(LEAST | hostile | {"system_prompt": ["x" * 10_000]})

        assert len(problem.faults) == MOST_FAULTS
        assert max(len(fault.pointer) + len(fault.detail) for fault in problem.faults) < 500


class TestTheModel:
    def test_that_is_not_in_the_catalogue_is_the_problem_where_all_else_is_fit(self) -> None:
        problem = problem_of(LEAST | {"model": "nowhere"})

        assert problem.kind is Kind.UNKNOWN_MODEL
        assert problem.detail == (
            '"nowhere" is not in the catalogue; known are small, thinker, boundless'
        )

    def test_that_groq_does_not_serve_names_what_to_use_instead(self) -> None:
        problem = problem_of(LEAST | {"model": "old"})

        assert problem.kind is Kind.MODEL_UNAVAILABLE
        assert problem.detail.endswith("; use small instead")

    @pytest.mark.parametrize("model", ["nowhere", "old"])
    def test_is_one_fault_among_others(self, model: str) -> None:
        faults = faults_of({"model": model, "user_prompt": ""})

        assert list(faults) == ["#/user_prompt", "#/model"]

    def test_that_is_not_known_has_its_hyperparameters_checked_by_the_general_ranges(self) -> None:
        value = {"model": "nowhere", "user_prompt": "Why?", "hyperparameters": {"top_p": 2}}

        assert set(faults_of(value)) == {"#/hyperparameters/top_p", "#/model"}

    def test_usable_is_one_of_the_catalogue(self) -> None:
        assert usable_model("small", CATALOGUE).id == "small"
        with pytest.raises(ServiceError):
            usable_model("old", CATALOGUE)


class TestAHyperparameter:
    @pytest.mark.parametrize(
        ("value", "pointer", "detail"),
        [
            ({"temperature": 3.5}, "/temperature", "must be between 0.0 and 2.0, got 3.5"),
            ({"temperature": "0.7"}, "/temperature", 'must be a number, got "0.7"'),
            ({"temperature": True}, "/temperature", "must be a number, got true"),
            ({"max_tokens": 4097}, "/max_tokens", "must be between 1 and 4096, got 4097"),
            ({"max_tokens": 7.0}, "/max_tokens", "must be an integer, got 7.0"),
            ({"max_tokens": True}, "/max_tokens", "must be an integer, got true"),
            ({"top_k": -1}, "/top_k", "must be at least 0, got -1"),
            ({"stop": "END"}, "/stop", 'must be an array, got "END"'),
            ({"stop": ["a"] * 5}, "/stop", "must hold at most 4 items, got 5"),
            ({"stop": ["a", ""]}, "/stop/1", "must not be empty"),
            ({"stop": ["a", None]}, "/stop/1", "must be a string, got null"),
            ({"x": 1}, "/x", f"is not a known field; known are {', '.join(PARAMETER_TYPES)}"),
        ],
    )
    def test_at_fault_says_why(self, value: Json, pointer: str, detail: str) -> None:
        assert fault_of(value) == (pointer, detail)

    @pytest.mark.parametrize(
        ("value", "detail"),
        [
            ({"reasoning_effort": "low"}, "is not supported by small; supported by thinker"),
            ({"top_k": 1}, "is not supported by small; no model in the catalogue does"),
            (
                {"frequency_penalty": 0.5},
                "is not supported by small; no model in the catalogue does",
            ),
        ],
    )
    def test_that_a_model_does_not_take_names_those_that_do(self, value: Json, detail: str) -> None:
        assert fault_of(value) == (f"/{next(iter(value))}", detail)

    def test_that_a_model_does_not_take_is_checked_all_the_same(self) -> None:
        assert fault_of({"repetition_penalty": 3}) == (
            "/repetition_penalty",
            "must be between 0.0 and 2.0, got 3",
        )

    def test_in_its_neutral_place_is_taken_and_not_sent(self) -> None:
        neutral = {
            "top_k": 0,
            "repetition_penalty": 1,
            "frequency_penalty": 0.0,
            "presence_penalty": -0.0,
        }

        assert fitted(neutral) == Fitted({}, ())

    def test_that_a_model_does_not_take_may_be_left_out_and_named(self) -> None:
        result = fitted({"top_k": 5, "top_p": 0.5, "presence_penalty": 0}, unsupported=IGNORE)

        assert result == Fitted({"top_p": 0.5}, ("top_k",))

    def test_is_checked_against_the_entry_of_its_model(self) -> None:
        assert fitted({"max_tokens": 32000}, model="thinker").values == {"max_tokens": 32000}
        assert fitted({"reasoning_effort": "low"}, model="thinker").values == {
            "reasoning_effort": "low"
        }
        assert fault_of({"reasoning_effort": "none"}, model="thinker") == (
            "/reasoning_effort",
            'must be one of low, high; got "none"',
        )

    @pytest.mark.parametrize("seed", [2**63 - 1, -(2**63)])
    def test_a_seed_has_64_bits(self, seed: int) -> None:
        assert fitted({"seed": seed}).values == {"seed": seed}
        assert fault_of({"seed": seed * 2})[0] == "/seed"

    def test_a_number_of_any_size_is_told_shortly(self) -> None:
        _, detail = fault_of({"temperature": 10**400})

        assert len(detail) < 120


def regenerated(value: object) -> RegenerateRequest:
    return parse_regenerate(value, CATALOGUE, REJECT)


class TestRegenerate:
    def test_may_be_empty(self) -> None:
        assert regenerated({}) == RegenerateRequest()

    def test_has_what_shall_be_different(self) -> None:
        value = {"model": "small", "system_prompt": "", "hyperparameters": {"top_p": 0.5}}

        assert regenerated(value) == RegenerateRequest("small", "", {"top_p": 0.5})

    def test_without_a_model_leaves_hyperparameters_to_that_of_the_old_answer(self) -> None:
        value = {"hyperparameters": {"top_k": 5}}

        assert regenerated(value).hyperparameters == {"top_k": 5}

    @given(anything)
    def test_whatever_it_is_it_is_taken_or_refused(self, value: object) -> None:
        with contextlib.suppress(ServiceError):
            assert isinstance(regenerated(value), RegenerateRequest)

    @pytest.mark.parametrize(
        ("value", "pointers"),
        [
            ([], ["#"]),
            ({"model": 1}, ["#/model"]),
            ({"hyperparameters": []}, ["#/hyperparameters"]),
            ({"user_prompt": "Why?"}, ["#/user_prompt"]),
            ({"model": "small", "hyperparameters": {"top_k": 5}}, ["#/hyperparameters/top_k"]),
            ({"model": "nowhere", "system_prompt": 1}, ["#/system_prompt", "#/model"]),
        ],
    )
    def test_is_refused_with_all_its_faults(self, value: object, pointers: list[str]) -> None:
        with pytest.raises(ServiceError) as raised:
            regenerated(value)
        assert [fault.pointer for fault in raised.value.problem.faults] == pointers

    @pytest.mark.parametrize(
        ("model", "kind"), [("nowhere", Kind.UNKNOWN_MODEL), ("old", Kind.MODEL_UNAVAILABLE)]
    )
    def test_with_a_model_that_cannot_be_used_is_refused(self, model: str, kind: Kind) -> None:
        with pytest.raises(ServiceError) as raised:
            regenerated({"model": model})
        assert raised.value.problem.kind is kind


class TestAChange:
    def test_is_a_title_an_active_message_or_both(self) -> None:
        assert parse_change({"title": "T"}) == ConversationChange("T", None)
        assert parse_change({"active_message_id": "m"}) == ConversationChange(None, "m")
        assert parse_change({"title": "x" * 200, "active_message_id": "m"}).title == "x" * 200

    @pytest.mark.parametrize(
        ("value", "pointer"),
        [
            ({}, "#"),
            ({"title": None}, "#"),
            ([], "#"),
            ({"title": ""}, "#/title"),
            ({"title": "  "}, "#/title"),
            ({"title": "x" * 201}, "#/title"),
            ({"title": 1}, "#/title"),
            ({"active_message_id": 1}, "#/active_message_id"),
            ({"title": "T", "model": "m"}, "#/model"),
        ],
    )
    def test_is_refused_at_its_fault(self, value: object, pointer: str) -> None:
        with pytest.raises(ServiceError) as raised:
            parse_change(value)
        assert [fault.pointer for fault in raised.value.problem.faults] == [pointer]


class TestFingerprint:
    @given(st.dictionaries(st.text(max_size=3), anything))
    def test_is_the_same_for_the_same_json_value_however_it_is_written(self, value: Json) -> None:
        compact = json.dumps(value, separators=(",", ":"))
        reordered = json.dumps(backwards(value), indent=3, ensure_ascii=False)

        assert fingerprint(json.loads(compact)) == fingerprint(json.loads(reordered))

    @given(anything, anything)
    def test_is_another_for_another_value(self, one: object, other: object) -> None:
        same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

        assert (fingerprint(one) == fingerprint(other)) is same

    def test_depends_on_what_is_asked(self) -> None:
        marks = {
            fingerprint({}),
            fingerprint({}, "regenerate", "a", "b"),
            fingerprint({}, "regenerate", "a", "c"),
            fingerprint({}, "regenerate", "ab", ""),
        }

        assert len(marks) == 4

    def test_of_a_value_too_deep_is_a_refusal(self) -> None:
        value: object = "bottom"
        for _ in range(3000):
            value = [value]

        with pytest.raises(ServiceError) as raised:
            fingerprint(value)
        assert raised.value.problem.kind is Kind.MALFORMED_JSON


def backwards(value: object) -> object:
    """The same JSON value with its members in another order."""
    match value:
        case dict():
            return {name: backwards(value[name]) for name in reversed(value)}
        case list():
            return [backwards(item) for item in value]
        case _:
            return value
