"""How are log lines written? One JSON object or one console line each, never with contents."""

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress

import structlog
from msgspec.json import Encoder
from structlog.typing import EventDict, Processor

_encode = Encoder(enc_hook=repr).encode

QUIET = ("httpx", "httpcore", "groq", "aiosqlite", "asyncio", "pymongo")
"""Libraries that log every request, or values that are nobody's business."""


def configure_logs(level: str, *, json: bool, processors: Sequence[Processor] = ()) -> None:
    """Send what structlog and the standard library log to standard output, in one format.

    `processors` may add to every line.
    """
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        *processors,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, _json if json else _console],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Output(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _json_text if json else structlog.dev.ConsoleRenderer(),
            ],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class _Output:
    """Standard output; a line that cannot be written is lost, and nothing else is."""

    def msg(self, line: bytes) -> None:
        with suppress(OSError, ValueError):
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()

    debug = info = warning = error = critical = msg


def _json(_logger: object, _name: str, event: EventDict) -> bytes:
    return _encode(event)


_render = structlog.dev.ConsoleRenderer()


def _console(logger: object, name: str, event: EventDict) -> bytes:
    return _render(logger, name, event).encode(errors="replace")


def _json_text(_logger: object, _name: str, event: EventDict) -> str:
    return _encode(event).decode()
