"""Is Markdown that grows shown as it will be in the end?"""

from itertools import pairwise

import pytest
from playground.visiting import Visits

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

LONG_LINE = "Words **strong**, `code`, *soft* and [a link](https://example.com/a_b). " * 60
HARD_LINE = "2 * 3 *over [the `lazy 2 * 3 _dog " * 160
CODE = "".join(
    f'def f{n}(a):\n    """Say\n\n    more."""\n    return "{n}"\n\n\n' for n in range(40)
)
TEXTS = {
    "prose": "# Title\n\nOne **two** ~~three~~\nfour.\n\nHeading\n---\n\nSome `co**de`.\n\n***\n",
    "lists": "- a\n- b\n  - c\n  - d\n\n    e\n- f\n\n1. g\n\n   h\n2. i\n* * *\n+ j\n\nk\n",
    "long list": "".join(f"{n}. item **{n}** of `many`\n" for n in range(7, 90)) + "\nEnd.\n",
    "tasks": "- [x] done\n- [ ] open\n\nEnd.\n",
    "tables": "| a | b |\n|---|:-:|\n| 1 | **2** |\n| 3\nText\n\na | b\n--- | ---\n1 | 2\n\nEnd.\n",
    "long table": "| n | m |\n| --- | ---: |\n"
    + "".join(f"| {n} | *{n * n}* |\n" for n in range(90))
    + "\n\nEnd.\n",
    "code": f"Here:\n\n```python\n{CODE}```\n\n~~~\n```\n~~~~\n\n    indented\n\n"
    "  ```js\n  x\n  ```\nEnd.",
    "open code": "```js\nconst a = `b",
    "fences in lists": "1. do\n\n   ```sh\n   make run\n   ```\n\n"
    "2. then\n   ```\n   x\n   ```\n\nEnd.\n",
    "quotes": "> one\n> two\n>\n> - three\nlazy\n\n> > four\n\nEnd.\n",
    "long line": f"{LONG_LINE}\n\n{LONG_LINE}\nand more\n",
    "hard line": f"{HARD_LINE}\n\nEnd.\n",
    "links": "[a][b] and [c]: d\n\n[b]: https://example.com 'title'\n\n[b] <https://e.org> e.org\n",
    "html": "a<br>b <sub>c</sub> <div>d</div>\n\n<details>\n<summary>e</summary>\n\nf\n</details>",
    "not links": "Water[^1] boils.\n\n[^1]: Foot note text, see [^1].\n\n[Note]: only here.",
    "code in lines": "Run this:\n```npm install``` and go\n\n```\\[\ny\n```\n\nEnd.\n",
    "open tags": "The <u> tag, <code>Map<K,V></code>.\n\nThen <b>bold\n\nEnd.\n",
    "code at the end": "```js\nx\n",
    "line ends": "a\r\nb\r\n\r\n- c\r\n- d\r\n\r\n```\r\ne\r\n```\r\n\u2028f\x00g",
}
LONG = 1000
SHOWN_AT_EACH_STEP = (
    "Some **bold** and `code`, [a link](https://e.org) ![p](https://e.org/p).\n\n# T\n"
)

GROW = """
async ([text, step]) => {
  const { GrowingMarkdown } = await import("/static/playground/growing.js");
  const shape = (root) => {
    const names = [...root.querySelectorAll("*")]
      .filter((it) => !it.closest("pre, button, svg") || it.nodeName === "PRE")
      .map((it) => [it.nodeName, it.getAttribute("align"), it.getAttribute("href")].join(" "));
    return [names.join("\\n"), root.textContent.replace(/\\s+/g, "")];
  };
  const [grown, whole] = [document.createElement("div"), document.createElement("div")];
  const growing = new GrowingMarkdown(grown);
  for (let end = step; end < text.length; end += step) growing.show(text.slice(0, end), false);
  growing.show(text, true);
  new GrowingMarkdown(whole).show(text, true);
  return [shape(grown), shape(whole)];
}
"""

STEPS = """
async (text) => {
  const { GrowingMarkdown } = await import("/static/playground/growing.js");
  const root = document.createElement("div");
  const growing = new GrowingMarkdown(root);
  const shown = [];
  for (let end = 1; end <= text.length; end += 1) {
    growing.show(text.slice(0, end), false);
    shown.push(root.textContent);
  }
  return shown;
}
"""


async def test_what_has_grown_is_what_it_would_be_at_once(visits: Visits) -> None:
    async with visits.opened() as visit:
        for name, text in TEXTS.items():
            for step in (1, 7, 64) if len(text) < LONG else (23, 211):
                grown, whole = await visit.page.evaluate(GROW, [text, step])
                assert grown == whole, (name, step)


async def test_markup_that_is_not_finished_is_not_seen(visits: Visits) -> None:
    async with visits.opened() as visit:
        shown = await visit.page.evaluate(STEPS, SHOWN_AT_EACH_STEP)

    marks = [text for text in shown if any(mark in text for mark in "*`[]()#")]
    assert marks == []
    for earlier, later in pairwise(shown):
        assert later.startswith(earlier.strip("! \n"))
