"""`python -m service migrate` as an operator uses it: a process, real stores, a terminal."""

import asyncio
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import product
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import evolve, frozen

from printed import only
from service.core.ports import Kept
from service.store.open import open_store
from store.samples import STORES, growing, kept, question

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parent.parent
LASTING = [kind for kind in STORES if kind != "memory"]
MANY = 300
WORDS = {"sqlite": 2000}
"""In an answer: enough that copying MANY of them takes a while."""


def long_ones(kind: str) -> list[Kept]:
    """So many and so long that a move into such a store can be broken off."""
    text = " ".join(f"word{number}" for number in range(WORDS.get(kind, 20)))
    return [kept(f"{number:03}", text) for number in range(MANY)]


@frozen
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def new_store(directory: Path, kind: str) -> str:
    """The URL of an empty store."""
    directory.mkdir()
    return STORES[kind](directory)


async def fill(url: str, conversations: Sequence[Kept]) -> None:
    store = open_store(url)
    await store.open()
    await store.write(conversations)
    await store.close()


async def everything(url: str) -> Sequence[Kept]:
    store = open_store(url)
    await store.open()
    found = await store.read(await store.ids("", 10_000))
    await store.close()
    return found


async def spawn(
    directory: Path,
    *arguments: str,
    stderr: int = asyncio.subprocess.PIPE,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> asyncio.subprocess.Process:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *arguments,
        cwd=directory,
        env={**base, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )


async def migrate(directory: Path, *arguments: str, **variables: str) -> Ended:
    process = await spawn(directory, "migrate", *arguments, variables=variables)
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


@asynccontextmanager
async def terminal() -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """What is read from a terminal, and the end of it that a process is given."""
    ours, theirs = os.openpty()
    reader = asyncio.StreamReader()
    with os.fdopen(ours, "rb", buffering=0) as file:
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), file
        )
        try:
            yield reader, theirs
        finally:
            transport.close()


async def interrupted(directory: Path, number: signal.Signals, *urls: str) -> Ended:
    """How a move ended that got a signal when it had copied some of it; `err` is after that."""
    async with terminal() as (reader, theirs):
        process = await spawn(directory, "migrate", *urls, stderr=theirs)
        os.close(theirs)
        await reader.readuntil(b"copying: ")
        process.send_signal(number)
        (out, _), said = await asyncio.gather(process.communicate(), _rest(reader))
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), said)


async def _rest(reader: asyncio.StreamReader) -> str:
    """What a terminal shows until its last process has gone, which is an error of it."""
    said = b""
    with suppress(OSError):
        while piece := await reader.read(1000):
            said += piece
    return said.decode()


class TestMoving:
    @pytest.mark.parametrize(("one", "other"), list(product(LASTING, LASTING)))
    async def test_moves_all_verifies_it_and_moves_nothing_twice(
        self, tmp_path: Path, one: str, other: str
    ) -> None:
        source, target = new_store(tmp_path / "a", one), new_store(tmp_path / "b", other)
        conversations = [kept(f"{number:02}") for number in range(30)]
        await fill(source, conversations)
        await fill(target, [kept("more")])

        first = await migrate(tmp_path, source, target)
        second = await migrate(tmp_path, source, target)

        assert (first.code, second.code) == (0, 0), first.err + second.err
        head, of_source, of_target, copied, verified = first.out.splitlines()
        assert head.split() == ["conversations", "messages", "SHA-256"]
        assert of_source.split()[:3] == ["source", "30", "60"]
        assert of_source.split()[1:] == of_target.split()[1:]
        assert copied == "Copied: 30. Only in the target: 1."
        assert verified.startswith("Verified")
        assert second.out == first.out.replace("Copied: 30", "Copied: 0")
        assert "copying: 30 of 30 conversations (100 %), 60 messages" in first.err
        assert await everything(target) == [*conversations, kept("more")]

    async def test_a_url_may_be_in_a_variable_a_file_or_dot_env(self, tmp_path: Path) -> None:
        await fill(f"sqlite:///{tmp_path}/a.db", [kept("1")])
        (tmp_path / "url").write_text("sqlite:///b.db\n", encoding="utf-8")
        (tmp_path / ".env").write_text("CONVERSATION_STORE=sqlite:///c.db\n", encoding="utf-8")

        first = await migrate(tmp_path, "env:A", "env:B", A="sqlite:///a.db", B_FILE="url")
        second = await migrate(tmp_path, "sqlite:///b.db", "env:CONVERSATION_STORE")

        assert (first.code, second.code) == (0, 0), first.err + second.err
        assert await everything(f"sqlite:///{tmp_path}/c.db") == [kept("1")]

    async def test_the_printed_command_prints_what_is_printed(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        await fill(f"sqlite:///{tmp_path}/data/conversations.db", [kept("1")])
        python, _, _, *command = only("sh", "Moving conversations").split()

        ended = await migrate(tmp_path, *command[1:], MONGODB_URI="sqlite:///b.db")

        assert (python, command[0]) == (".venv/bin/python", "migrate")
        assert ended.code == 0, ended.err
        printed = only("text", "Moving conversations")
        assert _shape(ended.out) == _shape(printed)

    @pytest.mark.parametrize("other", LASTING)
    async def test_goes_on_after_it_was_killed(self, tmp_path: Path, other: str) -> None:
        source, target = new_store(tmp_path / "a", "sqlite"), new_store(tmp_path / "b", other)
        conversations = long_ones(other)
        await fill(source, conversations)

        killed = await interrupted(tmp_path, signal.SIGKILL, source, target)
        there = await everything(target)
        ended = await migrate(tmp_path, source, target)

        assert killed.code == -signal.SIGKILL
        assert 0 < len(there) < MANY
        assert all(one == conversations[number] for number, one in enumerate(there))
        assert ended.code == 0, ended.err
        assert f"Copied: {MANY - len(there)}." in ended.out
        assert await everything(target) == conversations

    async def test_says_on_ctrl_c_how_to_go_on(self, tmp_path: Path) -> None:
        source, target = [f"sqlite:///{tmp_path}/{name}.db" for name in ("a", "b")]
        await fill(source, long_ones("sqlite"))

        ended = await interrupted(tmp_path, signal.SIGINT, source, target)

        assert (ended.code, ended.out) == (1, "")
        assert "Traceback" not in ended.err
        assert "\nInterrupted. Run the same command again" in ended.err
        assert 0 < len(await everything(target)) < MANY


def _shape(result: str) -> list[str]:
    """A result without its figures and the room that they take."""
    return [
        " ".join(re.sub(r"[0-9a-f,]*[0-9][0-9a-f,]*", "0", line).split())
        for line in result.splitlines()
    ]


class TestWhatIsNotVerified:
    async def test_what_went_on_in_both_is_named_and_left(self, tmp_path: Path) -> None:
        source, target = [f"sqlite:///{tmp_path}/{name}.db" for name in ("a", "b")]
        await fill(source, [kept(f"{number:02}") for number in range(40)])
        newer = [kept(f"{number:02}", "Otherwise.", at=50) for number in range(30)]
        await fill(target, newer)

        ended = await migrate(tmp_path, source, target)

        assert ended.code == 1
        assert "30 went on in both stores" in ended.out
        assert "\n  c-00\n" in ended.out
        assert "\n  c-19\n  and 10 more\n" in ended.out
        assert ended.out.splitlines()[-1].startswith("NOT VERIFIED")
        assert (await everything(target))[:30] == newer

    async def test_what_is_damaged_in_the_file_is_a_failure(self, tmp_path: Path) -> None:
        source = tmp_path / "a.db"
        await fill(f"sqlite:///{source}", [kept("1"), kept("2")])
        connection = sqlite3.connect(source)
        connection.execute("DROP TABLE messages")
        connection.close()

        ended = await migrate(tmp_path, f"sqlite:///{source}", "sqlite:///b.db")

        assert ended.code == 1
        assert ended.out == ""
        assert "Stopped: the source" in ended.err
        assert "Traceback" not in ended.err


class TestTheStart:
    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["sqlite:///a.db", "mysql://user:hidden@host/x"], "the target is no store"),
            (["env:SECRET", "sqlite:///b.db"], "the source is no store"),
            (["env:NOTHING", "sqlite:///b.db"], "env:NOTHING names a variable that is not set"),
            (["memory://", "sqlite:///b.db"], "memory://, which keeps nothing"),
            (["sqlite:///none.db", "sqlite:///b.db"], "none.db"),
            (["sqlite:///a.db", "sqlite:///./a.db"], "the same store"),
        ],
    )
    async def test_what_cannot_be_is_refused_in_one_line(
        self, tmp_path: Path, arguments: list[str], reason: str
    ) -> None:
        await fill(f"sqlite:///{tmp_path}/a.db", [kept("1")])

        ended = await migrate(tmp_path, *arguments, SECRET="mysql://user:hidden@host/x")

        assert (ended.code, ended.out) == (1, "")
        assert ended.err.count("\n") == 1
        assert reason in ended.err
        assert "hidden" not in ended.err
        assert [path.name for path in tmp_path.glob("*.db")] == ["a.db"]

    @pytest.mark.parametrize("count", [1, 3])
    async def test_too_few_or_too_many_urls_are_not_repeated(
        self, tmp_path: Path, count: int
    ) -> None:
        ended = await migrate(tmp_path, *["mysql://user:hidden@host/x"] * count)

        assert ended.code != 0
        assert "hidden" not in ended.out + ended.err

    @pytest.mark.parametrize("role", ["source", "target"])
    async def test_a_store_that_cannot_be_opened_is_named_by_its_role(
        self, tmp_path: Path, role: str
    ) -> None:
        await fill(f"sqlite:///{tmp_path}/good.db", [kept("1")])
        (tmp_path / "bad.db").write_text("no database " * 100, encoding="utf-8")
        bad, good = "sqlite:///bad.db", "sqlite:///good.db"

        ended = await migrate(tmp_path, *((bad, good) if role == "source" else (good, bad)))

        assert (ended.code, ended.out) == (1, "")
        assert f"Stopped: the {role} (sqlite): " in ended.err
        assert "Traceback" not in ended.err

    async def test_what_a_crash_left_unfinished_is_settled_and_moved(self, tmp_path: Path) -> None:
        one = kept("1")
        said = (question("1"), growing("1"))
        unfinished = evolve(one, conversation=evolve(one.conversation, messages=said))
        await fill(f"sqlite:///{tmp_path}/a.db", [unfinished])

        ended = await migrate(tmp_path, "sqlite:///a.db", "sqlite:///b.db")

        assert ended.code == 0
        [moved] = await everything(f"sqlite:///{tmp_path}/b.db")
        assert [getattr(message, "status", None) for message in moved.conversation.messages] == [
            None,
            "partial",
        ]

    async def test_the_help_says_to_stop_the_services(self, tmp_path: Path) -> None:
        ended = await migrate(tmp_path, "--help")

        assert ended.code == 0
        assert "Stop the services" in ended.out
        assert "env:NAME" in ended.out
