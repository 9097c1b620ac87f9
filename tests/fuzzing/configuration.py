"""What comes of any bytes as configuration?"""

import attrs

from service.core.catalogue import Catalogue, CatalogueError, describe
from service.core.errors import ServiceError
from service.core.events import encode
from service.core.quota import Rate, RateLimits
from service.core.request import UnsupportedParameters, parse_chat
from service.limits.quotas import open_quotas
from service.settings import Settings, SettingsError, load_settings
from service.web.ratelimit import policy_of

REJECT = UnsupportedParameters.REJECT
CANARY = "canary-of-the-tests"
SECRETS = frozenset(
    field.name.upper() for field in attrs.fields(Settings) if field.metadata["secret"]
)


def settings(data: bytes) -> None:
    """Variables, `NAME=value` in a line each, are settings or are refused; no secret is shown."""
    lines = data.decode(errors="surrogateescape").split("\n")
    given = {name: value for name, _, value in (line.partition("=") for line in lines)}
    # A file may be a device, which has no end: files are for other tests.
    environment = {name: value for name, value in given.items() if not name.endswith("_FILE")}
    loaded(environment)

    secret = {name: f"{given.get(name, '')}{CANARY}" for name in SECRETS}
    assert CANARY not in loaded(environment | secret)
    for name, value in secret.items():
        assert CANARY not in loaded(environment | {name: value})


def loaded(environment: dict[str, str]) -> str:
    """What is printed of settings, or of what is wrong with them."""
    try:
        return repr(load_settings(environment))
    except SettingsError as error:
        assert str(error)
        return str(error)


def rate(data: bytes) -> None:
    """A limit is a rate that can be counted and told, or is refused."""
    text = data.decode(errors="surrogateescape")
    try:
        found = load_settings({"RATE_LIMIT_REQUESTS": text, "RATE_LIMIT_TOKENS": text})
    except SettingsError as error:
        assert str(error).count("\n") == 1
        return
    assert found.rate_limit_requests == found.rate_limit_tokens
    limits = RateLimits(found.rate_limit_requests, found.rate_limit_tokens)
    open_quotas(limits)
    if limits.requests:
        check_rate(limits.requests)
        assert policy_of(limits).isascii()


def check_rate(rate: Rate) -> None:
    """Fail unless a rate says in words what it says in figures."""
    again = load_settings({"RATE_LIMIT_REQUESTS": f"{rate.amount}/{rate.window}"})
    assert again.rate_limit_requests == rate
    assert rate.amount > 0
    assert rate.seconds > 0


def models_toml(data: bytes) -> None:
    """A catalogue can be shown and asked, or is refused with its faults."""
    try:
        catalogue = Catalogue.from_toml(data.decode(errors="replace"), "models.toml")
    except CatalogueError as error:
        assert all(line.startswith("models.toml: ") for line in str(error).split("\n"))
        return
    encode([describe(model) for model in catalogue.models])
    for model in catalogue.models[:20]:
        try:
            parse_chat({"model": model.id, "user_prompt": "?"}, catalogue, REJECT)
        except ServiceError as error:
            raise AssertionError(error.problem) from error
