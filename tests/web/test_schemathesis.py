"""Does schemathesis find anything that the service does otherwise than /openapi.json says?"""

import asyncio
import base64
import json
import sys
from os import environ
from pathlib import Path

import pytest
from web.described import VERSION
from web.outside import Json, chat

from service.core.catalogue import Catalogue
from service.web import examples
from service.web.openapi import describe_http
from support import Running, catalogue, running

HERE = Path(__file__).parent
PROGRAM = Path(sys.executable).with_name("schemathesis")
DEADLINE_SECONDS = 120
"""It takes 11 seconds on a machine that has nothing else to do."""
MODEL = "qwen/qwen3.8-27b"
"""One that takes every value of the reasoning parameters."""
CURSOR = base64.urlsafe_b64encode(b'["2026-11-23T02:57:48.546Z","x"]').rstrip(b"=").decode()


async def document(service: Running) -> Json:
    """The document, as far as it is data and not form with what this service has: ids and models.

    The ranges are those of one model, since what another takes no schema of a request can tell.
    """
    model = catalogue().find(MODEL)
    assert model
    one = Catalogue([model], model.parameters)
    answer = await chat(service)
    text = describe_http(VERSION, one, authentication=False).decode()
    for made_up, real in (
        (examples.RUN_ID, answer["run_id"]),
        (examples.CONVERSATION_ID, answer["conversation_id"]),
        (examples.MESSAGE_ID, answer["message_id"]),
        (examples.MODEL, MODEL),
    ):
        text = text.replace(made_up, real)
    # With the id of a run that there is, a POST resumes it, and no body is at fault.
    text = text.replace(f"{answer['run_id']}:1", f"{examples.RUN_ID}:1")
    told: Json = json.loads(text)
    schemas, parameters = told["components"]["schemas"], told["components"]["parameters"]
    schemas["ChatRequest"]["properties"]["model"]["enum"] = [MODEL]
    schemas["RegenerateRequest"]["properties"]["model"]["anyOf"][0]["enum"] = [MODEL]
    parameters["query.cursor"]["schema"]["enum"] = ["", CURSOR]
    return told


@pytest.mark.timeout(DEADLINE_SECONDS + 10)
async def test_it_finds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    async with running(UNSUPPORTED_PARAMETERS="ignore") as service:
        file.write_text(json.dumps(await document(service)), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *("--config-file", HERE / "schemathesis.toml", "run", file),
            *("--url", str(service.client.make_url("/"))),
            cwd=tmp_path,
            env={**environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                printed, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    assert process.returncode == 0, printed.decode()
