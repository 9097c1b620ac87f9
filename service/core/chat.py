"""What is a chat? The verbs that every transport calls."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from service.core.catalogue import Catalogue
from service.core.conversation import Conversation
from service.core.errors import Kind, ServiceError, no_conversation
from service.core.generation import Generator, Planning
from service.core.plan import Plan, Stamps, plan_question, plan_regeneration
from service.core.ports import ConversationStore, Lost, Observer
from service.core.request import (
    OnDisconnect,
    UnsupportedParameters,
    fingerprint,
    parse_chat,
    parse_regenerate,
)
from service.core.run import Origin, Run, Stop
from service.core.runs import Runs

SWEEP_SECONDS = 1.0
REOPEN_SECONDS = 1.0
"""Between attempts to open a store that could not be reached at the start."""
OPENING_SECONDS = 2.0
"""That the start waits for a store; a slower one is opened while the service is not ready."""
LAST_WRITES_SECONDS = 5.0
"""For storing what was interrupted when the server stops."""


@frozen
class Caller:
    """Who asks, and how: what a run remembers of its request."""

    owner: str
    request_id: str
    idempotency_key: str | None = None
    detached: bool = False
    """Does not read the run; another connection will."""


@frozen
class Policy:
    """What an operator may decide."""

    unsupported: UnsupportedParameters
    grace_seconds: float
    """Until a run that shall not go on alone is cancelled when its last reader leaves."""
    renewal_seconds: float
    """Between renewals of the claims of conversations; a lease lasts for several."""


class Chat:
    """Starts runs, hands them out by id, stops them, and drains."""

    def __init__(
        self,
        *,
        generator: Generator,
        store: ConversationStore,
        runs: Runs,
        catalogue: Catalogue,
        observer: Observer,
        stamps: Stamps,
        policy: Policy,
    ) -> None:
        self.runs = runs
        self._generator = generator
        self._store = store
        self._catalogue = catalogue
        self._observer = observer
        self._stamps = stamps
        self._policy = policy
        self._drivers: set[asyncio.Task[None]] = set()
        self.draining = False

    # Verbs.

    def start(self, value: object, caller: Caller) -> Run:
        """Start a run for a chat request, or find the one that its idempotency key started.

        Raises `ServiceError` for what can be refused without asking the store; the rest comes
        from `run.reached`.
        """
        mark = fingerprint(value)
        if run := self.runs.started_by(caller.owner, caller.idempotency_key, mark):
            return run
        self._check_open()
        request, model, fitted = parse_chat(value, self._catalogue, self._policy.unsupported)

        async def planning(run: Run) -> Plan:
            conversation = None
            if request.conversation_id is not None:
                conversation = await self._conversation(run, request.conversation_id)
            return plan_question(request, model, fitted, conversation, self._stamps)

        conversation_id = None
        if request.save_conversation:
            conversation_id = request.conversation_id or self._stamps.new_id()
        default = OnDisconnect.CONTINUE if request.save_conversation else OnDisconnect.CANCEL
        on_disconnect = request.on_disconnect or default
        run = self._new_run(conversation_id, on_disconnect, caller)
        self._launch(run, planning, caller.idempotency_key, mark)
        return run

    def regenerate(
        self, conversation_id: str, message_id: str, value: object, caller: Caller
    ) -> Run:
        """Start a run for a new answer beside an old one; otherwise as `start`."""
        mark = fingerprint(value, "regenerate", conversation_id, message_id)
        if run := self.runs.started_by(caller.owner, caller.idempotency_key, mark):
            return run
        self._check_open()
        request = parse_regenerate(value, self._catalogue, self._policy.unsupported)

        async def planning(run: Run) -> Plan:
            conversation = await self._conversation(run, conversation_id)
            return plan_regeneration(
                request,
                conversation,
                message_id,
                self._catalogue,
                self._policy.unsupported,
                self._stamps,
            )

        run = self._new_run(conversation_id, OnDisconnect.CONTINUE, caller)
        self._launch(run, planning, caller.idempotency_key, mark)
        return run

    async def cancel(self, owner: str, run_id: str) -> Run:
        """Stop a run, and wait until it has ended; one that has ended stays as it is."""
        run = self.runs.get(owner, run_id)
        run.stop(Stop.CANCELLED)
        await run.wait_done()
        return run

    # How a run comes to be.

    def _check_open(self) -> None:
        if self.draining:
            raise ServiceError(Kind.DRAINING, "this server is going away; ask again", retry_after=1)

    async def _conversation(self, run: Run, conversation_id: str) -> Conversation:
        """The conversation that a run goes on from; claimed for it where the answer is saved."""
        owner, saved = run.origin.owner, run.origin.conversation_id is not None
        if saved:
            conversation = await self._store.take(owner, conversation_id, run.run_id)
        else:
            conversation = await self._store.get(owner, conversation_id)
        if conversation is None:
            raise no_conversation()
        return conversation

    def _new_run(
        self, conversation_id: str | None, on_disconnect: OnDisconnect, caller: Caller
    ) -> Run:
        origin = Origin(
            owner=caller.owner,
            run_id=self._stamps.new_id(),
            conversation_id=conversation_id,
            created_at=self._stamps.now(),
            request_id=caller.request_id,
            cancel_when_left=on_disconnect is OnDisconnect.CANCEL,
            detached=caller.detached,
        )
        return Run(origin, self._policy.grace_seconds)

    def _launch(self, run: Run, planning: Planning, key: str | None, mark: bytes) -> None:
        """Claim and drive; nothing awaits between the look-ups of the caller and the claim."""
        self.runs.check_room(run.origin.owner)
        if run.origin.conversation_id is not None:
            self.runs.claim(run.origin.owner, run.origin.conversation_id, run.run_id)
        self.runs.add(run, key, mark)
        self._observer.run_started(run)  # before: the driver takes on what a trace sets here
        driver = asyncio.create_task(self._generator.drive(run, planning))
        self._drivers.add(driver)
        driver.add_done_callback(self._drivers.discard)

    # From first to last.

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Open the store, and keep house, for as long as runs may be started."""
        opening = asyncio.create_task(self._open_store())
        keepers = [opening]
        try:
            await asyncio.wait({opening}, timeout=OPENING_SECONDS)
            if opening.done():
                opening.result()  # a defect is no reason to try again
            keepers += [
                asyncio.create_task(self._sweep_forever()),
                asyncio.create_task(self._renew_forever()),
                asyncio.create_task(self._generator.checkpoints.write_forever()),
            ]
            yield
        finally:
            await self.drain(0)
            for keeper in keepers:
                keeper.cancel()
            await asyncio.wait(keepers)
            await self._store.close()

    async def drain(self, timeout_seconds: float) -> None:
        """Start no more runs, let running ones end for so long, then interrupt the rest."""
        self.draining = True
        if self._drivers and timeout_seconds > 0:
            await asyncio.wait(self._drivers, timeout=timeout_seconds)
        for run in self.runs.active():
            run.stop(Stop.INTERRUPTED)
        if self._drivers:
            await asyncio.wait(self._drivers, timeout=LAST_WRITES_SECONDS)

    async def _open_store(self) -> None:
        while True:
            try:
                await self._store.open()
            except ServiceError as exc:
                self._observer.store_failed("open", exc)
                await asyncio.sleep(REOPEN_SECONDS)
            else:
                return

    async def _renew_forever(self) -> None:
        """Hold the claims of this process; stop the runs that have lost theirs."""
        while True:
            await asyncio.sleep(self._policy.renewal_seconds)
            try:
                self._stop_lost(await self._store.renew())
            except Exception as exc:  # noqa: BLE001  # a defect must not let all claims lapse
                self._observer.store_failed("renew", exc)

    def _stop_lost(self, lost: Sequence[Lost]) -> None:
        removed = {one.run_id: one.removed for one in lost}
        for run in self.runs.active():
            if run.run_id in removed:
                run.stop(Stop.CANCELLED if removed[run.run_id] else Stop.INTERRUPTED)

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.runs.sweep()
