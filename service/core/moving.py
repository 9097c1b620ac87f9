"""How are conversations moved from one store to another?

They are copied, then read again and compared. Both walks are in the order of ids and hold one small
batch. Only what differs is written, each conversation whole, so a walk that was broken off is gone
on with by walking again.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum, auto
from hashlib import sha256

import msgspec
from attrs import frozen

from service.core.conversation import Answer, AnswerStatus, Conversation
from service.core.errors import ServiceError
from service.core.ports import ConversationStore, Kept

MOST_CONVERSATIONS = 200
BATCH_BYTES = 2**21
"""That a batch aims at; one conversation may be more."""


class Step(Enum):
    """What is being done."""

    COPYING = "copying"
    VERIFYING = "verifying"


@frozen
class Progress:
    """How far it is, in conversations of the source."""

    step: Step
    done: int
    total: int
    messages: int


class Fate(Enum):
    """What is to be done with a conversation, by what the two stores have of it."""

    TO_COPY = auto()
    SAME = auto()
    WENT_ON = auto()
    """The target's is newer or longer, and holds all messages of the source's."""
    DIVERGED = auto()
    """The target's is newer or longer, and lacks something that was said in the source's."""
    GROWING = auto()
    """A run is under way in the source's."""


@frozen
class Pair:
    """A conversation of the source, and what the target has under its id."""

    source: Kept
    target: Kept | None

    def fate(self) -> Fate:
        """What is to be done with it."""
        here = self.source.conversation
        if any(isinstance(m, Answer) and m.status is AnswerStatus.STREAMING for m in here.messages):
            return Fate.GROWING
        if self.target is None:
            return Fate.TO_COPY
        if encoded(self.source) == encoded(self.target):
            return Fate.SAME
        there = self.target.conversation
        said_there = {message.message_id for message in there.messages}
        is_longer = not said_there.issubset(message.message_id for message in here.messages)
        if not is_longer and there.updated_at <= here.updated_at:
            return Fate.TO_COPY
        return Fate.WENT_ON if _holds(there, here) else Fate.DIVERGED


@frozen
class Batch:
    """Some conversations of the source, in the order of ids."""

    pairs: Sequence[Pair]
    unread: Sequence[str]
    """Ids of those that the source lists, and cannot give whole."""


@frozen
class Tally:
    """How much of what is to be the same in both stores one of them has."""

    conversations: int
    messages: int
    sha256: str
    """Of `encoded` of each conversation and a line feed, in the order of ids."""


@frozen
class Moved:
    """What became of a move."""

    copied: int
    """Conversations that were written."""
    source: Tally
    target: Tally
    went_on: Sequence[str]
    diverged: Sequence[str]
    growing: Sequence[str]
    """Ids of those that were not to be copied, by their fate."""
    unread: Sequence[str]
    """Ids of those that the source lists, and cannot give whole."""
    extra: int
    """Conversations that only the target has."""

    @property
    def verified(self) -> bool:
        """Whether the target has all that was said in the source."""
        left = (*self.diverged, *self.growing, *self.unread)
        return self.source == self.target and not left


async def move(
    source: ConversationStore, target: ConversationStore, tell: Callable[[Progress], None]
) -> Moved:
    """Copy all conversations of one open store to another, then read both again and compare.

    A conversation that is newer in the target stays as it is there. What fails raises
    `ServiceError`, whose detail begins with the store's role; all that was copied stays.
    """
    copied = await _copy(source, target, tell)
    return await _verify(source, target, tell, copied)


async def _copy(
    source: ConversationStore, target: ConversationStore, tell: Callable[[Progress], None]
) -> int:
    copied = 0
    async for batch in _batches(source, target, tell, Step.COPYING):
        if to_copy := [pair.source for pair in batch.pairs if pair.fate() is Fate.TO_COPY]:
            with _role("target"):
                await target.write(to_copy)
            copied += len(to_copy)
    return copied


async def _verify(
    source: ConversationStore,
    target: ConversationStore,
    tell: Callable[[Progress], None],
    copied: int,
) -> Moved:
    here, there = _Tallying(), _Tallying()
    known = 0
    unread: list[str] = []
    left: dict[Fate, list[str]] = {Fate.WENT_ON: [], Fate.DIVERGED: [], Fate.GROWING: []}
    async for batch in _batches(source, target, tell, Step.VERIFYING):
        unread += batch.unread
        for pair in batch.pairs:
            known += pair.target is not None
            if (fate := pair.fate()) in left:
                left[fate].append(pair.source.conversation.conversation_id)
                continue
            here.add(pair.source)
            if pair.target:
                there.add(pair.target)
    with _role("target"):
        count = await target.count()
    return Moved(
        copied=copied,
        source=here.tally(),
        target=there.tally(),
        went_on=left[Fate.WENT_ON],
        diverged=left[Fate.DIVERGED],
        growing=left[Fate.GROWING],
        unread=unread,
        extra=max(0, count - known),
    )


async def _batches(
    source: ConversationStore,
    target: ConversationStore,
    tell: Callable[[Progress], None],
    step: Step,
) -> AsyncIterator[Batch]:
    """All conversations of the source, and what the target has of them.

    The first batch is one conversation, and none is more than twice the last: a store of long
    conversations is not met with a batch for short ones.
    """
    with _role("source"):
        total = await source.count()
    done = messages = 0
    after, size = "", 1
    while True:
        with _role("source"):
            ids = await source.ids(after, size)
            here = await source.read(ids) if ids else ()
        if not ids:
            return
        with _role("target"):
            there = {kept.conversation.conversation_id: kept for kept in await target.read(ids)}
        pairs = [Pair(kept, there.get(kept.conversation.conversation_id)) for kept in here]
        read = {kept.conversation.conversation_id for kept in here}
        yield Batch(pairs, [known for known in ids if known not in read])
        done += len(ids)
        messages += sum(len(kept.conversation.messages) for kept in here)
        tell(Progress(step, done, max(done, total), messages))
        after, size = ids[-1], _next_size(size, here)


def _next_size(size: int, batch: Sequence[Kept]) -> int:
    weight = sum(len(encoded(kept)) for kept in batch) or 1
    return max(1, min(2 * size, MOST_CONVERSATIONS, size * BATCH_BYTES // weight))


def encoded(kept: Kept) -> bytes:
    """A conversation and its owner as JSON: the same bytes for the same values, on one line."""
    return _encode(kept)


_encode = msgspec.json.Encoder(order="deterministic").encode


def _holds(newer: Conversation, older: Conversation) -> bool:
    """Whether one version of a conversation has all messages of another, as they are there."""
    known = {message.message_id: message for message in newer.messages}
    return all(known.get(message.message_id) == message for message in older.messages)


class _Tallying:
    """A tally of what was read so far."""

    def __init__(self) -> None:
        self._conversations = 0
        self._messages = 0
        self._digest = sha256()

    def add(self, kept: Kept) -> None:
        self._conversations += 1
        self._messages += len(kept.conversation.messages)
        self._digest.update(encoded(kept) + b"\n")

    def tally(self) -> Tally:
        return Tally(self._conversations, self._messages, self._digest.hexdigest())


@contextmanager
def _role(role: str) -> Iterator[None]:
    """Say of a failure which of the two stores failed."""
    try:
        yield
    except ServiceError as exc:
        problem = exc.problem
        raise ServiceError(problem.kind, f"the {role}: {problem.detail}") from exc
