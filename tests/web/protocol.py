"""What does the contract promise for a sequence of messages? A model of one socket."""

from typing import Literal

from attrs import define, field, frozen
from web.outside import Held

MOST_RUNS = 3

Reply = tuple[str, str | None, object]
"""Type, id, and what tells one from the other: a seq, a slug with pointers, a cursor."""


@frozen
class Chat:
    """Start a run, with a request that is fit or not."""

    id: str
    fit: bool


@frozen
class Resume:
    """Read one of the runs so far; a number that is none of them stands for an unknown one."""

    id: str
    run: int
    after: int


@frozen
class About:
    """Cancel or leave."""

    kind: Literal["cancel", "leave"]
    id: str


@frozen
class LetGo:
    """Let one of the runs come to its end."""

    run: int


@frozen
class Garbage:
    """So many messages in a row that are no JSON object in a text frame."""

    count: int


@frozen
class Unknown:
    """A message of no type, or with a member too many."""

    members: dict[str, object]


Step = Chat | Resume | About | LetGo | Garbage | Unknown


@define
class ModelRun:
    """A run as the model knows it."""

    held: Held = field(factory=Held)
    events: int = 2
    status: str = "running"
    run_id: str = ""


@define
class Model:
    """The runs there are, and which are read under which id."""

    runs: list[ModelRun] = field(factory=list)
    live: dict[str, ModelRun] = field(factory=dict)
    closed: bool = False

    def replies(self, step: Step) -> list[Reply]:
        """What has to come, in order for each id; the model then is as the service."""
        match step:
            case Chat():
                return self._chat(step)
            case Resume():
                return self._resume(step)
            case About():
                return self._about(step)
            case LetGo(run=number):
                running = number < len(self.runs) and self.runs[number].status == "running"
                return self._end(self.runs[number], 2, "finished") if running else []
            case Garbage(count=count):
                self.closed = count >= 3
                return [refusal(None, "malformed-json")] * count
            case Unknown(members=members):
                extra = "#/x" if members.get("type") == "ping" else "#/type"
                return [refusal(None, "validation-error", extra)]

    def _taken(self, name: str) -> list[Reply]:
        if name in self.live:
            return [refusal(name, "validation-error", "#/id")]
        if len(self.live) >= MOST_RUNS:
            return [refusal(name, "rate-limited")]
        return []

    def _chat(self, step: Chat) -> list[Reply]:
        if taken := self._taken(step.id):
            return taken
        if not step.fit:
            return [refusal(step.id, "validation-error", "#/request/hyperparameters/top_p")]
        run = ModelRun()
        self.runs.append(run)
        self.live[step.id] = run
        return [("started", step.id, 0), ("delta", step.id, 1)]

    def _resume(self, step: Resume) -> list[Reply]:
        if taken := self._taken(step.id):
            return taken
        if step.run >= len(self.runs):
            return [refusal(step.id, "run-not-found")]
        run = self.runs[step.run]
        if step.after >= run.events:
            return [refusal(step.id, "validation-error", "#/after")]
        resumed = ("resumed", step.id, (step.after, run.events - 1, run.status))
        if run.status == "running":
            self.live[step.id] = run
        return [resumed, *_events(step.id, run, step.after + 1)]

    def _about(self, step: About) -> list[Reply]:
        if step.id not in self.live:
            return [refusal(step.id, "not-found")]
        if step.kind == "cancel":
            return self._end(self.live[step.id], 1, "cancelled")
        del self.live[step.id]
        return [("left", step.id, None)]

    def _end(self, run: ModelRun, more: int, status: str) -> list[Reply]:
        first, run.events, run.status = run.events, run.events + more, status
        readers = [name for name, read in self.live.items() if read is run]
        for name in readers:
            del self.live[name]
        return [reply for name in readers for reply in _events(name, run, first)]


def _events(name: str, run: ModelRun, first: int) -> list[Reply]:
    kinds = ["started", "delta", "delta", "finished"]
    if run.status == "cancelled":
        kinds = ["started", "delta", "finished"]
    return [(kinds[seq], name, seq) for seq in range(first, run.events)]


def refusal(name: str | None, slug: str, *pointers: str) -> Reply:
    """An error that answers under this id."""
    return ("error", name, (slug, pointers))


def reply_of(message: dict[str, object]) -> Reply:
    """A message of the service as the model tells of it."""
    kind, name = str(message["type"]), message.get("id")
    assert name is None or isinstance(name, str)
    match message:
        case {"error": dict(problem)} if kind == "error":
            slug = str(problem["type"]).removeprefix("/problems/")
            return refusal(name, slug, *(fault["pointer"] for fault in problem.get("errors", ())))
        case {"after": after, "last_seq": last, "status": status}:
            return kind, name, (after, last, status)
        case _:
            return kind, name, message.get("seq")


def by_id(replies: list[Reply]) -> dict[str | None, list[Reply]]:
    """The replies under each id, in order."""
    return {name: [r for r in replies if r[1] == name] for _, name, _ in replies}
