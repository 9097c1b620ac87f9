"""What is in a file of the package, as it is sent to browsers?"""

import asyncio
import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from stat import S_ISREG

from attrs import frozen

PACKAGED = Path(__file__).parent.parent / "static"

TYPES: Mapping[str, str] = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""By suffix; the system's own table may say otherwise. What is not here is not sent."""

COMPRESSION_LEVEL = 6
WORTH_COMPRESSING_BYTES = 1024
_COMPRESSED_ALREADY = {".png"}


@frozen
class File:
    """A file as it is sent."""

    content_type: str
    body: bytes
    packed: bytes | None
    """By gzip, where that is worth it."""
    tag: str
    """Changes with the content."""


@frozen
class _Read:
    version: tuple[int, int]
    """When it was written, and its size."""
    file: File


class Files:
    """The files below a directory; each is read and compressed once, and again when it changes."""

    def __init__(self, root: Path = PACKAGED) -> None:
        self._root = root
        self._read: dict[Path, _Read] = {}

    async def find(self, name: str) -> File | None:
        """The file that is called so, its path relative to the directory."""
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> File | None:
        """In a thread; two that find the same file do the same work, and either result stays."""
        try:
            root = self._root.resolve()
            path = (root / name).resolve()
            own = path.relative_to(root).as_posix() == name  # else it goes by links, or by `..`
            state = path.stat()
        except (OSError, RuntimeError, ValueError):  # not there, a link in a circle, not below it
            return None
        if not own or path.suffix not in TYPES or not S_ISREG(state.st_mode):
            return None
        version = (state.st_mtime_ns, state.st_size)
        read = self._read.get(path)
        if read is None or read.version != version:
            read = self._read[path] = _Read(version, _file_of(path))
        return read.file


def _file_of(path: Path) -> File:
    body = path.read_bytes()
    packed = None
    if path.suffix not in _COMPRESSED_ALREADY and len(body) >= WORTH_COMPRESSING_BYTES:
        packed = gzip.compress(body, COMPRESSION_LEVEL, mtime=0)
    return File(TYPES[path.suffix], body, packed, hashlib.sha256(body).hexdigest()[:32])
