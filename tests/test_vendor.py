"""Is service/static/vendor what vendor/package-lock.json yields, and complete?"""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "vendor"
VENDORED = ROOT / "service" / "static" / "vendor"
MANIFEST = json.loads((VENDORED / "manifest.json").read_text(encoding="utf-8"))
PACKAGES: list[dict[str, Any]] = MANIFEST["packages"]
LOCK = json.loads((SOURCE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
WANTED = json.loads((SOURCE / "package.json").read_text(encoding="utf-8"))["dependencies"]
MOST_BYTES = 5_000_000
OPEN_LICENCES = {"MIT", "BSD-3-Clause", "Apache-2.0", "(MPL-2.0 OR Apache-2.0)"}


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {
        file.relative_to(directory).as_posix(): file.read_bytes()
        for file in directory.rglob("*")
        if file.is_file()
    }


@pytest.mark.servers
def test_it_is_what_npm_yields(tmp_path: Path) -> None:
    node, installed = shutil.which("node"), SOURCE / "node_modules" / ".package-lock.json"
    assert node, "node is missing: run `make test`, which installs it or says how"
    assert installed.is_file(), "run `make test`, which fetches what the pages load"
    # npm checked each package against its hash in the lock file when it unpacked it.
    found = json.loads(installed.read_text(encoding="utf-8"))["packages"]
    assert found == {name: it for name, it in LOCK.items() if name}, "run `make test` again"

    subprocess.run([node, SOURCE / "assemble.mjs", tmp_path / "made"], check=True)

    assert contents(tmp_path / "made") == contents(VENDORED), "run `make vendor`"


def test_every_package_is_pinned_and_proved() -> None:
    assert {package["name"]: package["version"] for package in PACKAGES} == WANTED
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in WANTED.values())
    assert all(it["integrity"].startswith("sha512-") for name, it in LOCK.items() if name)


def test_the_list_proves_every_file() -> None:
    told = {name: hash_ for it in PACKAGES for name, hash_ in it["sha256"].items()}
    found = {name: hashlib.sha256(body).hexdigest() for name, body in contents(VENDORED).items()}

    assert {name: found.pop(name) for name in told} == told
    assert {name.partition("/")[0] for name in found} == {
        "licences",
        "manifest.json",
        "highlight.d.ts",
        "redoc.d.ts",
    }


def test_every_package_comes_with_its_licence() -> None:
    licences = {name for name in contents(VENDORED) if name.startswith("licences/")}

    for package in PACKAGES:
        assert package["licence"] in OPEN_LICENCES
        short = package["name"].replace("@highlightjs/cdn-assets", "highlight.js")
        assert [name for name in licences if name.startswith(f"licences/{short}.")], short


def test_it_weighs_little_enough() -> None:
    assert sum(map(len, contents(VENDORED).values())) < MOST_BYTES


def test_git_takes_it_for_what_it_is() -> None:
    paths = ["service/static/vendor/redoc.js", "vendor/package-lock.json"]
    told = subprocess.run(
        ["git", "check-attr", "diff", "linguist-vendored", "linguist-generated", "--", *paths],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout

    assert "redoc.js: diff: unset" in told
    assert "redoc.js: linguist-vendored: set" in told
    assert "package-lock.json: linguist-generated: set" in told


BUILD = """
import sys
from setuptools import build_meta
directory = sys.argv[1]  # which setuptools changes
build_meta.build_sdist(directory)
build_meta.build_wheel(directory)
"""


def test_packages_bring_every_page_and_file(tmp_path: Path) -> None:
    copy, built = tmp_path / "copy", tmp_path / "built"
    shutil.copytree(
        ROOT / "service", copy / "service", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("setup.cfg", "pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, copy)

    # A program of its own, in a copy: a build writes into its source, and warns of this and that.
    subprocess.run([sys.executable, "-c", BUILD, built], cwd=copy, check=True, capture_output=True)

    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        in_wheel = set(wheel.namelist())
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        in_sdist = {name.partition("/")[2] for name in sdist.getnames()}
    static = {f"service/static/{name}" for name in contents(ROOT / "service" / "static")}
    assert static <= in_wheel
    assert static <= in_sdist
