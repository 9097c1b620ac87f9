"""Which models the simulator lists."""

from collections.abc import Sequence

from attrs import field, frozen

CREATED = 1_754_408_224
"""When every model claims to have been made, in seconds since 1970."""


@frozen(kw_only=True)
class Pricing:
    """Prices in USD per token, as decimal strings, which is how Groq writes them."""

    prompt: str
    completion: str
    input_cache_read: str | None = None


@frozen
class SimulatedModel:
    """A model as `GET /openai/v1/models` lists it.

    A model with `reasoning` says some before its answer; one that is not `active` is listed, but
    refuses as decommissioned.
    """

    id: str
    context_window: int
    max_completion_tokens: int
    reasoning: bool = field(default=False, kw_only=True)
    active: bool = field(default=True, kw_only=True)
    name: str | None = field(default=None, kw_only=True)
    pricing: Pricing | None = field(default=None, kw_only=True)
    input_modalities: Sequence[str] = field(default=("text",), kw_only=True)
    output_modalities: Sequence[str] = field(default=("text",), kw_only=True)
    supported_features: Sequence[str] | None = field(default=None, kw_only=True)


def model_data(model: SimulatedModel) -> dict[str, object]:
    """The entry of one model, with the members of Groq's own list."""
    return {
        "id": model.id,
        "object": "model",
        "created": CREATED,
        "owned_by": "simulator",
        "active": model.active,
        "context_window": model.context_window,
        "public_apps": None,
        "max_completion_tokens": model.max_completion_tokens,
        "name": model.name or model.id,
        "input_modalities": model.input_modalities,
        "output_modalities": model.output_modalities,
        "supported_features": model.supported_features,
        "pricing": model.pricing and pricing_data(model.pricing),
    }


def pricing_data(pricing: Pricing) -> dict[str, str]:
    data = {"prompt": pricing.prompt, "completion": pricing.completion}
    if pricing.input_cache_read is not None:
        data["input_cache_read"] = pricing.input_cache_read
    return data
