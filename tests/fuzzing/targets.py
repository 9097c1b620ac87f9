"""Which parsers take outside bytes? Each as a function that raises where it breaks a promise."""

from collections.abc import Callable, Mapping
from pathlib import Path

from fuzzing import bodies, configuration, credentials, requests, upstream

Target = Callable[[bytes], None]

CORPUS = Path(__file__).parent / "corpus"
"""A directory for each target, with inputs that reach different parts of its parser."""

TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        bodies.chat_body,
        bodies.regenerate_body,
        bodies.change_body,
        bodies.socket_message,
        upstream.groq_stream,
        upstream.groq_limits,
        upstream.groq_models,
        upstream.groq_refusal,
        requests.list_query,
        requests.usage_query,
        requests.run_cursor,
        requests.idempotency_key,
        requests.authorization,
        requests.names,
        credentials.credential,
        credentials.jwt_parts,
        credentials.jwk_set,
        credentials.api_keys,
        configuration.settings,
        configuration.rate,
        configuration.models_toml,
    )
}
