// How does a long paragraph grow? What no later character can change is settled.

import { LONGEST_LOOK } from "./bounded-lexer.js";
import { blocksOf, piecesOf, renderedPieces } from "./markdown.js";
import { decided } from "./pending.js";
import { settledLength } from "./settled.js";

/** @typedef {import("./markdown.js").Token} Token */

const LONG = 1200;
const KEPT_OPEN = 200;

/** A paragraph whose end is not written yet. */
export class GrowingLine {
  /** Whether it was cut where something might have been open. */
  rough = false;
  #element = document.createElement("p");
  /** @type {ChildNode[]} */
  #tail = [];
  #tailSource = "";

  /**
   * @param {Token} block the paragraph
   * @param {() => HTMLElement} root where it goes
   * @returns {GrowingLine | null} null while it is short
   */
  static of(block, root) {
    return block.raw.length < LONG ? null : new GrowingLine(root());
  }

  /** @param {HTMLElement} root */
  constructor(root) {
    root.append(this.#element);
  }

  /** @type {import("./growing.js").Part["grow"]} */
  grow(source, ended) {
    // The rest of a paragraph is no block of its own, whatever it begins with: hence the letter.
    const [first, ...others] = blocksOf(`a${source}`);
    const length = (first?.raw.length ?? 1) - 1;
    if (ended || others.length) {
      this.rough ||= first?.type !== "paragraph";
      this.#settle(source.slice(0, length).trimEnd());
      return { taken: length, closed: true };
    }
    const taken = this.#settledLength(source);
    if (taken) this.#settle(source.slice(0, taken));
    this.#showTail(source.slice(taken));
    return { taken, closed: false };
  }

  /** @param {string} text */
  #settledLength(text) {
    if (text.length < LONG) return 0;
    const end = text.length - KEPT_OPEN;
    const length = settledLength(piecesOf(text), end);
    if (length || text.length < LONGEST_LOOK) return length;
    this.rough = true;
    return text.lastIndexOf(" ", end) + 1 || end;
  }

  /** @param {string} text */
  #settle(text) {
    this.#replaceTail(null);
    this.#element.append(renderedPieces(piecesOf(text)));
  }

  /** @param {string} text */
  #showTail(text) {
    const shown = decided(text);
    if (shown === this.#tailSource) return;
    this.#replaceTail(renderedPieces(piecesOf(shown)));
    this.#tailSource = shown;
  }

  /** @param {DocumentFragment | null} fragment */
  #replaceTail(fragment) {
    for (const node of this.#tail) node.remove();
    this.#tailSource = "";
    this.#tail = fragment ? [...fragment.childNodes] : [];
    if (fragment) this.#element.append(fragment);
  }
}
