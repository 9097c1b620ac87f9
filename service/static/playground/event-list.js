// How are ten thousand events shown at once? Only those in sight are on the page.

import { element } from "./element.js";

/** @typedef {import("./run-log.js").Row} Row */

const ROW_HEIGHT = 28;
const BEYOND = 4;
const KEYS = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
const SECONDS = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const COUNT = new Intl.NumberFormat("en");
const utf8 = new TextEncoder();

/** A list box: the chosen event is shown whole below it. */
export class EventList {
  /** @type {Row[]} */
  #rows = [];
  /**
   * Elements by their place: row N stands in element N modulo their number.
   * @type {{element: HTMLElement, index: number, row: Row | null, text: string}[]}
   */
  #pool = [];
  #chosen = -1;
  #atEnd = true;
  #content = element("div", { class: "event-rows", role: "presentation" });
  #box = element(
    "div",
    { class: "event-list", role: "listbox", tabindex: 0, "aria-label": "Events" },
    this.#content,
  );
  #whole = element("pre", {
    class: "event-whole",
    role: "region",
    tabindex: 0,
    "aria-label": "Chosen event",
    hidden: true,
  });
  #head = element(
    "div",
    { class: "event-row event-head", "aria-hidden": "true" },
    ...["seq", "time", "type", "bytes", "text"].map((name) => element("span", {}, name)),
  );

  constructor() {
    this.element = element("div", { class: "events" }, this.#head, this.#box, this.#whole);
    this.#box.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#box.addEventListener("keydown", (event) => this.#onKey(event));
    this.#content.addEventListener("click", (event) => this.#onClick(event));
    new ResizeObserver(() => this.render()).observe(this.#box);
  }

  /** @param {Row[]} rows that may grow */
  show(rows) {
    this.#rows = rows;
    this.#atEnd = true;
    this.#choose(-1);
    this.render();
  }

  /** To be called when rows have come or changed; at most once a frame. */
  render() {
    const height = this.#box.clientHeight;
    if (!height) return;
    this.#content.style.height = `${this.#rows.length * ROW_HEIGHT}px`;
    if (this.#atEnd) this.#box.scrollTop = this.#rows.length * ROW_HEIGHT;
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW_HEIGHT) - BEYOND);
    this.#grow(Math.ceil(height / ROW_HEIGHT) + 2 * BEYOND);
    const last = Math.min(this.#rows.length, first + this.#pool.length);
    for (let index = first; index < last; index++) this.#place(index);
    for (const slot of this.#pool)
      if (slot.index < first || slot.index >= last) slot.element.hidden = true;
  }

  /** @param {number} count of elements that are needed */
  #grow(count) {
    if (this.#pool.length >= count) return;
    this.#content.replaceChildren();
    this.#pool = Array.from({ length: count }, () => {
      const made = element("div", { class: "event-row", role: "option", hidden: true });
      this.#content.append(made);
      return { element: made, index: -1, row: null, text: "" };
    });
  }

  /** @param {number} index of the row that is to be seen */
  #place(index) {
    const slot = this.#pool[index % this.#pool.length];
    const row = this.#rows[index];
    if (!slot || !row) return;
    const chosen = String(index === this.#chosen);
    slot.element.hidden = false;
    if (slot.element.getAttribute("aria-selected") !== chosen)
      slot.element.setAttribute("aria-selected", chosen);
    const text = "note" in row ? row.note : "";
    if (slot.index === index && slot.row === row && slot.text === text) return;
    Object.assign(slot, { index, row, text });
    slot.element.id = `event-${index}`;
    slot.element.dataset.kind = "note" in row ? "note" : row.event.type;
    slot.element.style.transform = `translateY(${index * ROW_HEIGHT}px)`;
    slot.element.setAttribute("aria-posinset", String(index + 1));
    slot.element.setAttribute("aria-setsize", "-1");
    write(slot.element, row);
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    this.#atEnd = scrollTop + clientHeight >= scrollHeight - ROW_HEIGHT;
    this.render();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const last = this.#rows.length - 1;
    const step = KEYS[/** @type {keyof typeof KEYS} */ (event.key)];
    const ends = { Home: 0, End: last };
    const from = this.#chosen < 0 ? last + 1 : this.#chosen;
    const to = step ? from + step : ends[/** @type {keyof typeof ends} */ (event.key)];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.#choose(Math.max(0, Math.min(last, to)));
  }

  /** @param {MouseEvent} event */
  #onClick(event) {
    const slot = this.#pool.find(({ element }) =>
      element.contains(/** @type {Node} */ (event.target)),
    );
    if (slot) this.#choose(slot.index === this.#chosen ? -1 : slot.index);
  }

  /** @param {number} index negative: none */
  #choose(index) {
    this.#chosen = index;
    const row = this.#rows[index];
    this.#whole.hidden = !row || "note" in row;
    this.#whole.textContent = row && "event" in row ? JSON.stringify(row.event, null, 2) : "";
    if (row) this.#reveal(index);
    this.render();
    if (row) this.#box.setAttribute("aria-activedescendant", `event-${index}`);
    else this.#box.removeAttribute("aria-activedescendant");
  }

  /** @param {number} index */
  #reveal(index) {
    const top = index * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.#box;
    this.#atEnd = false;
    if (top < scrollTop) this.#box.scrollTop = top;
    else if (top + ROW_HEIGHT > scrollTop + clientHeight)
      this.#box.scrollTop = top + ROW_HEIGHT - clientHeight;
  }
}

/**
 * Cells that are there already are written anew: that is the quickest.
 * @param {HTMLElement} line
 * @param {Row} row
 */
function write(line, row) {
  const texts = "note" in row ? [row.note] : cellsOf(row);
  if (line.children.length !== texts.length) {
    const name = "note" in row ? "event-note" : null;
    line.replaceChildren(...texts.map((text) => element("span", { class: name }, text)));
    return;
  }
  for (const [index, text] of texts.entries()) {
    const cell = line.children[index];
    if (cell && cell.textContent !== text) cell.textContent = text;
  }
}

/** @param {import("./run-log.js").EventRow} row */
function cellsOf({ event, seconds }) {
  const bytes = utf8.encode(JSON.stringify(event)).length;
  return [
    String(event.seq),
    `${SECONDS.format(seconds)} s`,
    event.type,
    COUNT.format(bytes),
    previewOf(event),
  ];
}

/** @param {import("../chat-client.js").RunEvent} event */
function previewOf(event) {
  if (event.type === "started") return event.model;
  if (event.type === "finished") return event.finish_reason;
  if (event.type === "failed") return String(event.error.title ?? "");
  return JSON.stringify((event.content || event.reasoning || "").slice(0, 80));
}
