"""The service as a process: started, asked, killed, stopped, as an operator does it."""

import asyncio
import hashlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from attrs import define

from service.settings import load_settings
from service.simulator import Cut, Gate, Raw, Script, Text, chunk, make_simulator, run_simulator
from support import CONFIG, KEY, MODEL, all_frames, catalogue, frames_of, simulated_models, text_of

pytestmark = pytest.mark.servers

ROOT = Path(__file__).parent.parent


@define
class Process:
    """A running service and what it has logged so far."""

    process: asyncio.subprocess.Process
    url: str
    lines: list[dict[str, object]]

    async def ended(self) -> int:
        """Its exit code; what it still logs is read meanwhile."""
        assert self.process.stdout
        while line := await self.process.stdout.readline():
            self.lines.append(json.loads(line))
        return await self.process.wait()

    def log(self, event: str) -> list[dict[str, object]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]


def _environment(directory: Path, variables: Mapping[str, str]) -> dict[str, str]:
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CONFIG_DIR": str(CONFIG)}
    store = f"sqlite:///{directory}/data/conversations.db"
    return base | {"CONVERSATION_STORE": store, "PORT": "0", "LOG_FORMAT": "json"} | dict(variables)


async def _spawn(directory: Path, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "service",
        *arguments,
        cwd=directory,
        env=_environment(directory, variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**22,
    )


@asynccontextmanager
async def serving(directory: Path, *arguments: str, **variables: str) -> AsyncIterator[Process]:
    """A service that takes requests; killed at the end if it still runs."""
    process = await _spawn(directory, *arguments, **variables)
    assert process.stdout
    assert process.stderr
    lines: list[dict[str, object]] = []
    try:
        while line := await process.stdout.readline():
            lines.append(json.loads(line))
            if lines[-1]["event"] == "serving":
                yield Process(process, str(lines[-1]["url"]), lines)
                return
        raise AssertionError((await process.stderr.read()).decode())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def refused(directory: Path, *arguments: str, **variables: str) -> str:
    """What a service says that does not start."""
    process = await _spawn(directory, *arguments, **variables)
    _, said = await process.communicate()
    assert process.returncode == 1
    return said.decode()


@asynccontextmanager
async def groq(script: Script) -> AsyncIterator[dict[str, str]]:
    """A scripted Groq, and the variables that lead a service to it."""
    look_alike = make_simulator(
        simulated_models(catalogue()), tokens_per_second=0, api_key=KEY, script=script
    )
    async with run_simulator(look_alike) as url:
        yield {"GROQ_BASE_URL": url, "GROQ_API_KEY": KEY}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def _question(prompt: str = "Tell me") -> dict[str, object]:
    return {"model": MODEL, "user_prompt": prompt}


async def test_without_a_key_it_refuses_with_one_sentence(tmp_path: Path) -> None:
    said = await refused(tmp_path)

    assert said.count("\n") == 1
    assert "GROQ_API_KEY" in said
    assert "--simulate" in said


async def test_all_faulty_settings_are_named_at_once_and_no_secret_is(tmp_path: Path) -> None:
    said = await refused(
        tmp_path, PORT="http", DRAIN_TIMEOUT="-1", CONVERSATION_STORE="mysql://u:hidden@host/x"
    )

    assert "PORT" in said
    assert "DRAIN_TIMEOUT" in said
    assert "hidden" not in said


async def test_an_unknown_store_is_refused_without_its_password(tmp_path: Path) -> None:
    said = await refused(tmp_path, CONVERSATION_STORE="mysql://user:hidden@host/x")

    assert "sqlite:///" in said
    assert "hidden" not in said


async def test_no_other_machine_is_let_in_without_authentication(tmp_path: Path) -> None:
    said = await refused(tmp_path, "--simulate", HOST="0.0.0.0")

    assert said.count("\n") == 1
    assert "API_KEYS" in said
    assert "ALLOW_ANONYMOUS=true" in said


async def test_a_new_key_is_printed_with_its_entry_and_nothing_else(tmp_path: Path) -> None:
    process = await _spawn(tmp_path, "keys", "new", "ci", PORT="http")  # no setting is read
    printed, faults = await process.communicate()

    key, entry, end = printed.decode().split("\n")
    assert (process.returncode, faults, end) == (0, b"", "")
    assert entry == f"ci:{hashlib.sha256(key.encode()).hexdigest()}"
    assert load_settings({"API_KEYS": entry}).api_keys[0].name == "ci"
    assert not list(tmp_path.iterdir())


async def test_a_key_for_a_name_that_fits_no_entry_is_refused(tmp_path: Path) -> None:
    said = await refused(tmp_path, "keys", "new", "a,b")

    assert said == (
        "the name of a key must be 1 to 64 letters, digits, dots, underscores and hyphens\n"
    )


async def test_a_malformed_catalogue_is_named_by_file_entry_and_field(tmp_path: Path) -> None:
    text = (CONFIG / "models.toml").read_text(encoding="utf-8")
    broken = text.replace("context_window = 131072", 'context_window = "many"', 1)
    (tmp_path / "models.toml").write_text(broken, encoding="utf-8")

    said = await refused(tmp_path, "--simulate", CONFIG_DIR=str(tmp_path))

    assert "models.toml" in said
    assert "context_window" in said
    assert "[[models]]" in said


async def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    async with serving(tmp_path, "--simulate") as first:
        port = first.url.rpartition(":")[2]
        said = await refused(tmp_path, "--simulate", PORT=port, CONVERSATION_STORE="memory://")

    assert "Traceback" not in said
    assert port in said


async def test_the_simulator_never_passes_for_a_model(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with serving(tmp_path, "--simulate") as service:
        async with http.post(f"{service.url}/api/chat/stream", json=_question()) as response:
            header = response.headers["X-Simulated"]
            first = [frame async for frame in _first(response, 40)]

    assert header == "true"
    assert first[0]["simulated"] is True
    assert "simulator" in "".join(str(frame.get("content", "")) for frame in first)
    assert service.log("simulated")


async def _first(response: aiohttp.ClientResponse, count: int) -> AsyncIterator[dict[str, object]]:
    """Events until so many have brought content."""
    seen = 0
    async for frame in frames_of(response):
        yield frame.data
        seen += bool(frame.data.get("content"))
        if seen == count:
            return


async def test_kill_9_in_mid_answer_leaves_question_and_partial_answer(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script = Script()
    text = "".join(f"{number} " for number in range(100))
    begun = [chunk({"content": f"{number} "}) for number in range(100)]
    script.always(Raw([*begun, Gate(asyncio.Event())]))
    async with groq(script) as variables:
        async with serving(tmp_path, **variables) as service:
            async with http.post(f"{service.url}/api/chat/stream", json=_question()) as response:
                started = (await anext(frames_of(response))).data
                conversation = f"/api/conversations/{started['conversation_id']}"
                shown = await _checkpointed(http, service.url + conversation, text)
                service.process.kill()
        assert shown["status"] == "streaming"
        async with serving(tmp_path, **variables) as service:
            async with http.get(service.url + conversation) as again:
                messages = (await again.json())["messages"]
            async with http.get(f"{service.url}/api/runs/{started['run_id']}") as gone:
                status = gone.status
            script.always(Text("and on"))
            body = _question("Go on") | {"conversation_id": started["conversation_id"]}
            async with http.post(f"{service.url}/api/chat", json=body) as response:
                assert (await response.json())["content"] == "and on"

    assert [message["content"] for message in messages] == ["Tell me", text]
    assert messages[1]["status"] == "partial"
    assert status == 404


async def _checkpointed(http: aiohttp.ClientSession, url: str, text: str) -> dict[str, object]:
    """The answer as soon as the store has this much: asked again and again, as a user would."""
    async with asyncio.timeout(10):
        while True:
            async with http.get(url) as response:
                answer: dict[str, object] = (await response.json())["messages"][1]
            if answer["content"] == text:
                return answer


async def test_sigterm_lets_an_answer_end_and_refuses_new_ones(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script = Script()
    gate = asyncio.Event()
    script.next(Raw([chunk({"content": "first "}), Gate(gate), *_rest()]))
    async with groq(script) as variables, serving(tmp_path, **variables) as service:
        async with http.post(f"{service.url}/api/chat/stream", json=_question()) as response:
            frames = frames_of(response)
            await anext(frames)
            service.process.send_signal(signal.SIGTERM)
            await _not_ready(http, service.url)
            async with http.post(f"{service.url}/api/chat", json=_question()) as refusal:
                told = await refusal.json()
                retry_after = refusal.headers["Retry-After"]
            gate.set()
            text = text_of([frame async for frame in frames])
        code = await service.ended()

    assert code == 0
    assert text == "first last"
    assert told["type"] == "/problems/draining"
    assert int(retry_after) >= 1


async def _not_ready(http: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(10):
        while True:
            async with http.get(f"{url}/health/ready") as response:
                if response.status == 503:
                    assert (await response.json())["parts"]["service"] == "draining"
                    return


def _rest() -> list[bytes]:
    return [
        chunk({"content": "last"}),
        chunk({}, "stop"),
        b"data: [DONE]\n\n",
    ]


async def test_past_the_drain_timeout_an_answer_ends_interrupted_and_is_kept(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script = Script()
    script.always(Raw([chunk({"content": "half"}), Gate(asyncio.Event())]))
    async with groq(script) as variables:
        async with serving(tmp_path, DRAIN_TIMEOUT="0.2", **variables) as service:
            async with http.post(f"{service.url}/api/chat/stream", json=_question()) as response:
                frames = frames_of(response)
                started, delta = await anext(frames), await anext(frames)
                service.process.send_signal(signal.SIGTERM)
                ended = [frame.data async for frame in frames]
            code = await service.ended()
        async with serving(tmp_path, **variables) as service:
            path = f"/api/conversations/{started.data['conversation_id']}"
            async with http.get(service.url + path) as response:
                answer = (await response.json())["messages"][1]

    assert code == 0
    assert delta.data["content"] == "half"
    assert [event["type"] for event in ended] == ["failed"]
    assert ended[0]["error"]["type"] == "/problems/interrupted"  # type: ignore[index]  # JSON
    assert (answer["content"], answer["status"]) == ("half", "partial")


async def test_a_second_signal_ends_the_drain(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    script = Script()
    script.always(Raw([chunk({"content": "half"}), Gate(asyncio.Event())]))
    async with groq(script) as variables, serving(tmp_path, **variables) as service:
        async with http.post(f"{service.url}/api/chat/stream", json=_question()) as response:
            await anext(frames_of(response))
            service.process.send_signal(signal.SIGTERM)
            await _not_ready(http, service.url)
            service.process.send_signal(signal.SIGTERM)
            frames = await all_frames(response)
        code = await service.ended()

    assert code == 0
    assert frames[-1].data["type"] == "failed"


async def test_a_refused_key_is_told_and_does_not_stop_the_service(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with groq(Script()) as variables:
        wrong = variables | {"GROQ_API_KEY": "gsk_wrong_key"}
        async with serving(tmp_path, **wrong) as service:
            async with http.get(f"{service.url}/health/ready") as response:
                ready, parts = response.status, (await response.json())["parts"]
            async with http.post(f"{service.url}/api/chat", json=_question()) as response:
                problem = await response.json()
            service.process.terminate()
            await service.ended()

    assert ready == 503
    assert "refused the key" in parts["groq"]
    assert parts["store"] == "ok"
    assert problem["type"] == "/problems/upstream-auth"
    assert service.log("models_listed")[0]["level"] == "error"
    assert "gsk_wrong_key" not in json.dumps(service.lines)


async def test_logs_tell_of_a_run_what_an_operator_needs_and_nothing_that_was_said(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    script = Script()
    script.next(Text("the hidden answer"), Raw([chunk({"content": "hidden half"}), Cut()]))
    async with groq(script) as variables:
        async with serving(tmp_path, DEBUG="true", **variables) as service:
            for prompt in ("a hidden question", "another hidden question"):
                body = _question(prompt)
                headers = {"X-Request-Id": "asked-by-me"}
                await http.post(f"{service.url}/api/chat", json=body, headers=headers)
            service.process.terminate()
            await service.ended()

    whole, broken = service.log("run_ended")
    assert whole["status"] == "finished"
    assert whole["completion_tokens"]
    assert whole["time_to_first_token"]
    assert whole["request_id"] == "asked-by-me"
    assert broken["reason"] == "upstream-error"
    assert len(service.log("run_started")) == len(service.log("request_started")) == 2
    assert {line["run_id"] for line in service.log("request_ended")} == {
        whole["run_id"],
        broken["run_id"],
    }
    assert "hidden" not in json.dumps(service.lines)
    assert KEY not in json.dumps(service.lines)


async def test_the_key_may_lie_in_a_file_and_settings_in_dot_env(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    async with groq(Script()) as variables:
        (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
        (tmp_path / ".env").write_text(
            f"GROQ_API_KEY_FILE=key\nGROQ_BASE_URL={variables['GROQ_BASE_URL']}/openai/v1\n",
            encoding="utf-8",
        )
        async with serving(tmp_path) as service:
            async with http.post(f"{service.url}/api/chat", json=_question()) as response:
                answer = await response.json()

    assert answer["finish_reason"] == "stop"


async def test_a_groq_that_is_away_at_the_start_keeps_nothing_from_starting(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    variables = {"GROQ_API_KEY": KEY, "GROQ_BASE_URL": "http://127.0.0.1:9"}
    async with serving(tmp_path, UPSTREAM_MAX_RETRIES="0", **variables) as service:
        async with http.get(f"{service.url}/health/ready") as response:
            ready = response.status
        async with http.post(f"{service.url}/api/chat", json=_question()) as response:
            problem = await response.json()
        async with http.get(f"{service.url}/api/models") as response:
            available = {item["available"] for item in (await response.json())["items"]}

    assert ready == 503
    assert problem["type"] == "/problems/upstream-error"
    assert available == {None}
