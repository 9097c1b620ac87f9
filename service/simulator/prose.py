"""What the simulator says to a prompt.

Each answer says first that it is no model's. The rest shows what a chat interface has to show well:
Markdown, code, many scripts. The same conversation and seed give the same text.
"""

import hashlib
import random
import re
from collections import Counter
from itertools import islice

import attrs
import msgspec

from service.simulator.answers import Text
from service.simulator.call import Call
from service.simulator.models import SimulatedModel
from service.simulator.tokens import count_tokens, tokens_of

NOTICE = "This is the built-in simulator, not a model."

QUOTED_CHARACTERS = 280
TITLE_CHARACTERS = 60
COMMON_WORDS = 4

OPENINGS = (
    "Nobody thought about your prompt; the text below only shows how an answer arrives.",
    "It has read your prompt and understood nothing; this text only shows how an answer arrives.",
    "No question is answered here; the text below is made up to show how an answer arrives.",
)

SCRIPTS = (
    ("Latin", "Zażółć gęślą jaźń, où l'été naît"),
    ("Greek", "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία"),
    ("Cyrillic", "Съешь ещё этих мягких булок"),
    ("Chinese", "天地玄黃，宇宙洪荒"),
    ("Japanese", "いろはにほへと、カタカナ"),
    ("Korean", "다람쥐 헌 쳇바퀴에 타고파"),
    ("Arabic", "نص حكيم له سر قاطع"),
    ("Emoji", "🚀 👩🏽‍💻 🇨🇭 ❤️‍🔥"),
)

POINTS = (
    "**Bold**, *italic* and `inline code` in one line",
    "A character such as `<`, `&` or `\\` that an interface must not take for its own markup",
    "A link: [how Groq's models are asked](https://console.groq.com/docs)",
    "Deltas that end in the middle of a word, so that it grows as you watch",
    "A list whose last point is as long as this one, so that it wraps on a narrow screen",
)

CODE = '''```python
def follow(log, after=-1):
    """Yield every event of the log that is newer than `after`."""
    for seq, event in enumerate(log):
        if seq > after:  # a reader is only a number
            yield seq, event


print(list(follow({log}, after={after})))
```'''

CLOSING = "To hear from a model, start the service with a `GROQ_API_KEY` and without `--simulate`."

REASONING = (
    "I am the built-in simulator, so this is no reasoning either. The prompt has {words} words. "
    "First I say what I am, then I quote the prompt, then I show a list, a table and some code."
)


def answer_to(call: Call, model: SimulatedModel) -> Text:
    """The answer to a chat request, within its stop sequences and token limits.

    A last message of the assistant's is continued, and not repeated.
    """
    asked, begun = opened(call)
    text = write(asked, random.Random(fingerprint(asked)))
    reasoning = reason(call) if reasons(call, model) else ""
    if call.reasoning_format == "raw" and reasoning:
        reasoning, text = "", f"<think>\n{reasoning}\n</think>\n\n{text}"
    rest = cut_at_stops(text, call.stops).removeprefix(begun)
    return limited(rest, reasoning, token_limit(call, model))


def opened(call: Call) -> tuple[Call, str]:
    """A call without the beginning of its answer, and that beginning; empty where it has none."""
    *asked, last = call.messages
    if last.role != "assistant" or not asked:
        return call, ""
    return attrs.evolve(call, messages=asked), last.text


def reasons(call: Call, model: SimulatedModel) -> bool:
    return (
        model.reasoning
        and call.include_reasoning is not False
        and call.reasoning_format != "hidden"
        and call.reasoning_effort != "none"
    )


def fingerprint(call: Call) -> bytes:
    conversation = [(message.role, message.text) for message in call.messages]
    return hashlib.sha256(msgspec.json.encode((conversation, call.seed))).digest()


def reason(call: Call) -> str:
    return REASONING.format(words=len(prompt_of(call).split()))


def prompt_of(call: Call) -> str:
    """What the user said last."""
    questions = [message.text for message in call.messages if message.role == "user"]
    return questions[-1].strip() if questions else ""


def write(call: Call, chance: random.Random) -> str:
    prompt = prompt_of(call)
    parts = (
        f"{NOTICE} {chance.choice(OPENINGS)}",
        f"# {title_of(prompt)}",
        count(call, prompt),
        quote(prompt),
        "## What an interface has to show",
        "\n".join(f"- {point}" for point in chance.sample(POINTS, 4)),
        table(("script", "sample"), chance.sample(SCRIPTS, len(SCRIPTS))),
        code(chance),
        "\n".join(f"{number}. {word}" for number, word in enumerate(common_words(prompt), 1)),
        CLOSING,
    )
    return "\n\n".join(part for part in parts if part)


def title_of(prompt: str) -> str:
    words = " ".join(prompt.split())
    if len(words) > TITLE_CHARACTERS:
        words = words[:TITLE_CHARACTERS].rstrip() + "…"
    return f"About “{words}”" if words else "About nothing"


def count(call: Call, prompt: str) -> str:
    turn = sum(message.role == "user" for message in call.messages)
    words = len(prompt.split())
    return f"Question {turn} of this conversation: {words} words, {len(prompt)} characters."


def quote(prompt: str) -> str:
    shown = prompt[:QUOTED_CHARACTERS] + ("…" if len(prompt) > QUOTED_CHARACTERS else "")
    return "\n".join(f"> {line}" for line in shown.splitlines())


def table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [head, ("---", "---"), *rows]
    return "\n".join(f"| {first} | {second} |" for first, second in lines)


def code(chance: random.Random) -> str:
    log = [chance.randrange(100) for _ in range(5)]
    return CODE.replace("{log}", str(log)).replace("{after}", str(chance.randrange(4)))


def common_words(prompt: str) -> list[str]:
    words = Counter(word.lower() for word in re.findall(r"\w{1,30}", prompt))
    return [f"“{word}” × {times}" for word, times in words.most_common(COMMON_WORDS)]


def cut_at_stops(text: str, stops: list[str]) -> str:
    """The text up to the first stop sequence, which itself is not said."""
    ends = [text.find(stop) for stop in stops if stop in text]
    return text[: min(ends, default=len(text))]


def token_limit(call: Call, model: SimulatedModel) -> int:
    asked = call.max_completion_tokens or call.max_tokens or model.max_completion_tokens
    return min(asked, model.context_window - call.prompt_tokens)


def limited(content: str, reasoning: str, limit: int) -> Text:
    """Reasoning counts towards the limit, and may leave nothing for the answer, as at Groq."""
    reasoned = count_tokens(reasoning)
    if reasoned + count_tokens(content) <= limit:
        return Text(content, reasoning=reasoning)
    return Text(
        "".join(islice(tokens_of(content), max(0, limit - reasoned))),
        reasoning="".join(islice(tokens_of(reasoning), limit)),
        finish_reason="length",
    )
