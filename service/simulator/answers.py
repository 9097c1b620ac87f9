"""What a request can be answered with."""

import asyncio
from collections.abc import Mapping, Sequence

from attrs import Factory, field, frozen


@frozen
class Text:
    """An answer that is written out, streamed or whole, as the client asked.

    It is sent as it stands, whatever limits the request had. `chunks` are explicit deltas, one to a
    chunk, in the place of `reasoning` and `content`. Without `usage` it is computed; an empty one
    leaves it out. At 0 tokens per second it is sent as fast as it can be.
    """

    content: str = ""
    reasoning: str = field(default="", kw_only=True)
    chunks: Sequence[Mapping[str, object]] | None = field(default=None, kw_only=True)
    finish_reason: str = field(default="stop", kw_only=True)
    usage: Mapping[str, object] | None = field(default=None, kw_only=True)
    tokens_per_second: float = field(default=0, kw_only=True)
    time_to_first_token_seconds: float = field(default=0, kw_only=True)


@frozen
class Refusal:
    """A whole answer with any status: a body of JSON, or the bytes as they are."""

    status: int
    body: Mapping[str, object] | bytes
    headers: Mapping[str, str] = Factory(dict)


@frozen
class Pause:
    """Nothing is sent for so long."""

    seconds: float


@frozen
class Gate:
    """Nothing is sent until the test sets the event."""

    event: asyncio.Event


@frozen
class Cut:
    """The TCP connection breaks off, after all that was sent before."""


@frozen
class Silence:
    """Nothing more is sent until the client leaves or the simulator stops."""


Piece = bytes | Pause | Gate | Cut | Silence


@frozen
class Raw:
    """Exact bytes, each piece in a write of its own, over chunked transfer coding.

    The response ends after the last piece, with `DONE` or without.
    """

    pieces: Sequence[Piece]
    status: int = field(default=200, kw_only=True)
    headers: Mapping[str, str] = field(factory=dict, kw_only=True)
    after: asyncio.Event | None = field(default=None, kw_only=True)
    """Until the test sets it, not even headers come back."""


@frozen
class NoResponse:
    """The request is taken, and not even headers come back."""


@frozen
class CutBeforeHeaders:
    """The request is taken, and the TCP connection breaks off."""


Fault = Refusal | Raw | NoResponse | CutBeforeHeaders
Answer = Text | Fault


class RefusedError(Exception):
    """The request is not fit to be answered; `refusal` is what the client gets."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.status)
        self.refusal = refusal
