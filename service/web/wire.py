"""How does an event look on the wire?"""

from collections.abc import Sequence

KEEP_ALIVE = b": keep-alive\n"


def ws_frames(prefix: bytes, first_seq: int, payloads: Sequence[bytes]) -> list[bytes]:
    """Encoded events as messages of a socket; `prefix` is `{"id":ID,"seq":`, ID encoded."""
    if len(payloads) == 1:
        return [b"%b%d,%b" % (prefix, first_seq, payloads[0][1:])]
    return [
        b"%b%d,%b" % (prefix, seq, payload[1:]) for seq, payload in enumerate(payloads, first_seq)
    ]


def sse_frames(run_id: bytes, first_seq: int, payloads: Sequence[bytes]) -> bytes:
    """Encoded events as server-sent events, the first of them numbered `first_seq`.

    `data` goes before `id`: a client that takes an id as soon as it reads it loses nothing when
    it is cut inside a frame.
    """
    if len(payloads) == 1:  # as it is most of the time
        return b"data: %b\nid: %b:%d\n\n" % (payloads[0], run_id, first_seq)
    return b"".join(
        [
            b"data: %b\nid: %b:%d\n\n" % (payload, run_id, seq)
            for seq, payload in enumerate(payloads, first_seq)
        ]
    )
