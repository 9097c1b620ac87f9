"""What does a picture of the page say that it shows? A PNG file that carries a text."""

import zlib
from collections.abc import Iterator

KEYWORD = b"Description"
END_BYTES = 12


def with_text(png: bytes, text: str) -> bytes:
    """The picture with a text in it (PNG specification, chunk iTXt)."""
    data = KEYWORD + b"\0\0\0\0\0" + text.encode()
    chunk = b"iTXt" + data
    made = len(data).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
    return png[:-END_BYTES] + made + png[-END_BYTES:]


def text_in(png: bytes) -> str:
    """The text of a picture; raises LookupError where it has none."""
    for kind, data in _chunks(png):
        if kind == b"iTXt" and data.startswith(KEYWORD):
            return data[len(KEYWORD) + 5 :].decode()
    raise LookupError("the picture has no text in it")


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(png):
        length = int.from_bytes(png[at : at + 4])
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        at += length + END_BYTES
