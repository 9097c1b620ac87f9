"""How are log lines written? One JSON object or one console line each, never with contents."""

import logging
import sys

import structlog
from msgspec.json import Encoder
from structlog.typing import EventDict, Processor

_encode = Encoder(enc_hook=repr).encode

QUIET = ("httpx", "httpcore", "groq", "aiosqlite", "asyncio")
"""Libraries that log every request, or values that are nobody's business."""


def configure_logs(level: str, *, json: bool) -> None:
    """Send what structlog and the standard library log to standard output, in one format."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    number = logging.getLevelNamesMapping()[level]
    structlog.configure(
        processors=[*shared, _json if json else structlog.dev.ConsoleRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=(
            structlog.BytesLoggerFactory(sys.stdout.buffer)
            if json
            else structlog.PrintLoggerFactory(sys.stdout)
        ),
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


def _json(_logger: object, _name: str, event: EventDict) -> bytes:
    return _encode(event)


def _json_text(_logger: object, _name: str, event: EventDict) -> str:
    return _encode(event).decode()
