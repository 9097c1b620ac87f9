// How is a number chosen? By typing it, or by a slider where its range is short enough to be pointed at.

import { element } from "./element.js";
import { Remarks, resetButton } from "./field.js";
import { fits, labelOf, meaningOf, numberFrom, rangeOf } from "./parameter.js";

/** @typedef {import("./parameter.js").Parameter} Parameter */
/** @typedef {import("./field.js").Field} Field */

const LONGEST_SLIDER = 100_000;

/**
 * What is typed is text to the browser, so that it refuses nothing: the service does, and says why.
 * @implements {Field}
 */
export class NumberField {
  #parameter;
  #meaning;
  #changed;
  #input;
  #slider;
  #remarks;
  #reset;

  /**
   * @param {string} name
   * @param {Parameter} parameter
   * @param {() => void} changed by the user
   */
  constructor(name, parameter, changed) {
    const [id, label] = [`setting-${name}`, labelOf(name)];
    this.#parameter = parameter;
    this.#meaning = meaningOf(name);
    this.#changed = changed;
    this.#input = numberInput(id, parameter);
    this.#slider = sliderFor(label, parameter);
    this.#remarks = new Remarks(this.#input, id, "");
    this.#reset = resetButton(label, () => this.#toDefault());
    this.#input.addEventListener("input", () => this.#edited());
    this.#slider?.addEventListener("input", () => this.#moved());
    this.element = element(
      "div",
      { class: "field" },
      element("div", { class: "field-head" }, element("label", { for: id }, label), this.#reset),
      element("div", { class: "field-number" }, this.#slider, this.#input),
      ...this.#remarks.parts,
    );
    this.#show();
  }

  value() {
    return numberFrom(this.#input.value, this.#parameter);
  }

  /** @param {unknown} value */
  set(value) {
    this.#input.value = value === undefined ? "" : String(value);
    this.#remarks.clear();
    this.#show();
  }

  /** @param {string} detail */
  showFault(detail) {
    return this.#remarks.show(detail);
  }

  clearFaults() {
    this.#remarks.clear();
  }

  #toDefault() {
    this.set(undefined);
    this.#input.focus();
    this.#changed();
  }

  #moved() {
    this.#input.value = this.#slider?.value ?? "";
    this.#edited();
  }

  #edited() {
    this.#remarks.clear();
    this.#show();
    this.#changed();
  }

  #show() {
    const value = this.value();
    const outside = value !== undefined && !fits(value, this.#parameter);
    const range = `${rangeOf(this.#parameter)}.`;
    const help = outside
      ? `${range} The service refuses anything else.`
      : `${this.#meaning} ${range}`.trim();
    this.#remarks.setHelp(help, outside);
    this.#reset.hidden = value === undefined;
    if (this.#slider) moveSlider(this.#slider, value, this.#parameter);
  }
}

/**
 * @param {string} id
 * @param {Parameter} parameter
 */
function numberInput(id, parameter) {
  const placeholder = parameter.default === null ? "default" : String(parameter.default);
  return element("input", {
    id,
    class: "field-input number",
    // A keyboard of glass for decimals may have no minus.
    inputmode: parameter.minimum !== null && parameter.minimum >= 0 ? "decimal" : null,
    autocomplete: "off",
    placeholder,
  });
}

/**
 * @param {string} label
 * @param {Parameter} parameter
 * @returns {HTMLInputElement | null}
 */
function sliderFor(label, { type, minimum, maximum }) {
  if (minimum === null || maximum === null || maximum - minimum > LONGEST_SLIDER) return null;
  const step = type === "integer" ? 1 : 0.01;
  return element("input", {
    type: "range",
    min: minimum,
    max: maximum,
    step,
    "aria-label": `${label}, slider`,
  });
}

/**
 * @param {HTMLInputElement} slider
 * @param {unknown} value
 * @param {Parameter} parameter
 */
function moveSlider(slider, value, parameter) {
  const unset = value === undefined;
  slider.value = String(unset ? (parameter.default ?? parameter.maximum) : value);
  slider.classList.toggle("unset", unset);
  if (unset) slider.setAttribute("aria-valuetext", "default");
  else slider.removeAttribute("aria-valuetext");
}
