"""How are conversations kept in memory? As values that are replaced, never changed."""

from collections.abc import Sequence

from attrs import evolve

from service.core.conversation import Answer, AnswerStatus, Conversation, Message, Question, Summary
from service.core.errors import Kind, ServiceError, no_conversation
from service.core.ports import Beginning, Checkpoint, Kept, Lost, Page, Position
from service.core.search import matches
from service.core.spending import By, Expense, Spent, expense_of, sum_of


class MemoryStore:
    """Conversations for as long as the process lives.

    Nothing is awaited inside a method, so each is one step: whole, and seen whole.
    """

    kind = "memory"

    def __init__(self) -> None:
        self._kept: dict[str, Conversation] = {}
        self._owners: dict[str, str] = {}
        self._growing: dict[str, str] = {}  # answer → conversation
        self._expenses: dict[str, Expense] = {}  # by answer
        self._is_open = False

    async def open(self) -> None:
        if self._is_open:
            return
        for message_id, conversation_id in self._growing.items():
            answer = self._kept[conversation_id].message(message_id)
            assert isinstance(answer, Answer)
            self._replace(conversation_id, evolve(answer, status=AnswerStatus.PARTIAL))
        self._growing.clear()
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def ping(self) -> None:
        self._check_open()

    async def get(self, owner: str, conversation_id: str) -> Conversation | None:
        self._check_open()
        return self._kept[conversation_id] if self._has(owner, conversation_id) else None

    async def take(self, owner: str, conversation_id: str, run_id: str) -> Conversation | None:
        return await self.get(owner, conversation_id)

    async def release(self, conversation_id: str, run_id: str) -> None:
        """No other process has it: `Runs` knows all its claims."""

    async def claimed_by(self, owner: str, conversation_id: str) -> str | None:
        return None

    async def renew(self) -> Sequence[Lost]:
        return ()

    async def begin(self, beginning: Beginning) -> None:
        self._check_open()
        if beginning.conversation_id not in self._kept:
            conversation = _new_conversation(beginning)
            self._owners[beginning.conversation_id] = beginning.owner
        elif self._has(beginning.owner, beginning.conversation_id):
            conversation = self._kept[beginning.conversation_id]
        else:
            raise no_conversation()
        answer, question = beginning.answer, beginning.question
        self._kept[beginning.conversation_id] = evolve(
            conversation,
            updated_at=answer.created_at,
            active_message_id=answer.message_id,
            messages=(*conversation.messages, *([question] if question else []), answer),
        )
        self._expenses[answer.message_id] = expense_of(beginning.owner, answer)
        if answer.status is AnswerStatus.STREAMING:
            self._growing[answer.message_id] = beginning.conversation_id

    async def checkpoint(self, checkpoints: Sequence[Checkpoint]) -> None:
        self._check_open()
        for checkpoint in checkpoints:
            if conversation_id := self._growing.get(checkpoint.message_id):
                answer = self._kept[conversation_id].message(checkpoint.message_id)
                assert isinstance(answer, Answer)
                self._replace(conversation_id, _grown(answer, checkpoint))

    async def finish(self, conversation_id: str, answer: Answer, updated_at: str) -> None:
        self._check_open()
        if begun := self._expenses.get(answer.message_id):
            self._expenses[answer.message_id] = expense_of(begun.owner, answer)
        conversation = self._kept.get(conversation_id)
        if conversation and conversation.message(answer.message_id):
            self._growing.pop(answer.message_id, None)
            self._kept[conversation_id] = evolve(
                conversation, updated_at=max(updated_at, conversation.updated_at)
            )
            self._replace(conversation_id, answer)

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        self._check_open()
        found = [
            conversation
            for conversation in sorted(self._kept.values(), key=_place, reverse=True)
            if self._has(owner, conversation.conversation_id)
            if after is None or _place(conversation) < (after.updated_at, after.conversation_id)
            if not words or matches(words, _searchable(conversation))
        ]
        return Page(_summaries(found[:limit]), last=len(found) <= limit)

    async def change(
        self, owner: str, conversation_id: str, *, title: str | None, active_message_id: str | None
    ) -> None:
        if conversation := await self.get(owner, conversation_id):
            self._kept[conversation_id] = evolve(
                conversation,
                title=conversation.title if title is None else title,
                active_message_id=active_message_id or conversation.active_message_id,
            )

    async def delete(self, owner: str, conversation_id: str) -> bool:
        self._check_open()
        if not self._has(owner, conversation_id):
            return False
        self._remove(conversation_id)
        return True

    async def count(self) -> int:
        self._check_open()
        return len(self._kept)

    async def record(self, owner: str, answer: Answer) -> None:
        self._check_open()
        self._expenses[answer.message_id] = expense_of(owner, answer)

    async def usage(self, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
        self._check_open()
        found: dict[str, list[Expense]] = {}
        for expense in self._expenses.values():
            if expense.owner == owner and start <= expense.created_at < end:
                found.setdefault(expense.key(by), []).append(expense)
        return [sum_of(key, found[key]) for key in sorted(found)]

    async def ids(self, after: str, limit: int) -> Sequence[str]:
        self._check_open()
        return sorted(known for known in self._kept if known > after)[:limit]

    async def read(self, ids: Sequence[str]) -> Sequence[Kept]:
        self._check_open()
        found = sorted(self._kept.keys() & set(ids))
        return [Kept(self._owners[known], self._kept[known]) for known in found]

    async def write(self, kept: Sequence[Kept]) -> None:
        self._check_open()
        for one in kept:
            conversation_id = one.conversation.conversation_id
            if conversation_id in self._kept:
                self._remove(conversation_id)
            self._kept[conversation_id] = one.conversation
            self._owners[conversation_id] = one.owner
            for message in one.conversation.messages:
                if isinstance(message, Answer):
                    self._expenses[message.message_id] = expense_of(one.owner, message)
                    if message.status is AnswerStatus.STREAMING:
                        self._growing[message.message_id] = conversation_id

    def _has(self, owner: str, conversation_id: str) -> bool:
        return self._owners.get(conversation_id) == owner

    def _remove(self, conversation_id: str) -> None:
        del self._owners[conversation_id]
        for message in self._kept.pop(conversation_id).messages:
            self._growing.pop(message.message_id, None)

    def _check_open(self) -> None:
        if not self._is_open:
            raise ServiceError(
                Kind.STORE_UNAVAILABLE, "the conversation store is not open", retry_after=1
            )

    def _replace(self, conversation_id: str, answer: Answer) -> None:
        conversation = self._kept[conversation_id]
        self._kept[conversation_id] = evolve(
            conversation,
            messages=tuple(
                answer if message.message_id == answer.message_id else message
                for message in conversation.messages
            ),
        )


def _new_conversation(beginning: Beginning) -> Conversation:
    """A conversation before its first message."""
    if beginning.title is None:
        raise no_conversation()
    first: Message = beginning.question or beginning.answer
    return Conversation(
        beginning.conversation_id,
        beginning.title,
        created_at=first.created_at,
        updated_at=first.created_at,
        active_message_id=first.message_id,
        messages=(),
    )


def _grown(answer: Answer, checkpoint: Checkpoint) -> Answer:
    if checkpoint.whole:
        answer = evolve(answer, content="", reasoning=None)
    return evolve(
        answer,
        content=answer.content + checkpoint.content,
        reasoning=((answer.reasoning or "") + checkpoint.reasoning) or None,
    )


def _place(conversation: Conversation) -> tuple[str, str]:
    """Where a conversation stands in the list."""
    return conversation.updated_at, conversation.conversation_id


def _searchable(conversation: Conversation) -> list[str]:
    """What is searched: an answer only when it has ended."""
    ended = [
        message.content
        for message in conversation.messages
        if isinstance(message, Question) or message.status is not AnswerStatus.STREAMING
    ]
    return [conversation.title, *ended]


def _summaries(conversations: Sequence[Conversation]) -> tuple[Summary, ...]:
    return tuple(conversation.summary() for conversation in conversations)
