"""What may be done with the conversations that are kept?"""

from collections.abc import Sequence

from service.core.conversation import Conversation, Summary
from service.core.errors import Kind, ServiceError, no_conversation
from service.core.ports import ConversationStore, Page, Position
from service.core.request import parse_change
from service.core.run import Stop
from service.core.runs import Runs


class Conversations:
    """Lists, shows, changes and removes conversations."""

    def __init__(self, store: ConversationStore, runs: Runs) -> None:
        self._store = store
        self._runs = runs

    async def page(
        self, owner: str, limit: int, after: Position | None, words: Sequence[str]
    ) -> Page:
        """Conversations that hold all the words, latest first."""
        return await self._store.page(owner, limit, after, words)

    async def get(self, owner: str, conversation_id: str) -> Conversation:
        """A conversation; raises `conversation-not-found`."""
        if conversation := await self._store.get(owner, conversation_id):
            return conversation
        raise no_conversation()

    async def running_in(self, owner: str, conversation_id: str) -> str | None:
        """The id of the run that is under way in a conversation, here or in another process."""
        run_id = self._runs.running_in(owner, conversation_id)
        return run_id or await self._store.claimed_by(owner, conversation_id)

    async def change(self, owner: str, conversation_id: str, value: object) -> Summary:
        """Set a title, switch to another branch, or both."""
        change = parse_change(value)
        conversation = await self.get(owner, conversation_id)
        while True:
            leaf = _leaf(conversation, change.active_message_id)
            await self._store.change(
                owner, conversation_id, title=change.title, active_message_id=leaf
            )
            conversation = await self.get(owner, conversation_id)
            if leaf == _leaf(conversation, change.active_message_id):  # else a run began meanwhile
                return conversation.summary()

    async def delete(self, owner: str, conversation_id: str) -> None:
        """Remove a conversation; a run that is under way in it is cancelled first."""
        while run_id := self._runs.running_in(owner, conversation_id):
            run = self._runs.get(owner, run_id)
            run.stop(Stop.CANCELLED)
            await run.wait_done()
        self._runs.claim(owner, conversation_id, None)
        try:
            found = await self._store.delete(owner, conversation_id)
        finally:
            self._runs.release(owner, conversation_id)
        if not found:
            raise no_conversation()

    async def in_memory(self) -> int:
        """All conversations where memory keeps them, else those with a run in memory."""
        if self._store.kind == "memory":
            return await self._store.count()
        return self._runs.conversation_count


def _leaf(conversation: Conversation, message_id: str | None) -> str | None:
    if message_id is None:
        return None
    if conversation.message(message_id) is None:
        raise ServiceError(
            Kind.MESSAGE_NOT_FOUND, "there is no message of that id in this conversation"
        )
    return conversation.latest_leaf(message_id)
