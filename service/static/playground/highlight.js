// How is code coloured while it grows? In sections, so that what is done is never looked at again.

import DOMPurify from "../vendor/dompurify.js";
import highlighter from "../vendor/highlight.js";

// A section ends at the end of a line where the grammar is inside of nothing; at the latest here.
const SECTION_LENGTH = 600;
const LONGEST_SECTION = 6000;
// Grammars look far ahead in a line. One that is longer was not written by hand: it stays as it is.
const LONG_LINE = /[^\n]{500}/;

/** The elements of a growing piece of code: sections, of which only the last one changes. */
export class Sections {
  #root;
  #language;
  #open = "";
  #section = newSection();

  /**
   * @param {HTMLElement} root
   * @param {string} language as it was named; an unknown one leaves the code as it is
   */
  constructor(root, language) {
    this.#root = root;
    this.#language = highlighter.getLanguage(language) ? language : "";
    root.append(this.#section);
  }

  /** @param {string} text goes to the end */
  append(text) {
    this.#open += text;
    while (this.#open.length > LONGEST_SECTION)
      this.#closeAt(lastLineEnd(this.#open, LONGEST_SECTION));
    if (this.#open.length > SECTION_LENGTH) this.#closeWhereAllowed();
    fill(this.#section, this.#open, this.#language);
  }

  #closeWhereAllowed() {
    const end = this.#open.lastIndexOf("\n") + 1;
    if (end < SECTION_LENGTH) return;
    if (isOutside(this.#open.slice(0, end), this.#language)) this.#closeAt(end);
  }

  /** @param {number} end */
  #closeAt(end) {
    fill(this.#section, this.#open.slice(0, end), this.#language);
    this.#open = this.#open.slice(end);
    this.#section = newSection();
    this.#root.append(this.#section);
  }
}

function newSection() {
  const section = document.createElement("span");
  section.className = "section";
  return section;
}

/** @param {string} text @param {number} limit */
function lastLineEnd(text, limit) {
  return text.lastIndexOf("\n", limit - 1) + 1 || limit;
}

/** @param {string} code @param {string} language */
function isOutside(code, language) {
  if (!isColoured(code, language)) return true;
  // The mode that the grammar is in at the end; only the outermost one has no parent.
  const ended = highlighter.highlight(code, { language, ignoreIllegals: true });
  return !(
    /** @type {{_top?: {parent?: unknown}}} */ (/** @type {unknown} */ (ended))._top?.parent
  );
}

/** @param {HTMLElement} section @param {string} code @param {string} language */
function fill(section, code, language) {
  if (!isColoured(code, language)) {
    section.textContent = code;
    return;
  }
  const { value } = highlighter.highlight(code, { language, ignoreIllegals: true });
  section.replaceChildren(
    DOMPurify.sanitize(value, {
      ALLOWED_TAGS: ["span"],
      ALLOWED_ATTR: ["class"],
      RETURN_DOM_FRAGMENT: true,
    }),
  );
}

/** @param {string} code @param {string} language */
function isColoured(code, language) {
  return language !== "" && !LONG_LINE.test(code);
}
