// How is Markdown shown while it is written? What is decided is rendered once; only the end again.

import { GrowingCode } from "./growing-code.js";
import { GrowingLine } from "./growing-line.js";
import { GrowingList } from "./growing-list.js";
import { GrowingTable } from "./growing-table.js";
import { blocksOf, rendered } from "./markdown.js";
import { certain, decided } from "./pending.js";

/** @typedef {import("./markdown.js").Token} Token */
/** @typedef {import("./markdown.js").Links} Links */
/** @typedef {import("../vendor/marked.js").Tokens.Generic} Generic */

/**
 * A block that has become long: it takes what follows and says how much of that is settled.
 * @typedef {object} Part
 * @property {(source: string, ended: boolean) => {taken: number, closed: boolean}} grow
 * `source` begins where the last call had taken everything; `closed`: what follows is another block
 * @property {boolean} rough whether it guessed, so that the whole has to be rendered anew in the end
 */

const FENCE = /^( {0,3})(`{3,}|~{3,})([^\n]*)\n/;

/** A text that grows. */
export class GrowingMarkdown {
  #root;
  #text = "";
  /** So many characters are rendered for good. */
  #settled = 0;
  /** @type {Part | null} */
  #part = null;
  /** @type {ChildNode[]} */
  #tail = [];
  #tailSource = "";
  /** @type {Links} */
  #links = {};
  #rough = false;
  #ended = false;

  /** @param {HTMLElement} root holds what is rendered, and nothing else */
  constructor(root) {
    this.#root = root;
  }

  /**
   * @param {string} text all of it
   * @param {boolean} ended whether nothing follows
   */
  show(text, ended) {
    const lines = ended
      ? text.replace(/\r\n?/g, "\n")
      : text.replace(/\r$/, "").replace(/\r\n?/g, "\n");
    if (lines === this.#text && ended === this.#ended) return;
    if (!lines.startsWith(this.#text) || this.#ended) this.#forget();
    this.#text = lines;
    this.#ended = ended;
    while (this.#advance(ended));
    if (ended && this.#isRough()) this.#renderAnew();
  }

  /** @returns {boolean} whether there is more to do */
  #advance(ended = false) {
    if (this.#part) return this.#growPart(this.#part, ended);
    const rest = this.#text.slice(this.#settled);
    // "2" is a paragraph, and ends the list before it; "2." is an item of that list.
    const source = ended ? rest : certain(rest);
    const blocks = blocksOf(source, { ...this.#links }); // "[^1]: Foot" may yet be no definition
    const last = blocks.findLastIndex(({ type }) => type !== "space");
    if (ended) {
      this.#settle(blocks);
      return false;
    }
    const block = blocks[last];
    // "```npm" may be a fence, or code within the paragraph before it.
    const isHalfFence = block?.type === "code" && !block.raw.includes("\n");
    const end = isHalfFence ? last - 1 : last;
    if (end > 0) this.#settle(blocks.slice(0, end));
    if (block && this.#enter(block)) return true;
    this.#showTail(this.#text.slice(this.#settled));
    return false;
  }

  /** @param {Part} part @param {boolean} ended */
  #growPart(part, ended) {
    const { taken, closed } = part.grow(this.#text.slice(this.#settled), ended);
    this.#settled += taken;
    if (!closed) return false;
    this.#rough ||= part.rough;
    this.#part = null;
    return true;
  }

  /**
   * Let a block that is or gets long grow by itself.
   * @param {Token} block
   */
  #enter(block) {
    const fence = block.type === "code" && FENCE.exec(block.raw);
    if (fence) {
      this.#settled += fence[0].length;
      this.#part = new GrowingCode(this.#clear(), fence, /** @type {Generic} */ (block).lang);
    } else if (block.type === "list") {
      this.#part = GrowingList.of(block, () => this.#clear());
    } else if (block.type === "table") {
      this.#part = GrowingTable.of(block, () => this.#clear());
      if (this.#part) this.#settled += GrowingTable.headOf(block.raw).length;
    } else if (block.type === "paragraph") {
      this.#part = GrowingLine.of(block, () => this.#clear());
    }
    return this.#part !== null;
  }

  /** @param {Token[]} blocks */
  #settle(blocks) {
    const source = blocks.map(({ raw }) => raw).join("");
    this.#rough ||= !this.#text.startsWith(source, this.#settled); // then nothing may be lost either
    this.#settled += source.length;
    if (blocks.some(({ type }) => type === "def")) {
      blocksOf(source, this.#links);
      this.#rough = true;
    }
    const [only] = blocks;
    if (only && source.trimEnd() === this.#tailSource.trimEnd() && this.#tail.length) {
      this.#tail = [];
      this.#tailSource = "";
      return;
    }
    this.#clear().append(rendered(blocks));
  }

  /** @param {string} source */
  #showTail(source) {
    const shown = decided(source);
    if (shown === this.#tailSource) return;
    const fragment = rendered(blocksOf(shown, { ...this.#links }));
    this.#clear();
    this.#tailSource = shown;
    this.#tail = [...fragment.childNodes];
    this.#root.append(fragment);
  }

  #clear() {
    for (const node of this.#tail) node.remove();
    this.#tail = [];
    this.#tailSource = "";
    return this.#root;
  }

  #isRough() {
    return this.#rough || Boolean(this.#part?.rough);
  }

  #renderAnew() {
    this.#root.replaceChildren(rendered(blocksOf(this.#text)));
  }

  #forget() {
    this.#root.replaceChildren();
    this.#tail = [];
    this.#tailSource = "";
    this.#text = "";
    this.#settled = 0;
    this.#part = null;
    this.#links = {};
    this.#rough = false;
  }
}
