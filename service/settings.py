"""What may be configured? One frozen value, from environment variables and `.env`."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import attrs
from attrs import field, frozen

from service.core.owners import KeyEntry, parse_entries
from service.core.quota import Rate
from service.core.request import UnsupportedParameters

T = TypeVar("T")


class SettingsError(ValueError):
    """Settings that cannot be used; the message names every one at fault, one to a line."""


class LogFormat(StrEnum):
    """How log lines are written."""

    CONSOLE = "console"
    JSON = "json"


class Secret(str):
    """A string that does not print."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Say only that there is something."""
        return "<secret>"


def _text(given: str) -> str:
    return given


def _boolean(given: str) -> bool:
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if given.lower() not in words:
        raise ValueError("must be true or false")
    return words[given.lower()]


def _integer(low: int, high: int | None = None) -> Callable[[str], int]:
    allowed = f"a whole number from {low} to {high}" if high else f"a whole number of {low} or more"

    def convert(given: str) -> int:
        if (
            not re.fullmatch("[0-9]{1,18}", given)
            or int(given) < low
            or (high and int(given) > high)
        ):
            raise ValueError(f"must be {allowed}")
        return int(given)

    return convert


def _seconds(*, zero: bool = False) -> Callable[[str], float]:
    def convert(given: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", given) or (float(given) == 0 and not zero):
            raise ValueError(f"must be seconds, {'0 or more' if zero else 'more than 0'}")
        return float(given)

    return convert


_WINDOWS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(rf"([0-9]{{1,12}}) ?(?:/|per) ?([0-9]{{1,4}})? ?({'|'.join(_WINDOWS)})s?")


def _rate(given: str) -> Rate:
    match = _RATE.fullmatch(given.lower())
    if match:
        amount, count, window = match.groups()
        rate = Rate(int(amount), int(count or 1) * _WINDOWS[window])
        if rate.amount and rate.seconds:
            return rate
    raise ValueError("must be so many per second, minute, hour or day, like 60/minute")


def _one_of(kind: Callable[[str], T], allowed: list[str]) -> Callable[[str], T]:
    def convert(given: str) -> T:
        try:
            return kind(given)
        except ValueError:
            raise ValueError(f"must be one of {', '.join(allowed)}") from None

    return convert


def _level(given: str) -> str:
    if given.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"):
        raise ValueError
    return given.upper()


def _has_host(url: str, *, alone: bool) -> bool:
    """Whether a URL names a host; `alone`: and nothing behind it."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when it is none
    except ValueError:
        return False
    rest = parts.path or parts.query or parts.fragment
    return bool(parts.scheme and parts.hostname and not (alone and rest))


def _url(given: str) -> str:
    if not given.lower().startswith(("http://", "https://")) or not _has_host(given, alone=False):
        raise ValueError("must be an http:// or https:// URL")
    return given


def _url_or_path(given: str) -> Secret:
    if given.startswith("{"):
        raise ValueError("must be a URL or the path of a file, not the JWKS itself")
    if "://" in given:
        _url(given)
    return Secret(given)


def _origins(given: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in given.split(",") if part.strip())
    if not all(origin == "*" or _has_host(origin, alone=True) for origin in origins):
        raise ValueError("must be origins like https://chat.example.com, or *")
    return tuple(map(_as_browsers_write_it, origins))


def _as_browsers_write_it(origin: str) -> str:
    """In small letters, and without the port that goes without saying (RFC 6454, section 6)."""
    origin = origin.lower()
    port = {"https": ":443", "http": ":80"}.get(origin.partition(":")[0], "")
    return origin.removesuffix(port)


def _host_names(given: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in given.split(",") if part.strip())
    if not all(re.fullmatch(r"[a-z0-9._-]+|\*", name) for name in names):
        raise ValueError("must be names like chat.example.com, without port, or *")
    return names


def _setting(convert: Callable[[str], T], default: T, help_text: str, *, secret: bool = False) -> T:
    metadata = {"convert": convert, "help": help_text, "secret": secret}
    made: T = field(default=default, metadata=metadata, repr=_hidden if secret else True)
    return made


def _hidden(value: object) -> str:
    return "None" if value is None else "<secret>"


@frozen(kw_only=True)
class Settings:
    """Everything that may be configured; a field's name in capitals is its variable's."""

    groq_api_key: Secret | None = _setting(
        Secret, None, "the key for Groq's API; needed, unless --simulate", secret=True
    )
    groq_base_url: str = _setting(
        _url, "https://api.groq.com", "host of the Groq API, or of anything that speaks it"
    )
    host: str = _setting(_text, "127.0.0.1", "address to listen on")
    port: int = _setting(_integer(0, 65535), 8000, "port to listen on; 0 takes a free one")
    api_keys: tuple[KeyEntry, ...] = _setting(
        parse_entries,
        (),
        "name:sha256-hex of every key that is accepted, comma-separated",
        secret=True,
    )
    jwt_jwks: Secret | None = _setting(
        _url_or_path,
        None,
        "URL or file of the keys that sign the JWTs that are accepted (a JWKS)",
        secret=True,
    )
    jwt_issuer: str | None = _setting(_text, None, "the iss that a JWT must have")
    jwt_audience: str | None = _setting(
        _text, None, "the aud that a JWT must have; without this it must have none"
    )
    allow_anonymous: bool = _setting(
        _boolean, False, "listen beyond loopback although there is no authentication"
    )
    debug: bool = _setting(_boolean, False, "detailed logs")
    log_level: str = _setting(
        _one_of(_level, ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]),
        "INFO",
        "least level of what is logged",
    )
    log_format: LogFormat | None = _setting(
        _one_of(LogFormat, list(LogFormat)), None, "console on a terminal, else json"
    )
    cors_origins: tuple[str, ...] = _setting(
        _origins,
        ("http://localhost:3000", "http://localhost:5173"),
        "origins of browsers that may read the answers, comma-separated",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        _host_names,
        (),
        "names that the service goes by besides localhost, comma-separated, or *; without it all"
        " that a proxy passes on",
    )
    playground: bool | None = _setting(
        _boolean, None, "show the playground at /; without it only where HOST is loopback"
    )
    conversation_store: str = _setting(
        _text,
        "sqlite:///data/conversations.db",
        "memory://, sqlite:///relative/path, sqlite:////absolute/path, mongodb://… or mongodb+srv://…",
        secret=True,
    )
    mongodb_uri: Secret | None = _setting(
        Secret, None, "a store in MongoDB; the same as in CONVERSATION_STORE, and wins", secret=True
    )
    mongodb_pool_size: int = _setting(
        _integer(1, 10_000), 100, "connections to each server of MongoDB at the most"
    )
    claim_lease: float = _setting(
        _seconds(),
        15.0,
        "seconds until others may take the conversations of a process that is silent; MongoDB only",
    )
    config_dir: Path = _setting(Path, Path("config"), "where models.toml is")
    run_retention: float = _setting(
        _seconds(zero=True),
        300.0,
        "seconds that the log and the key of an ended run are kept; clients count on over 270",
    )
    run_retention_bytes: int = _setting(
        _integer(0), 268_435_456, "bytes that all such logs may hold; the oldest go first"
    )
    disconnect_grace: float = _setting(
        _seconds(zero=True),
        10.0,
        "seconds until a run that shall not go on alone is cancelled when its last reader leaves",
    )
    keepalive_interval: float = _setting(
        _seconds(), 15.0, "seconds of silence on a stream until a comment line is sent"
    )
    send_timeout: float = _setting(
        _seconds(), 60.0, "seconds until a reader that takes nothing is dropped"
    )
    drain_timeout: float = _setting(
        _seconds(zero=True), 30.0, "seconds that running answers have to end when the server stops"
    )
    max_active_runs: int = _setting(_integer(1), 1000, "runs at once")
    max_body_bytes: int = _setting(_integer(1024), 1_048_576, "bytes of a request's body")
    max_connections: int | None = _setting(
        _integer(1), None, "connections at once; without it as many as the system lets us open"
    )
    header_timeout: float = _setting(
        _seconds(), 10.0, "seconds for the first request's line and headers to arrive"
    )
    max_sockets: int = _setting(_integer(1), 20_000, "WebSockets at once")
    max_sockets_per_address: int = _setting(
        _integer(1), 10_000, "WebSockets at once from one address; a proxy counts as one"
    )
    socket_max_runs: int = _setting(_integer(1), 16, "runs that one WebSocket reads at once")
    socket_messages_per_second: int = _setting(
        _integer(1), 20, "messages that one WebSocket may send a second, in the long run"
    )
    socket_messages_burst: int = _setting(_integer(1), 40, "messages that it may send at once")
    socket_ping_interval: float = _setting(
        _seconds(), 20.0, "seconds between pings; who is silent for two of them is dropped"
    )
    upstream_connect_timeout: float = _setting(_seconds(), 5.0, "seconds to connect to Groq")
    upstream_first_token_timeout: float = _setting(
        _seconds(), 60.0, "seconds from the request to the first byte of Groq's answer, in all"
    )
    upstream_idle_timeout: float = _setting(
        _seconds(), 30.0, "seconds between two pieces of Groq's answer"
    )
    upstream_max_retries: int = _setting(
        _integer(0, 10), 2, "further attempts before an answer has begun"
    )
    upstream_max_retry_wait: float = _setting(
        _seconds(zero=True), 5.0, "longest retry-after of Groq's, in seconds, that is waited for"
    )
    continue_interrupted: bool = _setting(
        _boolean,
        False,
        "let an answer that Groq cuts off go on, at most once, where its model can",
    )
    max_run_duration: float = _setting(_seconds(), 600.0, "seconds that a run may live")
    unsupported_parameters: UnsupportedParameters = _setting(
        _one_of(UnsupportedParameters, list(UnsupportedParameters)),
        UnsupportedParameters.REJECT,
        "what is done with a hyperparameter that a model does not take: reject or ignore",
    )
    rate_limit_requests: Rate | None = _setting(
        _rate, None, "runs that an owner may start, such as 60/minute"
    )
    rate_limit_tokens: Rate | None = _setting(
        _rate, None, "tokens that an owner may use, such as 200000/day"
    )
    rate_limit_concurrent_runs: int | None = _setting(
        _integer(1), None, "runs that an owner may have at once"
    )

    @property
    def store_url(self) -> str:
        """Where conversations are kept."""
        return self.mongodb_uri or self.conversation_store

    @property
    def shows_playground(self) -> bool:
        """Whether there is one; unless somebody said so, strangers get none."""
        return _is_loopback(self.host) if self.playground is None else self.playground


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from variables; an empty one counts as not set.

    `NAME_FILE` names a file that holds the value of `NAME`. Raises `SettingsError` with every
    fault; the values of secrets are not in it.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for attribute in attrs.fields(Settings):
        name, given = attribute.name.upper(), ""
        try:
            given = given_value(environment, name)
            if given:
                values[attribute.name] = attribute.metadata["convert"](given)
        except ValueError as exc:
            shown = f", got {given[:60]!r}" if given and not attribute.metadata["secret"] else ""
            faults.append(f"{name} {exc}{shown}")
        except OSError as exc:
            faults.append(f"{name}_FILE cannot be read: {exc.strerror}")
    if not faults:
        settings = Settings(**values)  # type: ignore[arg-type]  # converted above
        faults = _contradictions(settings)
        if not faults:
            return settings
    raise SettingsError("\n".join(faults))


def _contradictions(settings: Settings) -> list[str]:
    """Settings that are fit, each for itself, and unfit together."""
    faults = []
    if not settings.jwt_jwks:
        faults = [
            f"{name} does nothing without JWT_JWKS, the keys that sign JWTs"
            for name, value in (
                ("JWT_ISSUER", settings.jwt_issuer),
                ("JWT_AUDIENCE", settings.jwt_audience),
            )
            if value
        ]
    authenticated = settings.api_keys or settings.jwt_jwks
    if not authenticated and not settings.allow_anonymous and not _is_loopback(settings.host):
        faults.append(
            f"HOST {settings.host[:60]!r} lets other machines in, and there is no authentication:"
            " set API_KEYS (python -m service keys new NAME prints a key and its entry) or"
            " JWT_JWKS, or ALLOW_ANONYMOUS=true to serve whoever can connect, or HOST=127.0.0.1"
        )
    return faults


def _is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host; any name but localhost may lead anywhere."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def given_value(environment: Mapping[str, str], name: str) -> str:
    """What a variable says, or the file that `NAME_FILE` names; empty where there is nothing."""
    if path := environment.get(f"{name}_FILE", "").strip():
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:  # which would tell of the content
            raise ValueError("must be UTF-8 text in its file") from None
    return environment.get(name, "").strip()
