import contextlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.catalogue import (
    PARAMETER_TYPES,
    Catalogue,
    CatalogueError,
    ListedModel,
    Model,
    ParameterType,
    Pricing,
    describe,
    is_chat_model,
)

SHIPPED = Path(__file__).parents[2] / "config" / "models.toml"

GENERAL = """
[parameters]
temperature = { minimum = 0.0, maximum = 2.0, default = 1.0 }
top_p = { minimum = 0.0, maximum = 1.0 }
max_tokens = { minimum = 1, maximum = 32000 }
stop = { max_items = 4 }
top_k = { supported = false, minimum = 0, neutral = 0 }
repetition_penalty = { supported = false, minimum = 0.0, maximum = 2.0, neutral = 1.0 }
frequency_penalty = { supported = false, minimum = -2.0, maximum = 2.0, neutral = 0.0 }
presence_penalty = { supported = false, minimum = -2.0, maximum = 2.0, neutral = 0.0 }
seed = {}
reasoning_effort = { supported = false, enum = ["none", "low", "high"] }
reasoning_format = { supported = false, enum = ["parsed", "raw", "hidden"] }
"""

TWO = (
    GENERAL
    + """
[[models]]
id = "small"
name = "Small"
context_window = 8192
max_completion_tokens = 4096
pricing = { prompt_per_million = 0.5, completion_per_million = 1 }
capabilities = ["prefill"]
replacement = "large"

[[models]]
id = "large"
name = "Large"
parameters.reasoning_effort = { supported = true, enum = ["low", "high"], default = "low" }
parameters.top_p = { supported = false }
"""
)

FIELDS = [
    "context_window",
    "max_completion_tokens",
    "capabilities",
    "pricing",
    "replacement",
    "parameters.temperature",
    "parameters.max_tokens.maximum",
    "parameters.max_tokens.default",
    "parameters.stop.max_items",
    "parameters.stop.default",
    "parameters.reasoning_effort.enum",
    "parameters.reasoning_effort.default",
]
VALUES = [
    *["0", "1", "-1", "70000", "1e3", "nan", "-inf", "99999999999999999999", "true"],
    *['""', '"m"', '"low"', "[]", '["a"]', "[1]", "[[]]", "1979-05-27", "07:32:00"],
    *["{}", "{ minimum = 1.5 }", "{ prompt_per_million = 0, completion_per_million = 0 }"],
]

FREE = Pricing(prompt_per_million=0.0, completion_per_million=0.0)


def read(text: str) -> Catalogue:
    return Catalogue.from_toml(text, "models.toml")


def faults_of(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        read(text)
    return str(caught.value).splitlines()


def entry(fields: str) -> str:
    return f'{GENERAL}\n[[models]]\nid = "m"\nname = "M"\n{fields}\n'


def found(catalogue: Catalogue, model_id: str) -> Model:
    model = catalogue.find(model_id)
    assert model is not None
    return model


def listed(model_id: str, *, active: bool = True, chat: bool = True) -> ListedModel:
    return ListedModel(id=model_id, active=active, chat=chat)


class TestShippedFile:
    @pytest.fixture
    def catalogue(self) -> Catalogue:
        return Catalogue.from_toml(SHIPPED.read_text(encoding="utf-8"), str(SHIPPED))

    def test_has_the_models_that_were_asked_for(self, catalogue: Catalogue) -> None:
        ids = {model.id for model in catalogue.models}

        assert ids >= {
            "llama-3.1-8b-instant",
            "openai/gpt-oss-120b",
            "qwen/qwen3-32b",
            "groq/compound",
        }

    def test_every_replacement_leads_to_a_model_that_has_none(self, catalogue: Catalogue) -> None:
        retired = [model for model in catalogue.models if model.replacement]
        replacements = [found(catalogue, str(model.replacement)) for model in retired]

        assert retired
        assert [model for model in replacements if model.replacement] == []

    def test_says_what_may_be_sent_for_each_parameter(self, catalogue: Catalogue) -> None:
        general = catalogue.general

        assert {name: (p.minimum, p.maximum) for name, p in general.items()} == {
            "temperature": (0.0, 2.0),
            "top_p": (0.0, 1.0),
            "max_tokens": (1, 32000),
            "stop": (None, None),
            "top_k": (0, None),
            "repetition_penalty": (0.0, 2.0),
            "frequency_penalty": (-2.0, 2.0),
            "presence_penalty": (-2.0, 2.0),
            "seed": (-(2**63), 2**63 - 1),
            "reasoning_effort": (None, None),
            "reasoning_format": (None, None),
        }
        assert general["stop"].max_items == 4
        assert {name: p.neutral for name, p in general.items() if p.neutral is not None} == {
            "top_k": 0,
            "repetition_penalty": 1.0,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
        }

    @pytest.mark.parametrize(
        "name", ["top_k", "repetition_penalty", "frequency_penalty", "presence_penalty"]
    )
    def test_no_model_takes_what_groq_does_not(self, catalogue: Catalogue, name: str) -> None:
        assert catalogue.supporting(name) == []

    def test_gpt_oss_takes_reasoning_format_as_include_reasoning(
        self, catalogue: Catalogue
    ) -> None:
        parameter = found(catalogue, "openai/gpt-oss-120b").parameters["reasoning_format"]

        assert parameter.enum == ("parsed", "hidden")
        assert parameter.sent_as == "include_reasoning"


class TestReading:
    def test_a_model_takes_the_general_range_where_it_says_nothing(self) -> None:
        catalogue = read(TWO)

        assert found(catalogue, "large").parameters["seed"] == catalogue.general["seed"]
        assert found(catalogue, "large").parameters["top_k"].supported is False

    def test_a_model_changes_only_what_it_says(self) -> None:
        large = found(read(TWO), "large")

        assert large.parameters["top_p"].supported is False
        assert large.parameters["top_p"].maximum == 1.0
        assert large.parameters["reasoning_effort"].enum == ("low", "high")
        assert large.parameters["reasoning_effort"].default == "low"

    def test_parameters_are_in_the_order_of_the_contract(self) -> None:
        large = found(read(TWO), "large")

        assert list(large.parameters) == list(PARAMETER_TYPES)
        assert {name: p.type for name, p in large.parameters.items()} == PARAMETER_TYPES

    def test_max_tokens_ends_at_the_models_own_limit(self) -> None:
        catalogue = read(TWO)

        assert found(catalogue, "small").parameters["max_tokens"].maximum == 4096
        assert found(catalogue, "large").parameters["max_tokens"].maximum == 32000

    def test_a_default_of_max_tokens_is_lowered_with_its_maximum(self) -> None:
        text = entry("max_completion_tokens = 100\nparameters.max_tokens = { default = 2000 }")

        parameter = found(read(text), "m").parameters["max_tokens"]

        assert (parameter.maximum, parameter.default) == (100, 100)

    def test_models_are_in_the_order_of_the_file(self) -> None:
        assert [model.id for model in read(TWO).models] == ["small", "large"]

    def test_availability_is_unknown_until_groq_was_asked(self) -> None:
        assert [model.available for model in read(TWO).models] == [None, None]

    def test_a_file_without_models_is_a_catalogue(self) -> None:
        assert read(GENERAL).models == ()


class TestFaults:
    def test_malformed_toml_is_located(self) -> None:
        (fault,) = faults_of("[parameters]\ntemperature = yes\n")

        assert fault.startswith("models.toml: not TOML: ")
        assert "line 2" in fault

    def test_toml_beyond_all_depth_is_no_toml(self) -> None:
        assert faults_of("a = " + "[" * 100_000) == ["models.toml: not TOML: nested too deeply"]

    @pytest.mark.parametrize(
        ("fields", "fault"),
        [
            ("context_window = true", "context_window: Expected `int | null`, got `bool`"),
            ("context_window = 8192.0", "context_window: Expected `int | null`, got `float`"),
            ("context_window = 0", "context_window: Expected `int` >= 1"),
            ('context = "x"', "context: unknown, must be one of id, name, replacement, "),
            ("available = true", "available: unknown, must be one of id, name, replacement, "),
            ("capabilities = [1]", "capabilities: Expected `str`, got `int` - at `$[0]`"),
            ("pricing = 1", "pricing: must be a table"),
            (
                "pricing = { prompt_per_million = -1, completion_per_million = 1 }",
                "pricing.prompt_per_million: Expected `float` >= 0.0",
            ),
            (
                "pricing = { prompt_per_million = inf, completion_per_million = 1 }",
                "pricing.prompt_per_million: must be finite and fit in 64 bits, got inf",
            ),
            (
                "pricing = { prompt_per_million = 1 }",
                "pricing.completion_per_million: is missing",
            ),
            ('replacement = "n"', "replacement: n is not the id of an entry"),
            ('replacement = "m"', "replacement: m is itself replaced, name what replaces it"),
            ("parameters = 1", "parameters: must be a table"),
            ("parameters.top_q = {}", "parameters.top_q: unknown, must be one of temperature, "),
            ("parameters.top_p = 1", "parameters.top_p: must be a table"),
            (
                'parameters.top_p.type = "number"',
                "parameters.top_p.type: unknown, must be one of supported, ",
            ),
            (
                "parameters.top_p = { supported = 1 }",
                "parameters.top_p.supported: Expected `bool`, got `int`",
            ),
            (
                "parameters.top_p = { minimum = true }",
                "parameters.top_p.minimum: Expected `int | float`, got `bool`",
            ),
            (
                "parameters.top_p = { maximum = nan }",
                "parameters.top_p.maximum: must be finite and fit in 64 bits, got nan",
            ),
            (
                "parameters.top_p = { minimum = 2.0 }",
                "parameters.top_p.minimum: must not exceed the maximum 1.0, got 2.0",
            ),
            (
                "parameters.top_p = { default = 1.5 }",
                "parameters.top_p.default: must be at most 1.0, got 1.5",
            ),
            (
                "parameters.top_k = { neutral = -1 }",
                "parameters.top_k.neutral: must be at least 0, got -1",
            ),
            (
                "parameters.top_k = { minimum = 0.5 }",
                "parameters.top_k.minimum: Expected `int`, got `float`",
            ),
            (
                'parameters.reasoning_effort = { default = "huge" }',
                "parameters.reasoning_effort.default: must be one of none, low, high, got huge",
            ),
            (
                "parameters.reasoning_effort = { enum = [] }",
                "parameters.reasoning_effort.enum: Expected `array` of length >= 1",
            ),
            (
                "parameters.reasoning_effort = { minimum = 1 }",
                "parameters.reasoning_effort.minimum: unknown, must be one of supported, ",
            ),
            (
                'parameters.stop = { default = ["a", "b", "c", "d", "e"] }',
                "parameters.stop.default: must have at most 4 items, got 5",
            ),
        ],
    )
    def test_a_fault_names_file_entry_and_field(self, fields: str, fault: str) -> None:
        (message,) = faults_of(entry(fields))

        assert message.startswith(f"models.toml: [[models]] 1 (m): {fault}")

    def test_all_faults_are_told_at_once(self) -> None:
        text = TWO.replace("maximum = 1.0", 'maximum = "1"').replace('name = "Small"', "")

        assert faults_of(text + "[[models]]\nid = 3\n[server]\n") == [
            "models.toml: server: unknown, must be one of parameters, models",
            "models.toml: [parameters]: top_p.maximum: Expected `int | float`, got `str`",
            "models.toml: [[models]] 1 (small): name: is missing",
            "models.toml: [[models]] 3: name: is missing",
            "models.toml: [[models]] 3: id: Expected `str`, got `int`",
        ]

    def test_an_id_given_twice_is_refused_at_both_places(self) -> None:
        assert faults_of(entry('[[models]]\nid = "m"\nname = "N"')) == [
            "models.toml: [[models]] 1 (m): id: is given more than once",
            "models.toml: [[models]] 2 (m): id: is given more than once",
        ]

    def test_the_general_table_has_every_parameter(self) -> None:
        assert faults_of(GENERAL.replace("seed = {}", "")) == [
            "models.toml: [parameters]: seed: is missing"
        ]

    def test_an_empty_file_is_refused(self) -> None:
        assert len(faults_of("")) == len(PARAMETER_TYPES)

    @pytest.mark.parametrize("models", ["models = 1", "models = [1]"])
    def test_models_are_tables(self, models: str) -> None:
        assert len(faults_of(f"{models}\n{GENERAL}")) == 1

    @given(st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES)))
    def test_whatever_an_entry_says_it_is_read_or_refused(self, fields: dict[str, str]) -> None:
        text = entry("\n".join(f"{name} = {value}" for name, value in fields.items()))

        with contextlib.suppress(CatalogueError):
            (model,) = read(text).models
            assert json.loads(msgspec.json.encode(describe(model)))["id"] == "m"


class TestGroqsList:
    def test_decides_what_is_available(self) -> None:
        catalogue = read(TWO)

        applied = catalogue.listed([listed("large")])

        assert applied is True
        assert found(catalogue, "small").available is False
        assert found(catalogue, "large").available is True

    def test_an_inactive_model_is_unavailable(self) -> None:
        catalogue = read(TWO)

        catalogue.listed([listed("large", active=False), listed("new", active=False)])

        assert found(catalogue, "large").available is False
        assert found(catalogue, "new").available is False

    def test_wins_on_limits_and_price_but_not_on_the_name(self) -> None:
        catalogue = read(TWO)
        small = ListedModel(
            id="small",
            active=True,
            chat=True,
            name="Other",
            context_window=2048,
            max_completion_tokens=1024,
            pricing=FREE,
            capabilities=("tools",),
        )

        catalogue.listed([small])

        model = found(catalogue, "small")
        assert (model.name, model.capabilities) == ("Small", ("prefill",))
        assert (model.context_window, model.max_completion_tokens) == (2048, 1024)
        assert model.pricing == FREE
        assert model.parameters["max_tokens"].maximum == 1024

    def test_what_it_leaves_out_stays_as_in_the_file(self) -> None:
        catalogue = read(TWO)
        before = found(catalogue, "small")

        catalogue.listed([listed("small")])

        after = found(catalogue, "small")
        assert (after.context_window, after.max_completion_tokens) == (8192, 4096)
        assert after.pricing == before.pricing
        assert after.parameters == before.parameters

    def test_a_raised_limit_raises_max_tokens_no_further_than_the_general_range(self) -> None:
        catalogue = read(TWO)
        raised = ListedModel(id="small", active=True, chat=True, max_completion_tokens=65536)

        catalogue.listed([raised])

        assert found(catalogue, "small").parameters["max_tokens"].maximum == 32000

    def test_chat_models_that_only_groq_knows_follow_those_of_the_file(self) -> None:
        catalogue = read(TWO)

        catalogue.listed([listed("zeta"), listed("alpha"), listed("whisper", chat=False)])

        assert [m.id for m in catalogue.models] == ["small", "large", "alpha", "zeta"]
        assert found(catalogue, "alpha").name == "alpha"
        assert found(catalogue, "alpha").available is True
        assert found(catalogue, "alpha").parameters["top_p"] == catalogue.general["top_p"]

    def test_a_model_that_only_groq_knew_goes_when_groq_drops_it(self) -> None:
        catalogue = read(TWO)
        catalogue.listed([listed("alpha")])

        catalogue.listed([listed("small")])

        assert [m.id for m in catalogue.models] == ["small", "large"]

    @pytest.mark.parametrize(
        ("capabilities", "supported"),
        [(None, True), (("tools", "reasoning"), True), (("tools",), False), ((), False)],
    )
    def test_an_unknown_model_takes_reasoning_unless_its_features_say_no(
        self, capabilities: tuple[str, ...] | None, supported: bool
    ) -> None:
        catalogue = read(TWO)
        new = ListedModel(id="new", active=True, chat=True, capabilities=capabilities)

        catalogue.listed([new])

        parameters = found(catalogue, "new").parameters
        assert parameters["reasoning_effort"].supported is supported
        assert parameters["reasoning_format"].supported is supported

    def test_an_empty_list_changes_nothing(self) -> None:
        catalogue = read(TWO)
        catalogue.listed([listed("small"), listed("alpha")])
        before = catalogue.models

        applied = catalogue.listed([])

        assert applied is False
        assert catalogue.models == before

    @given(
        st.lists(
            st.lists(
                st.builds(
                    ListedModel,
                    id=st.sampled_from(["small", "large", "alpha", "beta"]),
                    active=st.booleans(),
                    chat=st.booleans(),
                    name=st.sampled_from([None, "", "N"]),
                    context_window=st.none() | st.integers(min_value=0),
                    max_completion_tokens=st.none() | st.integers(min_value=0),
                    pricing=st.none() | st.just(FREE),
                    capabilities=st.none() | st.just(("reasoning",)),
                ),
                min_size=1,
                unique_by=lambda model: model.id,
            ),
            min_size=1,
            max_size=3,
        )
    )
    def test_only_the_last_list_counts(self, lists: list[list[ListedModel]]) -> None:
        catalogue, fresh = read(TWO), read(TWO)

        fresh.listed(lists[-1])
        for entries in lists:
            catalogue.listed(entries)

        active = {model.id for model in lists[-1] if model.active}
        limits = [m.parameters["max_tokens"].maximum for m in catalogue.models]
        assert catalogue.models == fresh.models
        assert [m.id for m in catalogue.models][:2] == ["small", "large"]
        assert {m.id for m in catalogue.models if m.available} <= active
        assert all(isinstance(limit, int) and 1 <= limit <= 32000 for limit in limits)
        assert all(list(m.parameters) == list(PARAMETER_TYPES) for m in catalogue.models)


class TestSupporting:
    def test_names_the_models_that_take_a_parameter(self) -> None:
        catalogue = read(TWO)

        assert catalogue.supporting("top_p") == ["small"]
        assert catalogue.supporting("reasoning_effort") == ["large"]
        assert catalogue.supporting("temperature") == ["small", "large"]

    def test_leaves_out_what_is_known_to_be_unavailable(self) -> None:
        catalogue = read(TWO)

        catalogue.listed([listed("large")])

        assert catalogue.supporting("temperature") == ["large"]


@pytest.mark.parametrize(
    ("model_id", "inputs", "outputs", "window", "chat"),
    [
        ("openai/gpt-oss-20b", ["text"], ["text"], 131072, True),
        ("openai/gpt-oss-safeguard-20b", ["text"], ["text"], 131072, True),
        ("qwen/qwen3.8-27b", ["text", "image"], ["text"], 131072, True),
        ("some/new-model", None, None, None, True),
        ("meta-llama/llama-prompt-guard-2-22m", ["text"], ["text"], 512, False),
        ("meta-llama/Llama-Prompt-Guard-3", ["text"], ["text"], 8192, False),
        ("some/classifier", ["text"], ["text"], 512, False),
        ("whisper-large-v3", ["audio"], ["transcription"], 448, False),
        ("canopylabs/orpheus-v1-english", ["text"], ["speech"], 4000, False),
        ("some/dictation", ["audio"], ["text"], 4096, False),
        ("some/painter", ["text"], ["text", "image"], 4096, False),
        ("whisper-large-v3", None, None, 4096, False),
        ("playai-tts", None, None, None, False),
        ("canopylabs/orpheus-v1-english", None, None, None, False),
        ("some/whisperer", ["text"], ["text"], 4096, True),
    ],
)
def test_a_chat_model_is_told_from_what_else_groq_lists(
    model_id: str,
    inputs: list[str] | None,
    outputs: list[str] | None,
    window: int | None,
    chat: bool,
) -> None:
    assert is_chat_model(model_id, inputs, outputs, window) is chat


class TestDescribe:
    def test_has_every_member_of_the_contract_and_null_where_there_is_nothing(self) -> None:
        item = json.loads(msgspec.json.encode(describe(found(read(TWO), "large"))))

        parameters = item.pop("parameters")
        assert item == {
            "id": "large",
            "name": "Large",
            "available": None,
            "replacement": None,
            "context_window": None,
            "max_completion_tokens": None,
            "capabilities": [],
            "pricing": None,
        }
        assert list(parameters) == list(PARAMETER_TYPES)
        assert parameters["reasoning_effort"] == {
            "supported": True,
            "type": "string",
            "minimum": None,
            "maximum": None,
            "default": "low",
            "enum": ["low", "high"],
        }

    def test_shows_how_many_items_an_array_takes(self) -> None:
        item = json.loads(msgspec.json.encode(describe(found(read(TWO), "small"))))

        assert item["parameters"]["stop"]["max_items"] == 4
        assert item["parameters"]["stop"]["type"] == ParameterType.ARRAY

    def test_shows_prices(self) -> None:
        item = json.loads(msgspec.json.encode(describe(found(read(TWO), "small"))))

        assert item["pricing"] == {
            "prompt_per_million": 0.5,
            "completion_per_million": 1.0,
            "cached_prompt_per_million": None,
        }

    def test_does_not_show_what_is_between_us_and_groq(self) -> None:
        text = entry('parameters.top_k = { sent_as = "k" }')

        item = json.loads(msgspec.json.encode(describe(found(read(text), "m"))))

        assert "neutral" not in item["parameters"]["top_k"]
        assert "sent_as" not in item["parameters"]["top_k"]
