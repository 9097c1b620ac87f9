// How does a setting stand on the page? A label, its control, what it means, and what is wrong with it.

import { element, icon } from "./element.js";

/**
 * @typedef {object} Field
 * @property {HTMLElement} element
 * @property {() => unknown} value undefined: nothing is sent, so that the default holds
 * @property {(value: unknown) => void} set undefined: back to the default
 * @property {(detail: string, item?: string) => HTMLElement} showFault of one item, in lists; returns what is at fault
 * @property {() => void} clearFaults
 */

/** What is said beside a control, and read with it. */
export class Remarks {
  #help = element("p", { class: "field-help" });
  #fault = element("p", { class: "field-fault", hidden: true });
  #control;

  /**
   * @param {HTMLElement} control
   * @param {string} id
   * @param {string} help
   */
  constructor(control, id, help) {
    this.#control = control;
    this.#help.id = `${id}-help`;
    this.#fault.id = `${id}-fault`;
    this.parts = [this.#help, this.#fault];
    this.setHelp(help, false);
    this.clear();
  }

  /**
   * @param {string} text
   * @param {boolean} alarming
   */
  setHelp(text, alarming) {
    this.#help.textContent = text;
    this.#help.hidden = !text;
    this.#help.classList.toggle("alarming", alarming);
  }

  /** @param {string} detail */
  show(detail) {
    this.#fault.textContent = detail;
    this.#fault.hidden = false;
    this.#control.setAttribute("aria-invalid", "true");
    this.#control.setAttribute("aria-describedby", `${this.#fault.id} ${this.#help.id}`);
    return this.#control;
  }

  clear() {
    this.#fault.hidden = true;
    this.#control.removeAttribute("aria-invalid");
    this.#control.setAttribute("aria-describedby", this.#help.id);
  }
}

/**
 * A button that sets a field back; it is there only while there is something to set back.
 * @param {string} label of the field
 * @param {() => void} onclick
 */
export function resetButton(label, onclick) {
  const name = `Reset ${label.toLowerCase()} to its default`;
  const attributes = {
    type: "button",
    class: "icon-button reset",
    "aria-label": name,
    title: name,
    hidden: true,
    onclick,
  };
  return element("button", attributes, icon("reset"));
}

/**
 * Text of several lines; when it is empty nothing is sent.
 * @param {{id: string, label: string, help: string, placeholder: string, changed: () => void}} texts
 * @returns {Field}
 */
export function textField({ id, label, help, placeholder, changed }) {
  const input = element("textarea", { id, class: "field-input", rows: 3, placeholder });
  const remarks = new Remarks(input, id, help);
  input.addEventListener("input", () => {
    remarks.clear();
    changed();
  });
  return {
    element: element(
      "div",
      { class: "field" },
      element("label", { for: id }, label),
      input,
      ...remarks.parts,
    ),
    value: () => input.value || undefined,
    set: (value) => {
      input.value = typeof value === "string" ? value : "";
    },
    showFault: (detail) => remarks.show(detail),
    clearFaults: () => remarks.clear(),
  };
}
