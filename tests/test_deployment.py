"""Do the files that carry the service to its machines work?"""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
ENV_EXAMPLE = (ROOT / "config" / ".env.example").read_text(encoding="utf-8")

# Settings that the image decides: a container listens and finds its files where the image says.
SET_BY_IMAGE = {"HOST", "PORT", "CONFIG_DIR"}

Instruction = tuple[str, str]


def run(*command: str | Path, cwd: Path = ROOT, **environ: str) -> str:
    """Return what *command* prints to either stream; AssertionError where it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def program(name: str) -> str:
    """Return the path of a program that `make test` installs."""
    path = shutil.which(name, path=os.environ["PATH"] + os.pathsep + "/usr/sbin")
    assert path, f"{name} is missing: run `make test`, which installs it or says how"
    return path


def compose() -> tuple[str, ...]:
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    return (program("docker"), "compose")


def stages(dockerfile: str) -> list[list[Instruction]]:
    """Return the instructions of each stage, as (name, rest) with continued lines joined."""
    without_comments = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)
    lines = without_comments.replace("\\\n", " ").splitlines()
    instructions = [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]
    starts = [i for i, (name, _) in enumerate(instructions) if name == "FROM"]
    return [
        instructions[start:end]
        for start, end in zip(starts, [*starts[1:], len(instructions)], strict=True)
    ]


def value(stage: list[Instruction], name: str) -> str:
    """Return the argument of the only *name* in a stage."""
    [argument] = [rest for instruction, rest in stage if instruction == name]
    return argument


FINAL_STAGE = stages(DOCKERFILE)[-1]


def test_hadolint_finds_no_fault_in_the_dockerfile() -> None:
    run(Path(sys.executable).parent / "hadolint", "Dockerfile")


def test_the_image_does_not_run_as_root() -> None:
    user, group = value(FINAL_STAGE, "USER").split(":")

    assert int(user) > 0
    assert int(group) > 0


def test_the_service_is_the_process_that_gets_sigterm() -> None:
    assert value(FINAL_STAGE, "STOPSIGNAL") == "SIGTERM"
    assert json.loads(value(FINAL_STAGE, "ENTRYPOINT")) == ["python", "-m", "service"]


@pytest.mark.parametrize("tool", ["apt-get", "gcc", "build-essential", "pip install", "curl"])
def test_the_final_stage_installs_nothing(tool: str) -> None:
    commands = [rest for name, rest in FINAL_STAGE if name == "RUN"]

    assert not [command for command in commands if tool in command]


def test_conversations_are_kept_on_the_volume_of_the_image_and_of_compose() -> None:
    volume = value(FINAL_STAGE, "VOLUME")

    assert f"CONVERSATION_STORE=sqlite:///{volume}/" in value(FINAL_STAGE, "ENV")
    assert f"CONVERSATION_STORE:-sqlite:///{volume}/" in COMPOSE
    assert f"- conversations:{volume}\n" in COMPOSE


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 1), (404, 1)])
async def test_the_healthcheck_of_the_image_tells_live_from_not(
    status: int, exit_code: int
) -> None:
    async def live(request: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health/live", live)
    _, *arguments = json.loads(value(FINAL_STAGE, "HEALTHCHECK").partition("CMD")[2])

    async with TestServer(app) as server:
        environ = {"PORT": str(server.port), "http_proxy": "http://127.0.0.1:1"}
        check = await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environ)
        assert await check.wait() == exit_code


def test_the_healthcheck_of_the_image_fails_where_nothing_listens(
    unused_tcp_port: int,
) -> None:
    _, *arguments = json.loads(value(FINAL_STAGE, "HEALTHCHECK").partition("CMD")[2])
    check = subprocess.run(
        [sys.executable, *arguments],
        env={"PORT": str(unused_tcp_port)},
        stderr=subprocess.DEVNULL,
        check=False,
    )

    assert check.returncode == 1


def test_only_what_the_image_needs_is_sent_to_the_builder() -> None:
    rules = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}

    assert "*" in rules
    assert {name.rstrip("/") for names in copied for name in names.split()} == allowed


@pytest.mark.servers
def test_compose_passes_a_key_in_dot_env_on_and_leaves_out_what_is_not_set(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)
    (tmp_path / ".env").write_text("GROQ_API_KEY=gsk_example\nPORT=9000\n", encoding="utf-8")

    config = run(*compose(), "config", cwd=tmp_path)

    assert "GROQ_API_KEY: gsk_example" in config
    assert "CONVERSATION_STORE: sqlite:////data/conversations.db" in config
    assert "RUN_RETENTION: ''" not in config
    assert "9000" in config


@pytest.mark.servers
@pytest.mark.parametrize(("arguments", "simulates"), [("", False), ("--simulate", True)])
def test_compose_simulates_only_when_told_to(
    tmp_path: Path, arguments: str, simulates: bool
) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)

    config = run(*compose(), "config", cwd=tmp_path, ARGS=arguments)

    assert ("--simulate" in config) == simulates


def test_compose_publishes_its_port_on_loopback_only() -> None:
    ports = re.findall(r'^ +- "(.+:8000)"$', COMPOSE, re.MULTILINE)

    assert ports == ["127.0.0.1:${PORT:-8000}:8000"]


@pytest.mark.servers
@pytest.mark.parametrize(("asked", "allowed"), [("", "true"), ("false", "false")])
def test_compose_needs_no_authentication_for_this_machine_alone(
    tmp_path: Path, asked: str, allowed: str
) -> None:
    shutil.copy(ROOT / "docker-compose.yml", tmp_path)

    config = run(*compose(), "config", cwd=tmp_path, ALLOW_ANONYMOUS=asked)

    assert f"ALLOW_ANONYMOUS: '{allowed}'" in config.replace('"', "'")


def test_compose_takes_no_name_that_a_page_could_lead_there() -> None:
    assert "- ALLOWED_HOSTS=${ALLOWED_HOSTS:-localhost}\n" in COMPOSE


def test_compose_waits_longer_than_a_drain_takes() -> None:
    [grace] = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)
    [drain] = re.findall(r"^#DRAIN_TIMEOUT=(\d+)$", ENV_EXAMPLE, re.MULTILINE)

    assert int(grace) > int(drain)


def test_compose_passes_on_every_setting_of_the_example() -> None:
    in_example = set(re.findall(r"^#?([A-Z_]+)=", ENV_EXAMPLE, re.MULTILINE))
    environment = COMPOSE.partition("environment:\n")[2].partition("volumes:\n")[0]
    in_compose = set(re.findall(r"- ([A-Z_]+)", environment))

    assert in_compose == in_example - SET_BY_IMAGE


@pytest.mark.servers
def test_nginx_accepts_the_example(tmp_path: Path) -> None:
    example = (ROOT / "config" / "nginx.conf").read_text(encoding="utf-8")
    # What takes root, port 80 and the directories of the system, is moved into tmp_path.
    kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    moved = "".join(f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in kinds)
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"pid {tmp_path}/nginx.pid;\n"
        + example.replace("http {", "http {\naccess_log off;\n" + moved).replace(
            "listen 80;", f"listen unix:{tmp_path}/http.sock;"
        ),
        encoding="utf-8",
    )

    printed = run(program("nginx"), "-t", "-e", "stderr", "-p", tmp_path, "-c", config)

    assert "test is successful" in printed
    assert "[warn]" not in printed


@pytest.mark.parametrize("script", ["run", "programs"])
def test_the_shell_scripts_are_well_formed(script: str) -> None:
    path = ROOT / ".ci" / script

    assert os.access(path, os.X_OK)
    run("bash", "-n", path)
