// How is one of a few values chosen? From a list that begins with the default.

import { element } from "./element.js";
import { Remarks } from "./field.js";
import { labelOf, meaningOf } from "./parameter.js";

/** @typedef {import("./parameter.js").Parameter} Parameter */
/** @typedef {import("./field.js").Field} Field */

/** @implements {Field} */
export class ChoiceField {
  #values;
  #select;
  #remarks;

  /**
   * @param {string} name
   * @param {Parameter} parameter
   * @param {() => void} changed by the user
   */
  constructor(name, parameter, changed) {
    const [id, label] = [`setting-${name}`, labelOf(name)];
    this.#values = parameter.enum ?? [true, false];
    const unset = parameter.default === null ? "Default" : `Default (${parameter.default})`;
    const options = this.#values.map((value, index) =>
      element("option", { value: index }, String(value)),
    );
    this.#select = element(
      "select",
      { id, class: "field-input" },
      element("option", { value: "" }, unset),
      ...options,
    );
    this.#remarks = new Remarks(this.#select, id, meaningOf(name));
    this.#select.addEventListener("change", () => {
      this.#remarks.clear();
      changed();
    });
    const head = element("label", { for: id }, label);
    this.element = element("div", { class: "field" }, head, this.#select, ...this.#remarks.parts);
  }

  value() {
    return this.#select.value === "" ? undefined : this.#values[Number(this.#select.value)];
  }

  /** @param {unknown} value */
  set(value) {
    const index = this.#values.indexOf(/** @type {string} */ (value));
    this.#select.value = index < 0 ? "" : String(index);
    this.#remarks.clear();
  }

  /** @param {string} detail */
  showFault(detail) {
    return this.#remarks.show(detail);
  }

  clearFaults() {
    this.#remarks.clear();
  }
}
