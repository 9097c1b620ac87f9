"""What changes together? A conversation, its messages and what they cost: in one transaction."""

from pymongo import ReturnDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import DuplicateKeyError

from service.core.conversation import Answer
from service.core.ports import Beginning, Kept
from service.store.mongo import ledger
from service.store.mongo.database import Database
from service.store.mongo.documents import (
    GROWING_FIELDS,
    Document,
    begun_fields,
    conversation_document,
    ended_pipeline,
    first_fields,
    message_documents,
    message_fields,
)
from service.store.mongo.leases import Leases


async def begin(database: Database, leases: Leases, beginning: Beginning) -> bool:
    """Keep a question and its beginning answer; whether the conversation could be claimed."""
    owner, conversation_id = beginning.owner, beginning.conversation_id
    messages = [one for one in (beginning.question, beginning.answer) if one]
    condition = {"_id": conversation_id, "owner": owner, **leases.free()}
    fields = begun_fields(beginning) | {"claim": leases.claim(beginning.run_id)}
    update: Document = {"$set": fields, "$inc": {"length": len(messages)}}
    if beginning.title is not None:
        update["$setOnInsert"] = first_fields(beginning)

    async def change(session: AsyncClientSession) -> bool:
        begun = await database.conversations.find_one_and_update(
            condition,
            update,
            {"length": 1},
            upsert=beginning.title is not None,
            return_document=ReturnDocument.AFTER,
            session=session,
        )
        if begun is None:
            return False
        number = begun["length"] - len(messages)
        documents = message_documents(
            owner, conversation_id, messages, number=number, holder=leases.holder
        )
        await database.messages.insert_many(documents, session=session)
        await ledger.count(database, owner, beginning.answer, session)
        return True

    try:
        return await leases.transact(change)
    except DuplicateKeyError:  # it is there, but cannot be claimed
        return False


async def end(
    database: Database,
    leases: Leases,
    conversation_id: str,
    answer: Answer,
    updated_at: str,
    claim: Document,
) -> None:
    """Keep an answer as it ended, and give up that claim."""

    async def change(session: AsyncClientSession) -> None:
        ended = await database.messages.update_one(
            {"_id": answer.message_id, "conversation_id": conversation_id},
            {"$set": message_fields(answer), "$unset": dict.fromkeys(GROWING_FIELDS, "")},
            session=session,
        )
        if ended.matched_count:
            await database.conversations.update_one(
                {"_id": conversation_id},
                ended_pipeline(answer, updated_at, claim),
                session=session,
            )
        await ledger.count_ended(database, answer, session)

    await leases.transact(change)


async def remove(database: Database, leases: Leases, owner: str, conversation_id: str) -> bool:
    """Remove a conversation and its messages; whether there was one."""

    async def change(session: AsyncClientSession) -> bool:
        deleted = await database.conversations.delete_one(
            {"_id": conversation_id, "owner": owner}, session=session
        )
        if deleted.deleted_count:
            await database.messages.delete_many(
                {"conversation_id": conversation_id}, session=session
            )
        return deleted.deleted_count > 0

    return await leases.transact(change)


async def write(database: Database, leases: Leases, kept: Kept) -> None:
    """Keep a conversation as it is, in place of what is there."""
    conversation_id = kept.conversation.conversation_id
    documents = message_documents(
        kept.owner, conversation_id, kept.conversation.messages, number=0, holder=leases.holder
    )
    leases.grow([one["_id"] for one in documents if "holder" in one])

    async def change(session: AsyncClientSession) -> None:
        replaced = await database.conversations.replace_one(
            {"_id": conversation_id}, conversation_document(kept), upsert=True, session=session
        )
        if replaced.matched_count:
            await database.messages.delete_many(
                {"conversation_id": conversation_id}, session=session
            )
        if documents:
            await database.messages.insert_many(documents, session=session)
        await ledger.count_all(database, kept.owner, kept.conversation.messages, session)

    await leases.transact(change)
