"""How is a person told of conversations that move from one store to another?"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Self, TextIO

from service.core.errors import ServiceError
from service.core.moving import Moved, Progress, Tally, move
from service.core.ports import ConversationStore

SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REWRITES = 0.1
"""Of the one line that a terminal is shown."""
MOST_IDS = 20
"""That are printed of each kind of conversation that was left alone."""
CLEAR_LINE = "\r\x1b[K"

WARNING = """\
Stop the services that use either store first: opening a store ends the answers that a crash left
unfinished, and what is asked meanwhile may stay behind. The source keeps everything; its schema is
brought up to date. A conversation that is newer in the target stays as it is there.
Run the same command again after an interruption: it goes on where it stopped."""

WENT_ON = "went on in the target, and stay as they are there"
DIVERGED = "went on in both stores, and were not copied; delete one of the two, and run this again"
GROWING = (
    "have an answer that is still being written, and were not copied; stop the services"
    " (after a crash, wait for its claims to lapse), and run this again"
)
UNREAD = "cannot be read whole in the source, and were not copied"
AGAIN = "Run the same command again: it goes on where it stopped."


async def migrate(
    source: ConversationStore, target: ConversationStore, out: TextIO, err: TextIO
) -> bool:
    """Move all conversations; whether it is verified that all are in the target.

    The result goes to `out`; progress and failures go to `err`.
    """
    try:
        async with AsyncExitStack() as opened:
            for role, store in (("source", source), ("target", target)):
                await _open(role, store)
                opened.push_async_callback(store.close)
            with Shown(err) as shown:
                moved = await move(source, target, shown.tell)
    except ServiceError as exc:
        err.write(f"Stopped: {exc.problem.detail}. {AGAIN}\n")
        return False
    out.writelines(f"{line}\n" for line in told(moved))
    return moved.verified


async def _open(role: str, store: ConversationStore) -> None:
    try:
        await store.open()
    except ServiceError as exc:
        problem = exc.problem
        raise ServiceError(problem.kind, f"the {role} ({store.kind}): {problem.detail}") from exc


class Shown:
    """Progress: on a terminal one line that is rewritten, elsewhere a line every few seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._rewrites = stream.isatty()
        self._seconds = SECONDS_BETWEEN_REWRITES if self._rewrites else SECONDS_BETWEEN_LINES
        self._last = time.monotonic()
        self._line_is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_line()

    def tell(self, progress: Progress) -> None:
        """Show it if it is time, or the end of a step."""
        now = time.monotonic()
        ended = progress.done == progress.total
        if not ended and now - self._last < self._seconds:
            return
        self._last = now
        line = _progress_line(progress)
        self._stream.write(f"{CLEAR_LINE}{line}" if self._rewrites else line)
        self._line_is_open = True
        if ended or not self._rewrites:
            self._end_line()
        self._stream.flush()

    def _end_line(self) -> None:
        if self._line_is_open:
            self._stream.write("\n")
        self._line_is_open = False


def _progress_line(progress: Progress) -> str:
    percent = 100 * progress.done // progress.total
    return (
        f"{progress.step.value}: {progress.done:,} of {progress.total:,} conversations"
        f" ({percent} %), {progress.messages:,} messages"
    )


def told(moved: Moved) -> Iterator[str]:
    """The result, line by line."""
    yield f"{'':6} {'conversations':>15} {'messages':>12}  SHA-256"
    yield _row("source", moved.source)
    yield _row("target", moved.target)
    yield f"Copied: {moved.copied:,}. Only in the target: {moved.extra:,}."
    yield from _left(WENT_ON, moved.went_on)
    yield from _left(DIVERGED, moved.diverged)
    yield from _left(GROWING, moved.growing)
    yield from _left(UNREAD, moved.unread)
    if moved.verified:
        yield "Verified: the target has all that was said in the source."
    else:
        yield "NOT VERIFIED: the target lacks something that the source has."


def _row(role: str, tally: Tally) -> str:
    return f"{role:6} {tally.conversations:>15,} {tally.messages:>12,}  {tally.sha256}"


def _left(what: str, ids: Sequence[str]) -> Iterator[str]:
    """A line for conversations that were left alone, and a line for each of them."""
    if not ids:
        return
    yield f"{len(ids):,} {what}:"
    yield from (f"  {conversation_id}" for conversation_id in ids[:MOST_IDS])
    if len(ids) > MOST_IDS:
        yield f"  and {len(ids) - MOST_IDS:,} more"
