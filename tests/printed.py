"""What does README.md print, by heading and language?

What is printed is run as it stands, but for one substitution: http://localhost:8000, the address
of the service, becomes that of the service under test.
"""

import re
from pathlib import Path

from service.simulator import Text
from support import MODEL

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")

PRINTED_URL = "http://localhost:8000"
QUESTION = {"model": MODEL, "user_prompt": "Explain quantum computing"}

# An answer that shows every mistake of a reader: many scripts, line ends, markup, what looks like
# a frame. It is slow enough not to arrive at once, and long enough for all cuts.
CONTENT = "".join(
    f"{number}. Zażółć “ὥρα” 天地玄黃 👩🏽‍💻 <b>&amp;</b>\r\n\n\tdata: {{}}\nid: 7:{number}\u2028"
    for number in range(100)
)
ANSWER = Text(CONTENT, reasoning="Let me see.", tokens_per_second=3000)


def by_heading() -> dict[str, str]:
    """What stands below each heading, up to the next one of any level; `#` in code is none."""
    parts = re.split(r"^(```.*?^```)$", README, flags=re.MULTILINE | re.DOTALL)
    texts, heading = {"": ""}, ""
    for number, part in enumerate(parts):
        pieces = [part] if number % 2 else re.split(r"^#+ (.+)\n", part, flags=re.MULTILINE)
        texts[heading] += pieces[0]
        for heading, text in zip(pieces[1::2], pieces[2::2], strict=True):
            assert heading not in texts, f"two headings {heading!r}"
            texts[heading] = text
    return texts


def section(heading: str) -> str:
    """What stands below a heading."""
    return by_heading()[heading]


def blocks(language: str, text: str = README) -> list[str]:
    """What is printed in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def only(language: str, heading: str) -> str:
    """The only block in that language below a heading."""
    [block] = blocks(language, section(heading))
    return block


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    lines = re.findall(r"^\| (.*) ?\|$", section(heading), re.MULTILINE)
    return [[cell.strip() for cell in line.split(" |")] for line in lines[2:]]
