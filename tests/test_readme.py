"""Is it so, what README.md says? What it prints is run, what it lists is compared."""

import asyncio
import hashlib
import json
import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import attrs
import pytest

from printed import (
    ANSWER,
    CONTENT,
    PRINTED_URL,
    QUESTION,
    README,
    blocks,
    by_heading,
    only,
    rows,
    section,
)
from service.core.catalogue import PARAMETER_TYPES
from service.core.errors import Kind
from service.core.request import ChatRequest
from service.settings import Settings
from service.simulator import Script, Text
from service.web.asyncapi import CLOSE_CODES
from service.web.messages import CLIENT_MESSAGES, ServerMessage
from service.web.routes import ROUTES
from support import MODEL, Running, all_frames, catalogue, path_of, running

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / "config" / ".env.example").read_text(encoding="utf-8")

# Problems that only what a later version has can answer.
LATER = {Kind.UNAUTHORIZED}

# The shell.


async def shell(block: str, running_service: Running, directory: Path) -> str:
    """What a block prints, run in that directory by a shell that stops at the first failure."""
    url = str(running_service.client.make_url("")).rstrip("/")
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euc",
        block.replace(PRINTED_URL, url),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    printed, faults = await process.communicate()
    assert process.returncode == 0, faults.decode()
    return printed.decode()


def events_of(stream: str) -> list[dict[str, object]]:
    return [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: ")]


def answer_of(events: Sequence[dict[str, object]]) -> str:
    return "".join(str(event.get("content", "")) for event in events)


@pytest.mark.parametrize("block", [block for block in blocks("sh") if "curl" in block])
async def test_a_printed_curl_runs_and_is_answered(block: str, tmp_path: Path) -> None:
    async with running() as service:
        printed = await shell(block, service, tmp_path)

    assert printed
    assert ("/problems/" in printed) == ("3.5" in block)


async def test_the_printed_curl_streams_the_answer(tmp_path: Path) -> None:
    [ask] = [block for block in blocks("sh", section("Quick start")) if "curl -N" in block]
    script = Script()
    script.next(ANSWER)
    async with running(script) as service:
        printed = await shell(ask, service, tmp_path)

    assert answer_of(events_of(printed)) == CONTENT


async def test_the_printed_curls_resume_after_a_cut(tmp_path: Path) -> None:
    [resume] = [block for block in blocks("sh", section("Quick start")) if "begin.txt" in block]
    script = Script()
    script.next(ANSWER)
    async with running(script) as service:
        printed = await shell(resume, service, tmp_path)

    begin = (tmp_path / "begin.txt").read_text(encoding="utf-8")
    assert len(events_of(begin)) == 10
    assert answer_of(events_of(begin)) != CONTENT
    assert answer_of(events_of(printed)) == CONTENT
    assert len(script.requests) == 1


async def test_the_printed_curl_for_a_bad_request_is_told_its_fault(tmp_path: Path) -> None:
    async with running() as service:
        printed = await shell(only("sh", "Problems"), service, tmp_path)

    problem = json.loads(printed)
    assert problem["type"] == "/problems/validation-error"
    assert [fault["pointer"] for fault in problem["errors"]] == ["#/hyperparameters/temperature"]


async def test_the_printed_backup_holds_the_conversations(tmp_path: Path) -> None:
    [backup] = [block for block in blocks("sh") if "backup" in block]
    store = f"sqlite:///{tmp_path}/data/conversations.db"
    async with running(CONVERSATION_STORE=store) as service:
        await service.client.post("/api/chat", json=QUESTION)
        await shell(backup, service, tmp_path)

    copy = sqlite3.connect(tmp_path / "backup.db")
    [count] = copy.execute("SELECT count(*) FROM messages").fetchone()
    copy.close()
    assert count == 2


def test_every_block_is_of_a_language_that_is_run_or_compared() -> None:
    languages = re.findall(r"^```(\w+)$", README, re.MULTILINE)

    assert len(languages) * 2 == len(re.findall(r"^```", README, re.MULTILINE))
    assert set(languages) == {"sh", "js", "html", "json", "text"}


# The API.


def test_the_api_table_has_every_route_and_no_other() -> None:
    cells = " ".join(row[0] for row in rows("API"))
    listed = re.findall(r"`([A-Z]+) (/[^`]*)`", cells)

    assert sorted(listed) == sorted((route.method, path_of(route)) for route in ROUTES)


async def test_the_printed_request_has_every_field_and_is_accepted() -> None:
    request = json.loads(only("json", "The request"))
    model = catalogue().find(MODEL)
    assert model

    async with running() as service:
        response = await service.client.post("/api/chat", json=request)
        answer = await response.json()

    assert response.status == 200, answer
    assert list(request) == list(attrs.fields_dict(ChatRequest))
    assert list(request["hyperparameters"]) == [
        name for name, parameter in model.parameters.items() if parameter.supported
    ]


def test_every_hyperparameter_is_named() -> None:
    assert not [name for name in PARAMETER_TYPES if name not in section("The request")]


async def test_the_printed_events_have_the_fields_of_real_ones() -> None:
    printed = events_of(only("text", "The events of a stream"))
    script = Script()
    script.next(Text("Quantum"))
    async with running(script) as service:
        response = await service.client.post("/api/chat/stream", json=QUESTION)
        real = [frame.data for frame in await all_frames(response)]

    assert [list(event) for event in printed] == [list(event) for event in real]
    assert {name for row in rows("The events of a stream") for name in row[0].split("`")[1::2]} == {
        "started",
        "delta",
        "snapshot",
        "finished",
        "failed",
    }


def test_the_tables_of_the_socket_have_every_message_and_close_code_and_no_other() -> None:
    told = {name for row in rows("The messages of a WebSocket") for name in row[0].split("`")[1::2]}
    codes = re.findall(r"\b(1\d{3}|4\d{3})\b", section("The messages of a WebSocket"))

    assert told == {
        *CLIENT_MESSAGES,
        *(kind.__struct_config__.tag for kind in get_args(ServerMessage)),
    }
    assert [int(code) for code in codes] == sorted(CLOSE_CODES)


def test_the_printed_events_prove_their_text() -> None:
    events = events_of(only("text", "The events of a stream"))
    content = answer_of(events).encode()

    assert events[-1]["content_length"] == len(content)
    assert events[-1]["content_sha256"] == hashlib.sha256(content).hexdigest()


def test_the_table_of_problems_has_every_problem_of_this_version_and_no_other() -> None:
    listed = [(row[0].strip("`"), int(row[1])) for row in rows("Problems")]

    assert sorted(listed) == sorted((kind.slug, kind.status) for kind in Kind if kind not in LATER)


# Configuration, make and links.


def shown(value: object) -> str:
    """A default as the environment would give it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def test_the_table_of_settings_is_what_the_settings_are() -> None:
    listed = [
        (name.strip("`"), default.strip("`–"), help_)
        for name, default, help_ in rows("Configuration")
    ]

    assert listed == [
        (field.name.upper(), shown(field.default), field.metadata["help"])
        for field in attrs.fields(Settings)
    ]


def test_the_example_of_a_dot_env_has_every_setting_and_its_default() -> None:
    now, _, later = ENV_EXAMPLE.partition("# --- For a later version")
    settings = {field.name.upper(): shown(field.default) for field in attrs.fields(Settings)}

    given = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", now, re.MULTILINE))
    assert {
        name: value for name, value in given.items() if not name.startswith("OTEL_")
    } == settings
    assert not set(re.findall(r"^#?([A-Z_]+)=", later, re.MULTILINE)) & settings.keys()


def test_every_target_of_make_that_is_named_exists() -> None:
    code = " ".join([*blocks("sh"), *re.findall(r"`([^`\n]+)`", README)])
    named = set(re.findall(r"\bmake ([a-z]+)", code))

    assert {"run", "test"} <= named
    assert named <= set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def test_relative_links_lead_somewhere() -> None:
    headings = [heading for heading in by_heading() if heading]
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(([^)]+)\)", README)
    relative = [link for link in links if not link.startswith("https://")]

    assert relative
    assert not [link for link in relative if link[0] == "#" and link[1:] not in anchors]
    assert not [link for link in relative if link[0] != "#" and not (ROOT / link).exists()]


def test_every_path_of_the_layout_exists() -> None:
    layout = only("text", "Development")

    assert not [line for line in layout.splitlines() if not (ROOT / line.split()[0]).exists()]
