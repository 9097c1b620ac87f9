"""What a client asks, as a value that is fit to be answered."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from attrs import fields, frozen
from msgspec import Meta

from service.simulator.answers import Refusal, RefusedError
from service.simulator.models import SimulatedModel
from service.simulator.tokens import estimate_tokens
from service.simulator.wire import entries, error_data

Penalty = Annotated[float, Meta(ge=-2, le=2)]
Tokens = Annotated[int, Meta(ge=1)]


@frozen(kw_only=True)
class StreamOptions:
    """What a streamed answer holds besides the text."""

    include_usage: bool | None = None


@frozen(kw_only=True)
class Message:
    """One message of the prompt. It has no `name`, which Groq refuses."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[dict[str, object]] | None = None
    reasoning: str | None = None
    tool_calls: list[object] | None = None
    tool_call_id: str | None = None
    function_call: object = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(str(part.get("text", "")) for part in self.content)
        return self.content or ""


@frozen(kw_only=True)
class Call:
    """The properties that a chat request may have.

    There is no `top_k`, `repetition_penalty`, `min_p`, `logprobs` or `logit_bias`: Groq refuses
    them. What is typed as `object` is accepted, and has no effect here.
    """

    messages: Annotated[list[Message], Meta(min_length=1)]
    model: str
    citation_options: object = None
    compound_custom: object = None
    disable_tool_validation: bool | None = None
    documents: object = None
    exclude_domains: object = None
    frequency_penalty: Penalty | None = None
    function_call: object = None
    functions: object = None
    include_domains: object = None
    include_reasoning: bool | None = None
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    metadata: object = None
    n: Literal[1] | None = None
    parallel_tool_calls: bool | None = None
    presence_penalty: Penalty | None = None
    reasoning_effort: Literal["none", "default", "low", "medium", "high"] | None = None
    reasoning_format: Literal["hidden", "raw", "parsed"] | None = None
    response_format: object = None
    search_settings: object = None
    seed: int | None = None
    service_tier: Literal["auto", "on_demand", "flex", "performance"] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    store: object = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    tool_choice: object = None
    tools: object = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None

    @property
    def prompt_tokens(self) -> int:
        return estimate_tokens([message.text for message in self.messages])

    @property
    def stops(self) -> list[str]:
        stop = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [sequence for sequence in stop if sequence]


def parse_call(body: bytes, models: Mapping[str, SimulatedModel]) -> Call:
    """Read the body of a chat request.

    Raises RefusedError with what Groq answers: 400 for a body that is not right, 404 for a model
    that is not listed.
    """
    value = decode_object(body)
    refuse_unknown(value, Call)
    for message in entries(value.get("messages")):
        if isinstance(message, dict):
            refuse_unknown(message, Message)
    try:
        call = msgspec.convert(value, Call)
    except msgspec.ValidationError as exc:
        raise bad_request(str(exc)) from exc
    check(call, find_model(call.model, models))
    return call


def decode_object(body: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise bad_request(f"request body is not a JSON object: {exc}") from exc


def refuse_unknown(value: Mapping[str, object], shape: type) -> None:
    known = {attribute.name for attribute in fields(shape)}
    for name in value:
        if name not in known:
            raise bad_request(f"property '{name}' is unsupported")


def find_model(model_id: str, models: Mapping[str, SimulatedModel]) -> SimulatedModel:
    """Raises RefusedError with Groq's 404 for a model that is not listed."""
    model = models.get(model_id)
    if model is None:
        message = f"The model `{model_id}` does not exist or you do not have access to it."
        raise RefusedError(Refusal(404, error_data(message, "model_not_found")))
    return model


def check(call: Call, model: SimulatedModel) -> None:
    """What the form alone does not show: whether the properties fit each other and the model."""
    if not model.active:
        message = f"The model `{model.id}` has been decommissioned and is no longer supported."
        raise bad_request(message, "model_decommissioned")
    if call.include_reasoning is not None and call.reasoning_format is not None:
        raise bad_request("only one of `include_reasoning` and `reasoning_format` may be given")
    if not model.reasoning:
        refuse_reasoning(call)
    for name in ("max_completion_tokens", "max_tokens"):
        if (getattr(call, name) or 0) > model.max_completion_tokens:
            limit = model.max_completion_tokens
            raise bad_request(f"`{name}` must be less than or equal to `{limit}`")
    if call.prompt_tokens >= model.context_window:
        message = "Please reduce the length of the messages or completion."
        raise bad_request(message, "context_length_exceeded")


def refuse_reasoning(call: Call) -> None:
    for name in ("reasoning_effort", "reasoning_format"):
        if getattr(call, name) is not None:
            raise bad_request(f"`{name}` is not supported with this model")
    if any(message.reasoning for message in call.messages):
        raise bad_request("reasoning is not supported with this model")


def bad_request(message: str, code: str | None = None) -> RefusedError:
    return RefusedError(Refusal(400, error_data(message, code)))
