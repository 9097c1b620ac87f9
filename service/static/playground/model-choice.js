// Which model answers? A choice of those in the catalogue, with what is known of the chosen one.

import { element } from "./element.js";
import { Remarks } from "./field.js";
import { labelOf } from "./parameter.js";

/**
 * @typedef {object} Model as `/api/models` describes it
 * @property {string} id
 * @property {string} name
 * @property {boolean | null} available null: Groq has not been asked yet
 * @property {string | null} replacement
 * @property {number | null} context_window
 * @property {number | null} max_completion_tokens
 * @property {string[]} capabilities
 * @property {{prompt_per_million: number, completion_per_million: number, cached_prompt_per_million: number | null} | null} pricing
 * @property {Record<string, import("./parameter.js").Parameter>} parameters
 */

/** @type {[string, Model["available"]][]} */
const GROUPS = [
  ["Available", true],
  ["Not yet known to be available", null],
  ["Not available", false],
];
const COUNT = new Intl.NumberFormat("en");
const DOLLARS = new Intl.NumberFormat("en", {
  style: "currency",
  currency: "USD",
  maximumFractionDigits: 4,
});

export class ModelChoice {
  #models;
  #changed;
  #select = element("select", { id: "setting-model", class: "field-input" });
  #remarks = new Remarks(this.#select, "setting-model", "");
  #note = element("div", { class: "model-note", role: "status", hidden: true });
  #facts = element("dl", { class: "facts" });

  /**
   * @param {Model[]} models
   * @param {() => void} changed by the user
   */
  constructor(models, changed) {
    this.#models = models;
    this.#changed = changed;
    this.#select.append(
      ...GROUPS.flatMap(([label, available]) => optionGroup(label, available, models)),
    );
    this.#select.addEventListener("change", () => this.choose(this.#select.value));
    const label = element("label", { for: "setting-model" }, "Model");
    const field = element(
      "div",
      { class: "field" },
      label,
      this.#select,
      ...this.#remarks.parts,
      this.#note,
    );
    this.parts = [field, this.#facts];
  }

  get model() {
    return this.#models.find((model) => model.id === this.#select.value);
  }

  /** @param {string} id of a model; one that is not in the catalogue changes nothing */
  choose(id) {
    if (!this.#models.some((model) => model.id === id)) return;
    this.#select.value = id;
    this.#remarks.clear();
    this.#describe();
    this.#changed();
  }

  /** @param {string} detail */
  showFault(detail) {
    return this.#remarks.show(detail);
  }

  clearFaults() {
    this.#remarks.clear();
  }

  #describe() {
    const { model } = this;
    if (!model) return;
    this.#facts.replaceChildren(...factsOf(model).flatMap(([term, text]) => fact(term, text)));
    this.#note.hidden = model.available !== false;
    if (model.available === false) this.#note.replaceChildren(...this.#unavailable(model));
  }

  /** @param {Model} model */
  #unavailable(model) {
    const says = element("p", {}, "Groq does not serve this model to this server’s key.");
    const instead = this.#models.find((other) => other.id === model.replacement);
    if (!instead) return [says];
    const onclick = () => {
      this.choose(instead.id);
      this.#select.focus();
    };
    return [
      says,
      element("button", { type: "button", class: "plain-button", onclick }, `Use ${instead.name}`),
    ];
  }
}

/**
 * @param {string} label
 * @param {Model["available"]} available
 * @param {Model[]} models
 */
function optionGroup(label, available, models) {
  const options = models
    .filter((model) => model.available === available)
    .map((model) => element("option", { value: model.id }, model.name));
  return options.length ? [element("optgroup", { label }, ...options)] : [];
}

/**
 * @param {Model} model
 * @returns {[string, string][]}
 */
function factsOf({ id, context_window, max_completion_tokens, pricing, capabilities }) {
  const cached = pricing?.cached_prompt_per_million;
  const price = pricing
    ? `${DOLLARS.format(pricing.prompt_per_million)} in` +
      (cached ? ` (cached ${DOLLARS.format(cached)})` : "") +
      `, ${DOLLARS.format(pricing.completion_per_million)} out`
    : "not known";
  return [
    ["Id", id],
    ["Context window", tokens(context_window)],
    ["Longest answer", tokens(max_completion_tokens)],
    ["Price per million tokens", price],
    ["Can do", capabilities.map((capability) => labelOf(capability)).join(", ") || "text"],
  ];
}

/** @param {number | null} count */
function tokens(count) {
  return count === null ? "not known" : `${COUNT.format(count)} tokens`;
}

/**
 * @param {string} term
 * @param {string} text
 */
function fact(term, text) {
  return [element("dt", {}, term), element("dd", {}, text)];
}
