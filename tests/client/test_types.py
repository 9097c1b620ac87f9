"""Do the types hold that our JavaScript declares, and does the client stand alone?"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent.parent / "node"
CLIENT = NODE.parent.parent / "service" / "static" / "chat-client.js"


@pytest.mark.servers
@pytest.mark.timeout(90)  # the compiler reads what all browsers know
def test_every_module_that_is_served_is_well_typed_and_so_are_its_users() -> None:
    node, compiler = shutil.which("node"), NODE / "node_modules" / "typescript" / "bin" / "tsc"
    assert node, "Node is missing: .ci/programs installs it"
    assert compiler.is_file(), "run `npm ci` in tests/node, as `make test` does"

    told = subprocess.run(
        [node, compiler, "--project", NODE / "tsconfig.json"],
        capture_output=True,
        text=True,
        timeout=80,
        check=False,
    )

    assert told.stdout + told.stderr == ""


def test_the_client_imports_nothing() -> None:
    source = CLIENT.read_text(encoding="utf-8")

    assert not re.findall(r"^\s*(?:import|export)\b.*\bfrom\b|\bimport\s*\(", source, re.MULTILINE)
