"""A program that writes to a store until it is killed, and says what was acknowledged.

Each line on standard output is `NAME STEP`: the conversation `c-NAME` has come as far as STEP,
which is 0 when it has begun, then the pieces of its answer that were checkpointed, and PIECES + 1
when it has ended.
"""

import asyncio
import itertools
import sys

from service.core.ports import Checkpoint, ConversationStore
from service.store.open import open_store
from store.samples import beginning, ended, moment

PIECES = 4
WRITERS = 3


def piece(name: str, number: int) -> str:
    return f"piece{number} of {name}. "


def answer(name: str, pieces: int) -> str:
    return "".join(piece(name, number) for number in range(1, pieces + 1))


async def converse(store: ConversationStore, name: str) -> None:
    await store.begin(beginning(name))
    say(name, 0)
    for number in range(1, PIECES + 1):
        await store.checkpoint([Checkpoint(f"a-{name}", piece(name, number), "", whole=False)])
        say(name, number)
    await store.finish(f"c-{name}", ended(name, answer(name, PIECES)), moment(2))
    say(name, PIECES + 1)


def say(name: str, step: int) -> None:
    sys.stdout.write(f"{name} {step}\n")
    sys.stdout.flush()


async def write_forever(store: ConversationStore, writer: int) -> None:
    for number in itertools.count():
        await converse(store, f"{writer}-{number}")


async def main(url: str) -> None:
    store = open_store(url)
    await store.open()
    await asyncio.gather(*(write_forever(store, writer) for writer in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
