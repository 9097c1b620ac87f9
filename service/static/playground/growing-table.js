// How does a long table grow? A row is settled as soon as the next one begins.

import { blocksOf, rendered } from "./markdown.js";
import { completed } from "./pending.js";

/** @typedef {import("./markdown.js").Token} Token */
/** @typedef {import("../vendor/marked.js").Tokens.Generic} Generic */

const HEAD = /^[^\n]*\n[^\n]*\n/;

/** A table whose end is not written yet. */
export class GrowingTable {
  rough = false;
  #head;
  #body;
  /** @type {ChildNode[]} */
  #tail = [];
  #tailSource = "";

  /** @param {string} raw of a table @returns {string} its first two lines */
  static headOf(raw) {
    return HEAD.exec(raw)?.[0] ?? "";
  }

  /**
   * @param {Token} block the table
   * @param {() => HTMLElement} root where it goes
   * @returns {GrowingTable | null} null while its first row, by which columns are made, is not complete
   */
  static of(block, root) {
    const { rows } = /** @type {Generic} */ (block);
    return rows.length > 1 ? new GrowingTable(block, root()) : null;
  }

  /** @param {Token} block @param {HTMLElement} root */
  constructor(block, root) {
    this.#head = GrowingTable.headOf(block.raw);
    const { rows } = /** @type {Generic} */ (block);
    const fragment = rendered([/** @type {Token} */ ({ ...block, rows: rows.slice(0, 1) })]);
    this.#body = document.createElement("tbody");
    fragment.querySelector("tbody")?.replaceWith(this.#body);
    root.append(fragment);
  }

  /** @type {import("./growing.js").Part["grow"]} */
  grow(source, ended) {
    const [first, ...others] = blocksOf(this.#head + source);
    if (first?.type !== "table") return this.#close(0);
    const table = /** @type {Generic} */ (first);
    const own = table.raw.length - this.#head.length;
    const over =
      ended || others.some(({ type }) => type !== "space") || /^\s*\n|\n[ \t]*\n/.test(source);
    if (over) {
      this.#settle(table, table.rows);
      return this.#close(Math.max(0, own));
    }
    const taken = source.lastIndexOf("\n", source.trimEnd().length - 1) + 1;
    if (taken) this.#settle(table, table.rows.slice(0, -1));
    this.#showRow(source.slice(taken));
    return { taken, closed: false };
  }

  /** @param {number} taken */
  #close(taken) {
    this.#showTail([], "");
    return { taken, closed: true };
  }

  /** @param {Generic} table @param {unknown[]} rows */
  #settle(table, rows) {
    this.#showTail([], "");
    this.#body.append(...rowsOf(/** @type {Token} */ ({ ...table, rows })));
  }

  /** @param {string} line */
  #showRow(line) {
    const shown = completed(line);
    if (shown === this.#tailSource) return;
    const [table] = blocksOf(this.#head + shown);
    this.#showTail(table?.type === "table" ? rowsOf(table) : [], shown);
  }

  /** @param {ChildNode[]} rows @param {string} source */
  #showTail(rows, source) {
    for (const row of this.#tail) row.remove();
    this.#tail = rows;
    this.#tailSource = source;
    this.#body.append(...rows);
  }
}

/** @param {Token} table @returns {ChildNode[]} */
function rowsOf(table) {
  return [...(rendered([table]).querySelector("tbody")?.childNodes ?? [])];
}
