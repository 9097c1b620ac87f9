"""Does it take as long to show an answer as the answer is, whatever a model writes?"""

import pytest
from playground.visiting import Visits

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]

MARKS = r"* ** _ ~~ [ ![ ]( ] ) ]: ` ``` | |- < <a <!-- & \ # - @ www. http:// a. !"
FRAGMENTS = (*MARKS.split(" "), "- ", "> ", "a ", " ", "\t", "\n", "\n\n", "\n| ")
ENDS = ("", "@", " x*")
LENGTHS = (3000, 11_000)
"""A paragraph is looked at in pieces of 2,000: of both is left the same."""

FAST_MS = 40
"""So long takes what is linear, and no clock is exact: what is faster is not compared."""

LINEAR = LENGTHS[1] / LENGTHS[0]
MOST = 1.25 * (LINEAR * LINEAR**2) ** 0.5
"""So many times as long may the longer one take: about as it is longer, and far from its square."""

SLOW = """
async ([fragments, ends, lengths, fast, most]) => {
  const { GrowingMarkdown } = await import("/static/playground/growing.js");
  const once = (text, ended) => {
    const growing = new GrowingMarkdown(document.createElement("div"));
    const begun = performance.now();
    growing.show(text, ended);
    return performance.now() - begun;
  };
  const least = (text, ended) => Math.min(...[1, 2, 3].map(() => once(text, ended)));
  const found = [];
  const look = (fragment, end, ended) => {
    const [short, long] = lengths.map(
      (many) => fragment.repeat(Math.ceil(many / fragment.length)) + end);
    if (once(long, ended) < fast) return;
    let [first, second] = [Infinity, Infinity];
    // A machine may be busy with something else: what is linear shows it when it is not.
    for (let attempt = 0; attempt < 10; attempt += 1) {
      first = Math.min(first, least(short, ended));
      second = Math.min(second, least(long, ended));
      if (second <= most * first) return;
    }
    found.push([fragment, end, ended, first, second]);
  };
  for (const first of fragments) {
    for (const end of ends) look(first, end, true);
    for (const second of fragments)
      for (const ended of [true, false]) look(first + second, "", ended);
    if (found.length > 0) break;
  }
  return found;
}
"""

SHOWN = """
async (text) => {
  const { GrowingMarkdown } = await import("/static/playground/growing.js");
  const root = document.createElement("div");
  new GrowingMarkdown(root).show(text, true);
  return root;
}
"""
WORDS = "Some **bold words** and [a link](https://example.com/a_b), `code` and me@example.com too. "


async def test_time_grows_with_the_length_alone(visits: Visits) -> None:
    async with visits.opened() as visit:
        fragments = [FRAGMENTS, ENDS, LENGTHS, FAST_MS, MOST]

        assert await visit.page.evaluate(SLOW, fragments) == []


@pytest.mark.parametrize(
    ("text", "mark", "element"),
    [
        ("> " * 4000 + "the end", ">", "blockquote"),
        ("- " * 4000 + "the end", "-", "ul"),
        ("1. " * 4000 + "the end", "1.", "ol"),
        ("*a " * 200 + "the end" + " a*" * 200, "*", "em"),
    ],
)
async def test_what_is_nested_too_deeply_is_shown_as_text(
    visits: Visits, text: str, mark: str, element: str
) -> None:
    async with visits.opened() as visit:
        root = await visit.page.evaluate_handle(SHOWN, text)
        depth = await root.evaluate("(root, name) => root.querySelectorAll(name).length", element)
        shown = await root.evaluate("root => root.textContent")

    assert 5 < depth < 50
    assert text.count(mark) - 2 * depth <= shown.count(mark) < text.count(mark)
    assert "the end" in shown


async def test_a_long_paragraph_is_whole(visits: Visits) -> None:
    async with visits.opened() as visit:
        root = await visit.page.evaluate_handle(SHOWN, WORDS * 300)
        counts = await root.evaluate(
            "root => ['p', 'strong', 'code', 'a'].map((it) => root.querySelectorAll(it).length)"
        )
        shown = await root.evaluate("root => root.textContent.trim()")

    assert counts == [1, 300, 300, 600]
    assert shown == ("Some bold words and a link, code and me@example.com too. " * 300).strip()


async def test_what_has_no_spaces_is_text(visits: Visits) -> None:
    run = "_a.*b*www." * 1000
    async with visits.opened() as visit:
        root = await visit.page.evaluate_handle(SHOWN, f"**Here:** {run} **there.**")

        assert await root.evaluate("root => root.textContent.trim()") == f"Here: {run} there."
        assert await root.evaluate("root => root.querySelectorAll('strong').length") == 2


async def test_only_code_that_people_write_is_coloured(visits: Visits) -> None:
    short, long = "const a = 1;\n" * 100, "const b = 2;" * 1000
    async with visits.opened() as visit:
        root = await visit.page.evaluate_handle(SHOWN, f"```js\n{short}```\n\n```js\n{long}\n```\n")
        coloured = await root.evaluate(
            "root => [...root.querySelectorAll('code')]"
            ".map((it) => it.querySelectorAll('.hljs-keyword').length)"
        )
        shown = await root.evaluate(
            "root => [...root.querySelectorAll('code')].map((it) => it.textContent)"
        )

    assert coloured == [100, 0]
    assert shown == [short.rstrip(), long]
