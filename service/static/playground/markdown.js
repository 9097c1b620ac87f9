// How does a model's Markdown become elements that cannot do anything? marked, then DOMPurify.

import DOMPurify from "../vendor/dompurify.js";
import { Marked } from "../vendor/marked.js";
import { BoundedLexer } from "./bounded-lexer.js";
import { codeBlock } from "./code-block.js";
import { element } from "./element.js";

/** @typedef {import("../vendor/marked.js").Token} Token */
/** @typedef {import("../vendor/marked.js").Tokens.Generic} Generic */

// Of raw HTML only these pass, and only without attributes; all else is shown as the text it is.
const HARMLESS = /^<\/?(?:b|br|del|em|i|ins|kbd|mark|q|s|small|strong|sub|sup|u)\s*\/?>$/i;

const TAG = /<[a-z]/i;
const OWN_CLASS = /^(?:language-\S+|picture)$/;

// Of columns of tables, in characters.
const NARROWEST = 7;
const WIDEST = 24;
const PADDING = 4;
const REM_PER_CHARACTER = 0.5;

const LINKS = new Set(["http:", "https:", "mailto:"]);

const ALLOWED = {
  ALLOWED_TAGS: (
    "a b blockquote br code del em h3 h4 h5 h6 hr i input ins kbd li mark ol p pre q s small " +
    "strong sub sup table tbody td th thead tr u ul"
  ).split(" "),
  ALLOWED_ATTR: ["align", "checked", "class", "disabled", "href", "start", "type"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ADD_URI_SAFE_ATTR: ["align", "checked", "disabled", "start", "type"], // the pattern is for addresses
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

// Formulas as models write them are not Markdown: they stay as they were written.
const FORMULA = /^(?:\\\(.*?\\\)|\\\[.*?\\\]|\$\$.*?\$\$)/s;
const FORMULA_MARK = /^\\[()[\]]/;

const marked = new Marked({
  gfm: true,
  extensions: [
    {
      name: "formula",
      level: "inline",
      start: (text) => text.match(/\\[([]|\$\$/)?.index,
      tokenizer: (text) => verbatim(FORMULA.exec(text) ?? FORMULA_MARK.exec(text)),
    },
  ],
  renderer: {
    // The page has a title, and each message one: what is within stands below them.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    // marked trusts what stands between some tags, such as <code>, to be HTML.
    text(token) {
      if ("escaped" in token) token.escaped = false;
      return false;
    },
    html: ({ text }) => (HARMLESS.test(text.trim()) ? text : escaped(text)),
    image: ({ href, text }) =>
      `<a class="picture" href="${escaped(href)}">${escaped(text || href)}</a>`,
  },
});

/**
 * The blocks of a Markdown text; their `raw` joined is the text.
 * @param {string} text
 * @param {Links} [links] definitions of links that stood before
 * @returns {Token[]}
 */
export function blocksOf(text, links) {
  const lexer = new BoundedLexer(marked.defaults);
  Object.assign(lexer.tokens.links, links);
  const blocks = lexer.lex(text);
  if (links) Object.assign(links, lexer.tokens.links);
  return blocks;
}

/** @typedef {Record<string, {href: string | null, title: string | null}>} Links */

/**
 * The pieces of a line of Markdown.
 * @param {string} text
 * @returns {Token[]}
 */
export function piecesOf(text) {
  return new BoundedLexer(marked.defaults).inlineTokens(text);
}

/**
 * @param {Token[]} blocks
 * @returns {DocumentFragment} elements that run nothing and load nothing
 */
export function rendered(blocks) {
  const fragment = document.createDocumentFragment();
  /** @type {Token[]} */
  let together = [];
  const flush = () => {
    if (together.length > 0) fragment.append(harmless(marked.parser(together.map(evenly))));
    together = [];
  };
  for (const block of blocks) {
    // By itself: a tag that is not closed ends with its block.
    const isApart = TAG.test(block.raw);
    if (isApart) flush();
    together.push(block);
    if (isApart) flush();
  }
  flush();
  return fragment;
}

/**
 * @param {Token[]} pieces
 * @returns {DocumentFragment}
 */
export function renderedPieces(pieces) {
  return harmless(new marked.Parser(marked.defaults).parseInline(pieces));
}

/**
 * An item has paragraphs by what is in it alone: else one blank line, far down, would move all.
 * @param {Token} block
 * @returns {Token}
 */
function evenly(block) {
  if (block.type !== "list") return block;
  const items = /** @type {Generic} */ (block).items.map((/** @type {Generic} */ item) => {
    const parts = (item.tokens ?? []).map(evenly);
    const texts = parts.filter(isText);
    const tokens = texts.length > 1 ? parts.map(asParagraph) : parts.map(asText);
    return { ...item, tokens, loose: texts.length > 1 };
  });
  return /** @type {Token} */ ({ ...block, items, loose: false });
}

/** @param {Token} token */
function isText(token) {
  return token.type === "text" || token.type === "paragraph";
}

/** @param {Token} token @returns {Token} */
function asParagraph(token) {
  return isText(token) ? /** @type {Token} */ ({ ...token, type: "paragraph" }) : token;
}

/** @param {Token} token @returns {Token} */
function asText(token) {
  return isText(token) ? /** @type {Token} */ ({ ...token, type: "text" }) : token;
}

/** @param {RegExpExecArray | null} found */
function verbatim(found) {
  return found ? { type: "text", raw: found[0], text: found[0], escaped: false } : undefined;
}

/** @param {string} html */
function harmless(html) {
  const fragment = DOMPurify.sanitize(html, ALLOWED);
  for (const it of fragment.querySelectorAll("[class]"))
    if (!OWN_CLASS.test(it.className)) it.removeAttribute("class");
  fragment.querySelectorAll("a").forEach(secure);
  fragment.querySelectorAll("input").forEach(label);
  fragment.querySelectorAll("table").forEach(wrap);
  fragment.querySelectorAll("pre").forEach((block) => {
    const language = /^language-(\S+)$/.exec(block.firstElementChild?.className ?? "")?.[1] ?? "";
    block.replaceWith(codeBlock(language, (block.textContent ?? "").replace(/\n$/, "")));
  });
  return fragment;
}

/** @param {HTMLAnchorElement} link */
function secure(link) {
  const address = link.getAttribute("href");
  if (!address || !URL.canParse(address) || !LINKS.has(new URL(address).protocol)) {
    link.replaceWith(...link.childNodes);
    return;
  }
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.title = address;
}

/** @param {HTMLInputElement} box */
function label(box) {
  box.type = "checkbox";
  box.disabled = true;
  box.setAttribute("aria-label", box.checked ? "Done" : "Not done");
}

/** @param {HTMLTableElement} table */
function wrap(table) {
  const frame = element("div", {
    class: "wide",
    tabindex: "0",
    role: "region",
    "aria-label": "Table",
  });
  table.replaceWith(frame);
  fix(table);
  frame.append(table);
}

/**
 * Columns are as wide as the head and the first row suggest: rows that come later move nothing.
 * @param {HTMLTableElement} table
 */
function fix(table) {
  const [head, first] = table.rows;
  const widths = [...(head?.cells ?? [])].map((cell, column) => {
    const lengths = [cell, first?.cells[column]].map((it) => it?.textContent?.length ?? 0);
    return Math.min(Math.max(NARROWEST, ...lengths), WIDEST) + PADDING;
  });
  const whole = widths.reduce((sum, width) => sum + width, 0);
  const columns = widths.map((width) => {
    const column = element("col");
    column.style.width = `${(100 * width) / whole}%`;
    return column;
  });
  table.prepend(element("colgroup", {}, ...columns));
  table.style.minWidth = `${Math.round(whole * REM_PER_CHARACTER)}rem`;
}

/** @param {string} text */
function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
