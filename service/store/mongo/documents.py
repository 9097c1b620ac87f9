"""What does a conversation look like in MongoDB? Values to documents, and back.

A conversation and each of its messages are documents of their own, so that none grows beyond what
a document may be. Times stay strings: they come back as they were, and sort as they are.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict

from service.core.conversation import (
    Answer,
    AnswerStatus,
    Conversation,
    FinishReason,
    Hyperparameters,
    HyperparameterValue,
    Message,
    Question,
    Summary,
    Usage,
)
from service.core.ports import Beginning, Checkpoint, Kept
from service.core.search import words as words_of

BEFORE_WORD = " "
"""Is in no word, so that one is found only by its beginning."""

Document = dict[str, Any]  # PyMongo's own type of what comes from a database

SUMMARY_FIELDS = dict.fromkeys(("title", "created_at", "updated_at", "length", "model"), 1)


def place(updated_at: str, conversation_id: str) -> str:
    """Where a conversation stands in the list: sorts by time, then by id."""
    return f"{updated_at} {conversation_id}"


def searchable(text: str) -> str:
    """What is searched of a text: its words, each once and with a sign before it."""
    return "".join(f"{BEFORE_WORD}{word}" for word in dict.fromkeys(words_of(text)))


# Conversations.


def first_fields(beginning: Beginning) -> Document:
    """What a conversation is given once, where it begins with this."""
    assert beginning.title is not None
    first: Message = beginning.question or beginning.answer
    return {**title_fields(beginning.title), "created_at": first.created_at}


def title_fields(title: str) -> Document:
    return {"title": title, "words": searchable(title)}


def begun_fields(beginning: Beginning) -> Document:
    """What becomes of a conversation when an answer begins in it."""
    answer = beginning.answer
    return {
        "updated_at": answer.created_at,
        "place": place(answer.created_at, beginning.conversation_id),
        "active_message_id": answer.message_id,
        "last_answer_id": answer.message_id,
        "model": answer.model,
    }


def ended_pipeline(answer: Answer, updated_at: str, claim: Mapping[str, str]) -> list[Document]:
    """The update of a conversation when an answer in it has ended; this claim is given up.

    Values are literal, since a string that begins with a dollar would name a field.
    """
    is_last = {"$eq": ["$last_answer_id", _literal(answer.message_id)]}
    is_claim = {"$and": [{"$eq": [f"$claim.{k}", _literal(v)]} for k, v in claim.items()]}
    return [
        {
            "$set": {
                "updated_at": {"$max": ["$updated_at", _literal(updated_at)]},
                "model": {"$cond": [is_last, _literal(answer.model), "$model"]},
                "claim": {"$cond": [is_claim, None, "$claim"]},
            }
        },
        {"$set": {"place": {"$concat": ["$updated_at", " ", "$_id"]}}},
    ]


def _literal(value: object) -> Document:
    return {"$literal": value}


def conversation_document(kept: Kept) -> Document:
    """A conversation as a whole, that nobody has claimed."""
    conversation = kept.conversation
    answers = [message for message in conversation.messages if isinstance(message, Answer)]
    return {
        "_id": conversation.conversation_id,
        "owner": kept.owner,
        **title_fields(conversation.title),
        "created_at": conversation.created_at,
        "updated_at": conversation.updated_at,
        "place": place(conversation.updated_at, conversation.conversation_id),
        "active_message_id": conversation.active_message_id,
        "length": len(conversation.messages),
        "last_answer_id": answers[-1].message_id if answers else None,
        "model": answers[-1].model if answers else None,
        "claim": None,
    }


def conversation_of(document: Document, messages: Sequence[Document]) -> Conversation | None:
    """A conversation of its document and those of its messages, read after it.

    None where it was removed in between. What was begun in between is left out.
    """
    length = document["length"]
    if len(messages) < length:
        return None
    return Conversation(
        document["_id"],
        document["title"],
        document["created_at"],
        document["updated_at"],
        document["active_message_id"],
        tuple(message_of(message) for message in messages[:length]),
    )


def summary_of(document: Document) -> Summary:
    return Summary(
        document["_id"],
        document["title"],
        document["created_at"],
        document["updated_at"],
        document["length"],
        document["model"],
    )


# Messages.


def message_documents(
    owner: str, conversation_id: str, messages: Sequence[Message], *, number: int, holder: str
) -> list[Document]:
    """Messages of a conversation from that number on; those that grow are in the holder's care."""
    documents = []
    for at, message in enumerate(messages, number):
        fields = message_fields(message)
        if fields.get("status") == AnswerStatus.STREAMING:
            fields |= {"holder": holder, "content_pieces": [], "reasoning_pieces": []}
        where = {"conversation_id": conversation_id, "owner": owner, "number": at}
        documents.append({"_id": message.message_id, **where, **fields})
    return documents


def message_fields(message: Message) -> Document:
    """What was said; its words from when nothing is added to it any more."""
    said = {
        "parent_message_id": message.parent_message_id,
        "content": message.content,
        "created_at": message.created_at,
    }
    words = {"words": searchable(message.content)}
    if isinstance(message, Question):
        return {"role": "user", **said, **words}
    return {
        "role": "assistant",
        **said,
        "model": message.model,
        "status": message.status.value,
        "reasoning": message.reasoning,
        "finish_reason": message.finish_reason.value if message.finish_reason else None,
        "usage": asdict(message.usage) if message.usage else None,
        "system_prompt": message.system_prompt,
        "hyperparameters": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in message.hyperparameters.items()
        },
        "milliseconds": message.milliseconds,
        "nanodollars": message.nanodollars,
        **({} if message.status is AnswerStatus.STREAMING else words),
    }


GROWING_FIELDS = ("holder", "content_pieces", "reasoning_pieces")
"""What only an answer has that is still growing."""


def settled_fields(document: Document) -> Document:
    """What becomes of a growing answer whose process is gone."""
    content = _content(document)
    return {
        "status": AnswerStatus.PARTIAL.value,
        "content": content,
        "reasoning": _reasoning(document),
        "words": searchable(content),
    }


def message_of(document: Document) -> Message:
    said = (document["_id"], document["parent_message_id"], _content(document))
    if document["role"] == "user":
        return Question(*said, document["created_at"])
    reason, usage = document["finish_reason"], document["usage"]
    return Answer(
        *said,
        document["created_at"],
        document["model"],
        AnswerStatus(document["status"]),
        _reasoning(document),
        FinishReason(reason) if reason else None,
        Usage(**{name: int(value) for name, value in usage.items()}) if usage else None,
        document["system_prompt"],
        _hyperparameters(document["hyperparameters"]),
        _whole(document.get("milliseconds")),
        _whole(document.get("nanodollars")),
    )


def _content(document: Document) -> str:
    return str(document["content"]) + "".join(document.get("content_pieces", ()))


def _reasoning(document: Document) -> str | None:
    reasoning: str | None = document["reasoning"]
    pieces = document.get("reasoning_pieces")
    return (reasoning or "") + "".join(pieces) if pieces else reasoning


def _whole(number: int | None) -> int | None:
    return None if number is None else int(number)  # else PyMongo's own type of large ones


def _hyperparameters(document: Document) -> Hyperparameters:
    return {name: _hyperparameter(value) for name, value in document.items()}


def _hyperparameter(value: object) -> HyperparameterValue:
    match value:
        case int():
            return int(value)  # else PyMongo's own type of large ones
        case list():
            return tuple(value)
        case float() | str():
            return value
        case _:
            raise TypeError(f"no hyperparameter is a {type(value).__name__}")


# Growing.


def gains(checkpoints: Sequence[Checkpoint]) -> dict[str, Document]:
    """The updates of growing answers, by id: what was gained is added, the rest not sent again."""
    joined: dict[str, Checkpoint] = {}
    for new in checkpoints:
        old = joined.get(new.message_id)
        if old and not new.whole:
            content, reasoning = old.content + new.content, old.reasoning + new.reasoning
            joined[new.message_id] = Checkpoint(new.message_id, content, reasoning, old.whole)
        else:
            joined[new.message_id] = new
    updates = {message_id: _gain(checkpoint) for message_id, checkpoint in joined.items()}
    return {message_id: update for message_id, update in updates.items() if update}


def _gain(checkpoint: Checkpoint) -> Document:
    gained = {"content_pieces": checkpoint.content, "reasoning_pieces": checkpoint.reasoning}
    if not checkpoint.whole:
        pushed = {name: text for name, text in gained.items() if text}
        return {"$push": pushed} if pushed else {}
    pieces = {name: [text] if text else [] for name, text in gained.items()}
    return {"$set": {"content": "", "reasoning": None, **pieces}}


# Search.


def holding_pipeline(owner: str, words: Sequence[str]) -> list[Document]:
    """The conversations, from the messages on, in which each of the words is the beginning of one.

    One walk over what the owner has. An index of words would cost ten times as much as the message.
    """
    return [
        *_holding(owner, words, "$conversation_id"),
        {
            "$unionWith": {
                "coll": "conversations",
                "pipeline": _holding(owner, words, "$_id"),
            }
        },
        {"$unwind": "$held"},
        {"$group": {"_id": "$_id", "held": {"$addToSet": "$held"}}},
        {"$match": {"held": {"$size": len(words)}}},
        {
            "$lookup": {
                "from": "conversations",
                "localField": "_id",
                "foreignField": "_id",
                "as": "found",
            }
        },
        {"$unwind": "$found"},
        {"$replaceWith": "$found"},
    ]


def _holding(owner: str, words: Sequence[str], conversation: str) -> list[Document]:
    """Of each text that holds some of the words: its conversation, and the numbers of the words."""
    sought = [f"{BEFORE_WORD}{word}" for word in words]
    some = [{"words": {"$regex": re.escape(one)}} for one in sought]
    held = [
        {"$cond": [{"$gte": [{"$indexOfBytes": ["$words", _literal(one)]}, 0]}, [number], []]}
        for number, one in enumerate(sought)
    ]
    return [
        {"$match": {"owner": owner, "$or": some}},
        {"$project": {"_id": conversation, "held": {"$concatArrays": held}}},
    ]
