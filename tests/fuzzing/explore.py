"""Does any input break a promise? Coverage-guided, target after target, with a corpus that is kept.

    PYTHONPATH=.:tests python -m fuzzing.explore SECONDS [TARGET …]

Each target runs in a process of its own, so that one that breaks ends no other. What is found is
merged into the corpus: the smallest inputs that together reach all that was reached. An input that
breaks a promise is written into build/fuzz, and its target's corpus stays as it was;
put it there under a name that says what it is, and it is never merged away.
"""

import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

LONGEST = 2048
"""Bytes of an input: enough for every structure, few enough to be read by people."""
LONGEST_RUN_SECONDS = 10
INSTRUMENTED = ["service", "jwt"]
GIVEN_NAME = re.compile("[0-9a-f]{40}")
"""By libFuzzer."""
BROKEN = Path("build/fuzz")
PROGRAM = f"{shlex.quote(sys.executable)} -m fuzzing.explore"
SAYINGS = Path(__file__).with_name("sayings.dict")
"""Words that the parsers know, for inputs to be made of."""


def explore(name: str, seconds: int) -> bool:
    """Look for broken promises of one target for so long; whether none was found."""
    from fuzzing.targets import CORPUS  # noqa: PLC0415  # in the target's process: instrumented

    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    BROKEN.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as found, TemporaryDirectory() as least:
        limits = [f"-max_len={LONGEST}", f"-timeout={LONGEST_RUN_SECONDS}"]
        search = [f"-max_total_time={seconds}", f"-dict={SAYINGS}"]
        search.append(f"-artifact_prefix={BROKEN}/{name}-")
        held = run(name, [*limits, *search, found, str(kept)])
        # How often something was reached does not count: the corpus stays small.
        least_of = ["-merge=1", "-use_counters=0", least, str(kept), found]
        if not held or not run(name, [*limits, *least_of]):
            return False
        replace(kept, Path(least))
    print(f"{name}: no promise was broken; {len(list(kept.iterdir()))} inputs are kept", flush=True)
    return True


def run(name: str, arguments: Sequence[str]) -> bool:
    """Run libFuzzer on one target; whether it ended well.

    To merge it starts itself again, by the name that it was started by: that is to be one program.
    """
    with TemporaryDirectory() as directory:
        program = Path(directory) / name
        program.write_text(f'#!/bin/sh\nexec {PROGRAM} --one {name} {program} "$@"\n')
        program.chmod(0o700)
        done = subprocess.run([program, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        print(done.stderr, file=sys.stderr)
    return done.returncode == 0


def replace(kept: Path, least: Path) -> None:
    """Keep the inputs of one directory in place of those of the other, and what people named."""
    for old in kept.iterdir():
        if GIVEN_NAME.fullmatch(old.name):
            old.unlink()
    for new in least.iterdir():
        (kept / new.name).write_bytes(new.read_bytes())


def run_one(name: str, arguments: Sequence[str]) -> None:
    """Be the process of one target, which libFuzzer ends; the arguments begin with the program."""
    atheris = importlib.import_module("atheris")  # an extra: there are no wheels for every Python
    with atheris.instrument_imports(include=INSTRUMENTED):
        targets = importlib.import_module("fuzzing.targets").TARGETS
    atheris.Setup(list(arguments), targets[name])
    atheris.Fuzz()


def main(arguments: Sequence[str]) -> int:
    """Explore the targets that are named, or all; 1 where a promise was broken."""
    from fuzzing.targets import TARGETS  # noqa: PLC0415

    seconds, *names = arguments
    broken = [name for name in names or TARGETS if not explore(name, int(seconds))]
    for name in broken:
        print(f"{name} breaks a promise: {BROKEN}/{name}-*", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
