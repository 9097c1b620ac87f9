"""What was spent, in MongoDB? A document for each answer, which stays when that is removed."""

from collections.abc import Sequence

from attrs import asdict, fields
from pymongo import ReplaceOne
from pymongo.asynchronous.client_session import AsyncClientSession

from service.core.conversation import Answer, Message, Usage
from service.core.spending import By, Spent, expense_of
from service.store.mongo.database import Database
from service.store.mongo.documents import Document

_KEYS: dict[By, object] = {By.DAY: {"$substrBytes": ["$created_at", 0, 10]}, By.MODEL: "$model"}
_SUMS: Document = {
    "answers": {"$sum": 1},
    **{field.name: {"$sum": f"$usage.{field.name}"} for field in fields(Usage)},
    "milliseconds": {"$sum": "$milliseconds"},
    "nanodollars": {"$sum": "$nanodollars"},
    "unpriced": {"$sum": {"$cond": [{"$eq": ["$nanodollars", None]}, 1, 0]}},
}


async def count(
    database: Database, owner: str, answer: Answer, session: AsyncClientSession | None = None
) -> None:
    """Count what an answer cost."""
    await database.expenses.replace_one(
        {"_id": answer.message_id},
        asdict(expense_of(owner, answer)),
        upsert=True,
        session=session,
    )


async def count_all(
    database: Database, owner: str, messages: Sequence[Message], session: AsyncClientSession
) -> None:
    """Count what the answers among these messages cost."""
    replaced = [
        ReplaceOne({"_id": one.message_id}, asdict(expense_of(owner, one)), upsert=True)
        for one in messages
        if isinstance(one, Answer)
    ]
    if replaced:
        await database.expenses.bulk_write(replaced, session=session)


async def count_ended(database: Database, answer: Answer, session: AsyncClientSession) -> None:
    """Count what an answer cost after all; one that was never begun is passed over."""
    expense = asdict(expense_of("", answer))
    del expense["owner"]
    await database.expenses.update_one(
        {"_id": answer.message_id}, {"$set": expense}, session=session
    )


async def sums(database: Database, owner: str, start: str, end: str, by: By) -> Sequence[Spent]:
    """What an owner's answers of a period cost."""
    found = await database.expenses.aggregate(
        [
            {"$match": {"owner": owner, "created_at": {"$gte": start, "$lt": end}}},
            {"$group": {"_id": _KEYS[by], **_SUMS}},
            {"$sort": {"_id": 1}},
        ]
    )
    return [
        Spent(one["_id"], **{name: int(one[name]) for name in _SUMS})
        for one in await found.to_list()
    ]
