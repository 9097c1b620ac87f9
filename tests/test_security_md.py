"""Is there what SECURITY.md names?"""

import re
from pathlib import Path

import attrs

from service.settings import Settings
from service.web.routes import ROUTES

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
SETTINGS = {field.name.upper() for field in attrs.fields(Settings)}
NO_SETTINGS = {"NAME_FILE"}
"""What stands for the name of any setting."""
DIRECTORIES = {"/data", "/tmp"}
"""Of the container."""


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", TEXT)) - NO_SETTINGS

    assert {"API_KEYS", "MAX_BODY_BYTES"} <= named <= SETTINGS


def test_every_file_that_is_linked_exists_and_is_called_so() -> None:
    links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", TEXT)

    assert links
    assert [target for _, target in links if not (ROOT / target).is_file()] == []
    assert [
        (text, target)
        for text, target in links
        if "." in text and text != target and text != Path(target).name
    ] == []


def test_every_decision_is_linked_by_its_number() -> None:
    decisions = re.findall(r"\[decision (\d+)\]\(docs/decisions/(\d+)-", TEXT)

    assert decisions
    assert [number for number, file in decisions if int(number) != int(file)] == []


def test_every_path_that_is_named_is_a_route() -> None:
    named = set(re.findall(r"`(?:GET )?(/[a-z.]+)`", TEXT)) - DIRECTORIES

    assert "/metrics" in named
    assert named <= {route.path for route in ROUTES}


def test_the_limits_of_an_owner_are_all_named() -> None:
    limits = {name for name in SETTINGS if name.startswith(("MAX_", "RATE_LIMIT_"))}

    assert [name for name in sorted(limits) if f"`{name}`" not in TEXT] == []
