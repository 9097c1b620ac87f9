// How is a list of texts chosen? One field for each, as many as the service takes.

import { element, icon } from "./element.js";
import { Remarks } from "./field.js";
import { labelOf, meaningOf } from "./parameter.js";

/** @typedef {import("./parameter.js").Parameter} Parameter */
/** @typedef {import("./field.js").Field} Field */

/** @implements {Field} */
export class ListField {
  #id;
  #label;
  #most;
  #changed;
  /** @type {ListItem[]} */
  #items = [];
  #made = 0;
  #rows = element("ul", { class: "field-rows" });
  #add;
  #remarks;

  /**
   * @param {string} name
   * @param {Parameter} parameter
   * @param {() => void} changed by the user
   */
  constructor(name, parameter, changed) {
    this.#id = `setting-${name}`;
    this.#label = labelOf(name);
    this.#most = parameter.max_items ?? Infinity;
    this.#changed = changed;
    this.#add = addButton(this.#label, () => this.#addEmpty());
    const labelId = `${this.#id}-label`;
    this.element = element("div", { class: "field", role: "group", "aria-labelledby": labelId });
    const limit = Number.isFinite(this.#most) ? ` Up to ${this.#most}.` : "";
    this.#remarks = new Remarks(this.element, this.#id, meaningOf(name) + limit);
    const label = element("span", { class: "label", id: labelId }, this.#label);
    this.element.append(label, this.#rows, this.#add, ...this.#remarks.parts);
  }

  value() {
    return this.#items.length ? this.#items.map((item) => item.text) : undefined;
  }

  /** @param {unknown} value */
  set(value) {
    this.#items = [];
    this.#rows.replaceChildren();
    for (const text of Array.isArray(value) ? value : []) this.#append(String(text));
    this.#number();
  }

  /**
   * @param {string} detail
   * @param {string} [index] of an item
   */
  showFault(detail, index) {
    const item = this.#items[Number(index ?? NaN)];
    if (item) return item.remarks.show(detail);
    this.#remarks.show(detail);
    return this.#add;
  }

  clearFaults() {
    this.#remarks.clear();
    for (const item of this.#items) item.remarks.clear();
  }

  #addEmpty() {
    this.#append("").focus();
    this.#edited();
  }

  /** @param {string} text */
  #append(text) {
    const item = new ListItem(`${this.#id}-${++this.#made}`, text, {
      edited: () => this.#edited(),
      removed: () => this.#remove(item),
    });
    this.#items.push(item);
    this.#rows.append(item.element);
    return item;
  }

  /** @param {ListItem} item */
  #remove(item) {
    const at = this.#items.indexOf(item);
    this.#items.splice(at, 1);
    item.element.remove();
    this.#edited();
    const beside = this.#items[at] ?? this.#items[at - 1] ?? this.#add;
    beside.focus();
  }

  #edited() {
    this.#number();
    this.#remarks.clear();
    this.#changed();
  }

  #number() {
    for (const [index, item] of this.#items.entries()) item.setName(`${this.#label} ${index + 1}`);
    this.#add.disabled = this.#items.length >= this.#most;
  }
}

class ListItem {
  #input;
  #remove;

  /**
   * @param {string} id
   * @param {string} text
   * @param {{edited: () => void, removed: () => void}} reactions
   */
  constructor(id, text, { edited, removed }) {
    this.#input = element("textarea", { class: "field-input", rows: 1 });
    this.#input.value = text;
    this.#remove = element(
      "button",
      { type: "button", class: "icon-button", onclick: removed },
      icon("close"),
    );
    this.remarks = new Remarks(this.#input, id, "");
    this.#input.addEventListener("input", () => {
      this.remarks.clear();
      edited();
    });
    const row = element("div", { class: "field-row" }, this.#input, this.#remove);
    this.element = element("li", {}, row, ...this.remarks.parts);
  }

  get text() {
    return this.#input.value;
  }

  focus() {
    this.#input.focus();
  }

  /** @param {string} name */
  setName(name) {
    this.#input.setAttribute("aria-label", name);
    this.#remove.setAttribute("aria-label", `Remove ${name.toLowerCase()}`);
  }
}

/**
 * @param {string} label
 * @param {() => void} onclick
 */
function addButton(label, onclick) {
  const attributes = {
    type: "button",
    class: "plain-button",
    "aria-label": `Add to ${label.toLowerCase()}`,
    onclick,
  };
  return element("button", attributes, icon("plus"), "Add");
}
