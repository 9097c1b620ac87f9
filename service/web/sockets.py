"""Which sockets are open? Counted, told when the server goes away, and closed."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from service.core.errors import Kind, ServiceError

RETRY_SECONDS = (1.0, 3.0)
"""When to come back, spread so that not all come at once."""


MOST_WAITING = 1000
"""Sockets at once that need not be anybody's: each may hold a message of the greatest size."""


class OpenSocket(Protocol):
    """What is done with every socket at once."""

    def announce_draining(self, retry_after: float) -> None:
        """Tell the peer to go elsewhere after so many seconds."""
        ...

    async def go_away(self) -> None:
        """Close with 1001."""
        ...


class Sockets:
    """The open sockets of this process."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._addresses: Counter[str] = Counter()
        self._count = 0
        self._waiting = 0
        self._open: set[OpenSocket] = set()
        self._draining = False

    @property
    def count(self) -> int:
        """How many have a place."""
        return self._count

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """Take a place; raises `overloaded` or `rate-limited` where there is none."""
        if self._count >= self._most:
            raise ServiceError(
                Kind.OVERLOADED, f"all {self._most} places for sockets are taken", retry_after=1
            )
        if self._addresses[address] >= self._most_per_address:
            raise ServiceError(
                Kind.RATE_LIMITED,
                f"an address may have {self._most_per_address} sockets open",
                retry_after=1,
            )
        self._addresses[address] += 1
        self._count += 1
        try:
            yield
        finally:
            self._addresses[address] -= 1
            self._count -= 1
            if not self._addresses[address]:
                del self._addresses[address]

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a socket that has not said yet whose it is; raises `overloaded`."""
        if self._waiting >= MOST_WAITING:
            raise ServiceError(
                Kind.OVERLOADED, "too many sockets have not said whose they are", retry_after=1
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    @contextmanager
    def open(self, socket: OpenSocket) -> Iterator[None]:
        """Count a socket among those that are told."""
        self._open.add(socket)
        try:
            yield
        finally:
            self._open.discard(socket)

    def announce_draining(self) -> None:
        """Tell every peer that this server is going away, and those that come yet."""
        self._draining = True
        for socket in self._open:
            socket.announce_draining(_retry_after())

    def retry_after(self) -> float | None:
        """Seconds after which a new peer shall go elsewhere; None where it may stay."""
        return _retry_after() if self._draining else None

    async def close(self) -> None:
        """Close every socket."""
        await asyncio.gather(*(socket.go_away() for socket in list(self._open)))


def _retry_after() -> float:
    return round(random.uniform(*RETRY_SECONDS), 3)  # noqa: S311
