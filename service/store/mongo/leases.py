"""Which conversations does this process hold, and what becomes of those of dead ones?

Each process is a holder with a lease, which it renews. One whose lease has lapsed is declared dead
before anything of it is touched, and a dead holder stays dead: a process that had only stalled is
told so by its next renewal, and goes on as a new holder. Time is the server's, by the millisecond.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import uuid4

from attrs import define
from pymongo import UpdateOne

from service.core.ports import Lost
from service.store.mongo.database import Database
from service.store.mongo.documents import GROWING_FIELDS, Document, settled_fields

SETTLED_AT_ONCE = 100
"""Answers in one write."""

_NOW = {"$toLong": "$$NOW"}
_ALIVE: Document = {"dead": {"$ne": True}}


@define(eq=False)
class _Claim:
    run_id: str
    answer_id: str | None = None
    held: bool = False
    """Whether the database has it for sure: not while it is being asked for or given up."""


class Leases:
    """What this process has claimed, as it remembers and as the database has it.

    Relies on one event loop: what is remembered changes before the database is asked, so that
    whatever becomes of the asking, `renew` can tell what is not to be there.
    """

    def __init__(self, database: Database, lease_seconds: float) -> None:
        self._database = database
        self._until = {"$add": [_NOW, int(lease_seconds * 1000)]}
        self._former: list[str] = []
        self._claims: dict[str, _Claim] = {}
        self._growing: set[str] = set()
        self.holder = ""

    async def begin(self) -> None:
        """Become a holder, and settle what dead ones held."""
        await self._become_holder()
        await self._settle_dead()

    async def end(self) -> None:
        """Give up all that is held."""
        await self._settle(self.holder)

    # Claims.

    def free(self) -> Document:
        """The condition on a conversation that this process may claim."""
        return {"claim.holder": {"$in": [None, self.holder]}}

    def claim(self, run_id: str) -> Document:
        """What is set in a conversation to claim it."""
        return {"holder": self.holder, "run_id": run_id}

    @contextmanager
    def claiming(
        self, conversation_id: str, run_id: str, growing: Sequence[str] = ()
    ) -> Iterator[None]:
        """While a claim is being asked for. It is forgotten where this is left by an exception."""
        before = self._claims.get(conversation_id)
        claim = _Claim(run_id, growing[-1] if growing else None)
        self._claims[conversation_id] = claim
        self._growing.update(growing)
        try:
            yield
            claim.held = True
        except BaseException:
            self._growing.difference_update(growing)
            if self._claims.get(conversation_id) is claim:
                self.forget(conversation_id)
                if before:
                    self._claims[conversation_id] = before
            raise

    @contextmanager
    def finishing(self, conversation_id: str, answer_id: str) -> Iterator[Document]:
        """While an answer is being ended; gives the claim that ends with it."""
        claim = self._claims.get(conversation_id)
        if claim is None or claim.answer_id != answer_id:
            claim = _Claim("")
        was_held, claim.held = claim.held, False
        try:
            yield self.claim(claim.run_id)
        except Exception:
            claim.held = was_held
            raise
        finally:  # also when cancelled: then it may or may not have been ended
            if not claim.held:
                self._growing.discard(answer_id)
                if self._claims.get(conversation_id) is claim:
                    self.forget(conversation_id)

    def grow(self, growing: Sequence[str]) -> None:
        """Have the care of these answers."""
        self._growing.update(growing)

    def forget(self, conversation_id: str) -> None:
        """Remember no claim of this conversation."""
        self._claims.pop(conversation_id, None)

    async def release(self, conversation_id: str, run_id: str) -> None:
        """Give up a run's claim; where that fails, the next renewal does it."""
        claim = self._claims.get(conversation_id)
        if claim and claim.run_id == run_id:
            self.forget(conversation_id)
        await self._database.conversations.update_one(
            {
                "_id": conversation_id,
                "claim.holder": {"$in": [self.holder, *self._former]},
                "claim.run_id": run_id,
            },
            {"$set": {"claim": None}},
        )

    # Renewal.

    async def renew(self) -> Sequence[Lost]:
        """Live on; make the database and what is remembered agree; settle what dead ones held."""
        extended = await self._database.holders.update_one(
            {"_id": self.holder, **_ALIVE}, [{"$set": {"until": self._until}}]
        )
        if not extended.matched_count:
            self._former.append(self.holder)
            await self._become_holder()
        lost = await self._find_lost()
        await self._give_up_unknown()
        await self._settle_dead()
        for conversation_id in lost:
            self.forget(conversation_id)
        return list(lost.values())

    async def _become_holder(self) -> None:
        self.holder = uuid4().hex
        await self._database.holders.update_one(
            {"_id": self.holder}, [{"$set": {"until": self._until}}], upsert=True
        )

    async def _find_lost(self) -> Mapping[str, Lost]:
        """Claims that the database has no more, and that cannot be had again."""
        held = {name: claim for name, claim in self._claims.items() if claim.held}
        found = await self._claimed()
        missing = self._still_held(held, found)
        if not missing:
            return {}
        await self._adopt(missing)
        found = await self._claimed()
        lost = self._still_held(missing, found)
        there = await self._database.conversations.distinct("_id", {"_id": {"$in": list(lost)}})
        return {name: Lost(claim.run_id, name not in there) for name, claim in lost.items()}

    def _still_held(
        self, claims: Mapping[str, _Claim], found: Mapping[str, str]
    ) -> Mapping[str, _Claim]:
        """Of these claims those that are held as before, and were not found."""
        return {
            name: claim
            for name, claim in claims.items()
            if claim.held and self._claims.get(name) is claim and name not in found
        }

    async def _claimed(self) -> Mapping[str, str]:
        """What the database has as claimed by this process: the runs by their conversations."""
        found = self._database.conversations.find({"claim.holder": self.holder}, {"claim": 1})
        return {one["_id"]: one["claim"]["run_id"] async for one in found}

    async def _adopt(self, missing: Mapping[str, _Claim]) -> None:
        """Claim anew what nobody else has claimed since this process was declared dead."""
        mine = {"claim.holder": {"$in": [None, *self._former]}}
        await self._database.conversations.bulk_write(
            [
                UpdateOne({"_id": name, **mine}, {"$set": {"claim": self.claim(claim.run_id)}})
                for name, claim in missing.items()
            ],
            ordered=False,
        )
        answers = [claim.answer_id for claim in missing.values() if claim.answer_id]
        await self._database.messages.update_many(
            {"_id": {"$in": answers}, "holder": {"$in": self._former}},
            {"$set": {"holder": self.holder}},
        )

    async def _give_up_unknown(self) -> None:
        """Give up what this process has in the database and does not know of: asked for in vain."""
        for name, run_id in (await self._claimed()).items():
            if name not in self._claims:
                await self._database.conversations.update_one(
                    {"_id": name, "claim.holder": self.holder, "claim.run_id": run_id},
                    {"$set": {"claim": None}},
                )
        growing = await self._database.messages.distinct("_id", {"holder": self.holder})
        unknown = [answer_id for answer_id in growing if answer_id not in self._growing]
        if unknown:
            await self._settle_answers({"_id": {"$in": unknown}, "holder": self.holder})

    # Others.

    async def claimed_by_another(self, owner: str, conversation_id: str) -> str | None:
        """The run of another process that has claimed a conversation."""
        found = await self._database.conversations.find_one(
            {"_id": conversation_id, "owner": owner}, {"claim": 1}
        )
        claim = found and found["claim"]
        if not claim or claim["holder"] == self.holder or not await self._lives(claim["holder"]):
            return None
        return str(claim["run_id"])

    async def _lives(self, holder: str) -> bool:
        """Whether a holder has not been declared dead."""
        return (
            await self._database.holders.find_one({"_id": holder, **_ALIVE}, {"_id": 1}) is not None
        )

    async def settle_if_dead(self, holder: str) -> bool:
        """Settle what another holder held, unless it is alive."""
        await self._declare_dead({"_id": holder})
        if await self._lives(holder):
            return False
        await self._settle(holder)
        return True

    async def _settle_dead(self) -> None:
        await self._declare_dead({"_id": {"$ne": self.holder}})
        database = self._database
        # These first: a holder is there before anything that it holds.
        seen = await database.messages.distinct("holder", {"holder": {"$gt": ""}})
        seen += await database.conversations.distinct("claim.holder", {"claim.holder": {"$gt": ""}})
        known = {one["_id"]: one.get("dead", False) async for one in database.holders.find({})}
        dead = {name for name, is_dead in known.items() if is_dead}
        for holder in (dead | set(seen).difference(known)) - {self.holder}:
            await self._settle(holder)

    async def _declare_dead(self, condition: Document) -> None:
        """From here on those whose lease has lapsed cannot renew it."""
        lapsed = {"$lte": ["$until", _NOW]}
        await self._database.holders.update_many(
            {**condition, **_ALIVE}, [{"$set": {"dead": lapsed}}]
        )

    async def _settle(self, holder: str) -> None:
        """Answers that grew become partial, claims are given up, and the holder is forgotten."""
        await self._settle_answers({"holder": holder})
        await self._database.conversations.update_many(
            {"claim.holder": holder}, {"$set": {"claim": None}}
        )
        await self._database.holders.delete_one({"_id": holder})

    async def _settle_answers(self, condition: Document) -> None:
        ended = {"$unset": dict.fromkeys(GROWING_FIELDS, "")}
        messages = self._database.messages
        while growing := await messages.find(condition).limit(SETTLED_AT_ONCE).to_list():
            await messages.bulk_write(
                [
                    UpdateOne(
                        {"_id": answer["_id"], "holder": answer["holder"]},
                        {"$set": settled_fields(answer), **ended},
                    )
                    for answer in growing
                ],
                ordered=False,
            )
