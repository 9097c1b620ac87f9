"""Which conversations does this process hold, and what becomes of those of dead ones?

Each process is a holder with a lease, which it renews. One whose lease has lapsed is declared dead
before anything of it is touched, and a dead holder stays dead: a process that had only stalled is
told so by its next renewal, and goes on as a new holder. Time is the server's, by the millisecond.

MongoDB keeps the transactions of a killed process open, and what they touched locked, for a minute.
So a holder names the sessions that it has transactions in, and who settles it ends them first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar
from uuid import uuid4

from attrs import define
from pymongo import UpdateOne
from pymongo.asynchronous.client_session import AsyncClientSession

from service.core.ports import Lost
from service.store.mongo.database import Database
from service.store.mongo.documents import GROWING_FIELDS, Document, settled_fields

T = TypeVar("T")

SETTLED_AT_ONCE = 100
"""Answers in one write."""
MOST_SESSIONS = 1000
"""That a holder names; PyMongo uses the latest ones again and again."""

_NOW = {"$toLong": "$$NOW"}
_ALIVE: Document = {"dead": {"$ne": True}}


@define(eq=False)
class _Claim:
    conversation_id: str
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
        self._lease_seconds = lease_seconds
        self._until = {"$add": [_NOW, int(lease_seconds * 1000)]}
        self._former: list[str] = []
        self._claims: dict[str, _Claim] = {}  # by run
        self._growing: dict[str, str] = {}  # answer → run
        self._renewed_at = 0.0
        self._judges_from = 0.0
        self._sessions: set[bytes] = set()
        self.holder = ""

    async def begin(self) -> None:
        """Become a holder."""
        self._renewed_at = asyncio.get_running_loop().time()
        await self._become_holder()

    async def end(self) -> None:
        """Give up all that is held."""
        await self._settle(self.holder)

    async def transact(self, change: Callable[[AsyncClientSession], Awaitable[T]]) -> T:
        """Do all of a change or nothing; where others are in its way, it is done anew."""
        async with self._database.session() as session:
            await self._name(bytes(session.session_id["id"]))
            return await session.with_transaction(change)

    async def _name(self, session: bytes) -> None:
        """Have the database know of a session before anything is done in it."""
        if session not in self._sessions:
            self._sessions.add(session)
            named = {"$each": [session], "$slice": -MOST_SESSIONS}
            try:
                await self._database.holders.update_one(
                    {"_id": self.holder}, {"$push": {"sessions": named}}
                )
            except BaseException:
                self._sessions.discard(session)
                raise

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
        before = self._claims.get(run_id)
        claim = _Claim(conversation_id, growing[-1] if growing else None)
        self._claims[run_id] = claim
        self._growing.update(dict.fromkeys(growing, run_id))
        try:
            yield
            claim.held = True
        except BaseException:
            for answer_id in growing:
                self._growing.pop(answer_id, None)
            self._forget(run_id, claim)
            if before and run_id not in self._claims:
                self._claims[run_id] = before
            raise

    @contextmanager
    def finishing(self, conversation_id: str, answer_id: str) -> Iterator[Document]:
        """While an answer is being ended; gives the claim that ends with it."""
        run_id = self._growing.get(answer_id, "")
        claim = self._claims.get(run_id) or _Claim(conversation_id)
        was_held, claim.held = claim.held, False
        try:
            yield self.claim(run_id)
        except Exception:
            claim.held = was_held
            raise
        finally:  # also when cancelled: then it may or may not have been ended
            if not claim.held:
                self._growing.pop(answer_id, None)
                self._forget(run_id, claim)

    def grow(self, growing: Sequence[str]) -> None:
        """Have the care of these answers."""
        self._growing.update(dict.fromkeys(growing, ""))

    def forget(self, run_id: str) -> None:
        """Remember no claim of this run."""
        self._claims.pop(run_id, None)

    def _forget(self, run_id: str, claim: _Claim) -> None:
        if self._claims.get(run_id) is claim:
            self.forget(run_id)

    async def release(self, conversation_id: str, run_id: str) -> None:
        """Give up a run's claim; where that fails, the next renewal does it."""
        self.forget(run_id)
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
        """Live on; make the database and what is remembered agree."""
        extended = await self._database.holders.update_one(
            {"_id": self.holder, **_ALIVE}, [{"$set": {"until": self._until}}]
        )
        if not extended.matched_count:
            await self._become_holder()
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at > self._lease_seconds / 2:  # others may not have come through
            self._judges_from = now + self._lease_seconds
        self._renewed_at = now
        lost = await self._find_lost()
        await self._give_up_unknown()
        for run_id, (claim, _) in lost.items():
            self._forget(run_id, claim)
        return [one for _, one in lost.values()]

    async def _become_holder(self) -> None:
        """Take a new name: the database knows it before anything is claimed by it."""
        holder = uuid4().hex
        sessions = {"$literal": list(self._sessions)}
        await self._database.holders.update_one(
            {"_id": holder},
            [{"$set": {"until": self._until, "sessions": sessions}}],
            upsert=True,
        )
        if self.holder:
            self._former.append(self.holder)
        self.holder = holder

    async def _find_lost(self) -> Mapping[str, tuple[_Claim, Lost]]:
        """Claims that the database has no more, and that cannot be had again; by run."""
        held = {run_id: claim for run_id, claim in self._claims.items() if claim.held}
        found = await self._claimed()
        missing = self._still_held(held, found)
        if not missing:
            return {}
        await self._adopt(missing)
        found = await self._claimed()
        lost = self._still_held(missing, found)
        names = [claim.conversation_id for claim in lost.values()]
        there = await self._database.conversations.distinct("_id", {"_id": {"$in": names}})
        return {
            run_id: (claim, Lost(run_id, claim.conversation_id not in there))
            for run_id, claim in lost.items()
        }

    def _still_held(
        self, claims: Mapping[str, _Claim], found: Mapping[str, str]
    ) -> Mapping[str, _Claim]:
        """Of these claims those that are held as before, and were not found."""
        return {
            run_id: claim
            for run_id, claim in claims.items()
            if claim.held and self._claims.get(run_id) is claim and run_id not in found
        }

    async def _claimed(self) -> Mapping[str, str]:
        """What the database has as claimed by this process: the conversations by their runs."""
        found = self._database.conversations.find({"claim.holder": self.holder}, {"claim": 1})
        return {one["claim"]["run_id"]: one["_id"] async for one in found}

    async def _adopt(self, missing: Mapping[str, _Claim]) -> None:
        """Claim anew what nobody else has claimed since this process was declared dead."""
        mine = {"claim.holder": {"$in": [None, *self._former]}}
        await self._database.conversations.bulk_write(
            [
                UpdateOne(
                    {"_id": claim.conversation_id, **mine}, {"$set": {"claim": self.claim(run_id)}}
                )
                for run_id, claim in missing.items()
            ],
            ordered=False,
        )
        growing = [
            UpdateOne(
                {"_id": claim.answer_id, "holder": {"$in": self._former}},
                {"$set": {"holder": self.holder}},
            )
            for claim in missing.values()
            if claim.answer_id
        ]
        if growing:
            await self._database.messages.bulk_write(growing, ordered=False)

    async def _give_up_unknown(self) -> None:
        """Give up what this process has in the database and does not know of: asked for in vain."""
        for run_id, name in (await self._claimed()).items():
            if run_id not in self._claims:
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
        if not self._judges():
            return False
        await self._declare_dead({"_id": holder})
        if await self._lives(holder):
            return False
        await self._settle(holder)
        return True

    async def settle_dead(self) -> None:
        """Settle what all holders held that are dead by now."""
        if not self._judges():
            return
        await self._declare_dead({"_id": {"$ne": self.holder}})
        database = self._database
        # These first: a holder is there before anything that it holds.
        seen = await database.messages.distinct("holder", {"holder": {"$gt": ""}})
        seen += await database.conversations.distinct("claim.holder", {"claim.holder": {"$gt": ""}})
        known = {one["_id"]: one.get("dead", False) async for one in database.holders.find({})}
        dead = {name for name, is_dead in known.items() if is_dead}
        for holder in (dead | set(seen).difference(known)) - {self.holder}:
            await self._settle(holder)

    def _judges(self) -> bool:
        """Whether a lapsed lease shows that its holder is dead.

        Not for a while after a time in which this process could not renew its own either: the
        database was away, and the others live as this one does.
        """
        return asyncio.get_running_loop().time() >= self._judges_from

    async def _declare_dead(self, condition: Document) -> None:
        """From here on those whose lease has lapsed cannot renew it."""
        lapsed = {"$lte": ["$until", _NOW]}
        await self._database.holders.update_many(
            {**condition, **_ALIVE}, [{"$set": {"dead": lapsed}}]
        )

    async def _settle(self, holder: str) -> None:
        """Answers that grew become partial, claims are given up, and the holder is forgotten."""
        await self._end_transactions(holder)
        await self._settle_answers({"holder": holder})
        await self._give_up_claims(holder)
        await self._database.holders.delete_one({"_id": holder})

    async def _give_up_claims(self, holder: str) -> None:
        """One by one, so that none waits for another that a transaction is about to change."""
        held = {"claim.holder": holder}
        given_up = [
            UpdateOne({"_id": one["_id"], **held}, {"$set": {"claim": None}})
            async for one in self._database.conversations.find(held, {"_id": 1})
        ]
        if given_up:
            await self._database.conversations.bulk_write(given_up, ordered=False)

    async def _end_transactions(self, holder: str) -> None:
        found = await self._database.holders.find_one({"_id": holder}, {"sessions": 1}) or {}
        if left := set(found.get("sessions", ())) - self._sessions:
            await self._database.kill_sessions(left)

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
