// How does a long list grow? An item is settled as soon as the next one begins.

import { blocksOf, rendered } from "./markdown.js";
import { certain, decided } from "./pending.js";

/** @typedef {import("./markdown.js").Token} Token */
/** @typedef {import("../vendor/marked.js").Tokens.Generic} Generic */

/** A list whose end is not written yet. */
export class GrowingList {
  rough = false;
  #root;
  /** @type {HTMLElement | null} */
  #list = null;
  /** @type {ChildNode[]} */
  #tail = [];
  #tailSource = "";

  /**
   * @param {Token} _block the list
   * @param {() => HTMLElement} root where it goes
   */
  static of(_block, root) {
    return new GrowingList(root());
  }

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @type {import("./growing.js").Part["grow"]} */
  grow(text, ended) {
    const source = ended ? text : certain(text);
    const [first, ...others] = blocksOf(source);
    if (first?.type !== "list") {
      this.#showTail([], "");
      return { taken: 0, closed: true };
    }
    const list = /** @type {Generic} */ (first);
    if (ended || others.some(({ type }) => type !== "space")) {
      this.#settle(list, list.items);
      return { taken: list.raw.length, closed: true };
    }
    const last = list.items.at(-1);
    const taken = list.raw.trimEnd().length - last.raw.trimEnd().length;
    if (list.items.length > 1 && list.raw.startsWith(last.raw.trimEnd(), taken)) {
      this.#settle(list, list.items.slice(0, -1));
      this.#showItem(source.slice(taken));
      return { taken, closed: false };
    }
    this.#showItem(source);
    return { taken: 0, closed: false };
  }

  /** @param {Generic} list @param {Generic[]} items */
  #settle(list, items) {
    this.#showTail([], "");
    this.#append(rendered([/** @type {Token} */ ({ ...list, items })]));
  }

  /** @param {string} source */
  #showItem(source) {
    const shown = decided(source);
    if (shown === this.#tailSource) return;
    const blocks = blocksOf(shown).filter(({ type }) => type === "list");
    this.#showTail(blocks, shown);
  }

  /** @param {Token[]} blocks @param {string} source */
  #showTail(blocks, source) {
    for (const node of this.#tail) node.remove();
    this.#tailSource = source;
    this.#tail = blocks.length ? this.#append(rendered(blocks)) : [];
    if (this.#list && !this.#list.hasChildNodes()) {
      this.#list.remove();
      this.#list = null;
    }
  }

  /** @param {DocumentFragment} fragment that holds a list @returns {ChildNode[]} its items */
  #append(fragment) {
    const list = /** @type {HTMLElement | null} */ (fragment.firstElementChild);
    const items = [...(list?.childNodes ?? [])];
    if (this.#list) {
      this.#list.append(...items);
    } else if (list) {
      this.#list = list;
      this.#root.append(list);
    }
    return items;
  }
}
