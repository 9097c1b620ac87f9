// How is the next answer asked for? The settings dialog: model, system prompt, hyperparameters.

import { element, icon } from "./element.js";
import { textField } from "./field.js";
import { keep, kept } from "./kept.js";
import { ModelChoice } from "./model-choice.js";
import { fits, labelOf } from "./parameter.js";
import { parameterField } from "./parameter-fields.js";

/** @typedef {import("./model-choice.js").Model} Model */
/** @typedef {import("./field.js").Field} Field */
/** @typedef {import("../chat-client.js").Problem} Problem */
/** @typedef {{model: string, system_prompt?: string, hyperparameters?: Record<string, unknown>}} Wish the part of a chat request that is chosen here */

const KEPT = "ai-library.settings";

/**
 * Fill the dialog; it says `settings-changed` (an event that bubbles) when something is chosen.
 * @param {HTMLDialogElement} root
 * @param {{models: Model[]}} catalogue
 */
export function mountParameters(root, { models }) {
  const settings = new Settings(root, models);
  return {
    open: () => settings.open(),
    request: () => settings.request(),
    /** The model that is chosen. */
    model: () => settings.model(),
    /**
     * Show each fault beside its field, and open the dialog at the first.
     * @param {Problem} problem
     * @returns {boolean} whether all that is wrong is shown here
     */
    show: (problem) => settings.show(problem),
    /** Take all faults away. */
    clear: () => settings.clear(),
    /** @param {string} id of a model */
    choose: (id) => settings.choose(id),
    /** What of the last visit's choice does not hold any more; empty where all does. */
    lapsed: settings.lapsed,
  };
}

class Settings {
  #root;
  #choice;
  #systemPrompt;
  /** @type {Map<string, Field>} */
  #fields = new Map();
  /**
   * What was chosen that the model of now does not take: another may.
   * @type {Map<string, unknown>}
   */
  #apart = new Map();
  lapsed = "";
  #fieldList = element("div", { class: "field-list" });
  #apartNote = element("p", { class: "apart", role: "status", hidden: true });
  #refusal = element("p", { class: "refusal", role: "alert", hidden: true });

  /**
   * @param {HTMLDialogElement} root
   * @param {Model[]} models
   */
  constructor(root, models) {
    this.#root = root;
    this.#choice = new ModelChoice(models, () => this.#modelChanged());
    this.#systemPrompt = textField({
      id: "setting-system_prompt",
      label: "System prompt",
      help: "What the model is told before the conversation. Empty: a conversation goes on with the one it has.",
      placeholder: "You are a helpful assistant.",
      changed: () => this.#changed(),
    });
    root.replaceChildren(this.#form());
    this.#restore(models);
  }

  open() {
    if (!this.#root.open) this.#root.showModal();
  }

  model() {
    return this.#choice.model ?? null;
  }

  /** @param {string} id */
  choose(id) {
    this.#choice.choose(id);
  }

  /** @returns {Wish} */
  request() {
    /** @type {Wish} */
    const wish = { model: this.#choice.model?.id ?? "" };
    const prompt = this.#systemPrompt.value();
    const chosen = this.#chosen();
    if (typeof prompt === "string") wish.system_prompt = prompt;
    if (chosen.size) wish.hyperparameters = Object.fromEntries(chosen);
    return wish;
  }

  /** @param {Problem} problem */
  show(problem) {
    this.clear();
    const faults = faultsOf(problem);
    const shown = faults
      .map(({ pointer, detail }) => this.#showFault(pointer, detail))
      .filter((at) => at !== null);
    if (!shown.length) return false;
    this.#refusal.textContent =
      shown.length === 1
        ? "The service refused this setting."
        : `The service refused ${shown.length} settings.`;
    this.#refusal.hidden = false;
    this.open();
    // In the order of the page, whatever that of the faults is.
    const first = this.#root.querySelector('[aria-invalid="true"]');
    const control = shown.find((at) => at === first) ?? shown[0];
    control?.focus();
    return shown.length === faults.length;
  }

  clear() {
    this.#refusal.hidden = true;
    this.#choice.clearFaults();
    this.#systemPrompt.clearFaults();
    for (const field of this.#fields.values()) field.clearFaults();
  }

  /**
   * @param {string} pointer
   * @param {string} detail
   * @returns {HTMLElement | null} what is at fault, or null where it is not chosen here
   */
  #showFault(pointer, detail) {
    const [place, name, item] = pointer.replace(/^#\/(request\/)?/, "").split("/");
    if (place === "model") return this.#choice.showFault(detail);
    if (place === "system_prompt") return this.#systemPrompt.showFault(detail);
    if (place !== "hyperparameters") return null;
    return this.#fields.get(name ?? "")?.showFault(detail, item) ?? null;
  }

  #form() {
    const close = element("button", { class: "icon-button", "aria-label": "Close" }, icon("close"));
    const reset = element(
      "button",
      { type: "button", class: "quiet-button" },
      icon("reset"),
      "Reset all",
    );
    reset.addEventListener("click", () => this.#reset());
    return element(
      "form",
      { method: "dialog", novalidate: true, class: "settings" },
      element("header", {}, element("h2", {}, "Settings"), close),
      element(
        "div",
        { class: "settings-body" },
        this.#refusal,
        ...this.#choice.parts,
        this.#systemPrompt.element,
        element("h3", {}, "Hyperparameters"),
        element(
          "p",
          { class: "field-help" },
          "Only what this model takes. What is left at its default is not sent.",
        ),
        this.#apartNote,
        this.#fieldList,
      ),
      element("footer", {}, reset, element("button", { class: "primary-button" }, "Done")),
    );
  }

  /** @returns {Map<string, unknown>} */
  #chosen() {
    const values = [...this.#fields].map(
      ([name, field]) => /** @type {const} */ ([name, field.value()]),
    );
    return new Map(values.filter(([, value]) => value !== undefined));
  }

  #modelChanged() {
    const wanted = new Map([...this.#apart, ...this.#chosen()]);
    const parameters = this.#choice.model?.parameters ?? {};
    const taken = [...wanted].filter(([name, value]) => takes(parameters[name], value));
    this.#build(parameters, new Map(taken));
    this.#apart = new Map([...wanted].filter(([name]) => !taken.some(([other]) => other === name)));
    this.#changed();
  }

  /**
   * @param {Model["parameters"]} parameters
   * @param {Map<string, unknown>} values
   */
  #build(parameters, values) {
    const supported = Object.entries(parameters).filter(([, parameter]) => parameter.supported);
    this.#fields = new Map(
      supported.map(([name, parameter]) => [
        name,
        parameterField(name, parameter, () => this.#changed()),
      ]),
    );
    for (const [name, field] of this.#fields) field.set(values.get(name));
    this.#fieldList.replaceChildren(...[...this.#fields.values()].map((field) => field.element));
  }

  #reset() {
    this.#apart.clear();
    this.#systemPrompt.set(undefined);
    for (const field of this.#fields.values()) field.set(undefined);
    this.clear();
    this.#changed();
  }

  #changed() {
    const names = [...this.#apart.keys()].map(labelOf);
    this.#apartNote.hidden = names.length === 0;
    this.#apartNote.textContent = `Not sent, as this model does not take it: ${names.join(", ")}.`;
    keep(KEPT, { ...this.request(), apart: Object.fromEntries(this.#apart) });
    this.#root.dispatchEvent(new CustomEvent("settings-changed", { bubbles: true }));
  }

  /** @param {Model[]} models */
  #restore(models) {
    const { model, system_prompt, hyperparameters, apart } = savedSettings();
    const known =
      models.find(({ id }) => id === model) ??
      models.find(({ available }) => available) ??
      models[0];
    this.#systemPrompt.set(system_prompt);
    const wanted = Object.entries({ ...apart, ...hyperparameters });
    const kept = wanted.filter(([name, value]) =>
      models.some(({ parameters }) => takes(parameters[name], value)),
    );
    this.#apart = new Map(kept);
    if (known) this.#choice.choose(known.id);
    this.#changed();
    const lost = wanted.filter((one) => !kept.includes(one)).map(([name]) => name);
    const unsent = Object.keys(hyperparameters).filter((name) => this.#apart.has(name));
    this.lapsed = lapseOf({
      model: typeof model === "string" && model !== known?.id ? model : null,
      instead: known?.name ?? "none",
      names: [...lost, ...unsent],
    });
  }
}

/**
 * @param {import("./parameter.js").Parameter | undefined} parameter
 * @param {unknown} value
 */
function takes(parameter, value) {
  return parameter?.supported === true && fits(value, parameter);
}

/** @param {{model: string | null, instead: string, names: string[]}} what does not hold any more */
function lapseOf({ model, instead, names }) {
  const gone =
    model && `${model}, which you had chosen, is not offered any more: ${instead} answers.`;
  const unfit =
    names.length > 0 && `No longer fits, and is not sent: ${names.map(labelOf).join(", ")}.`;
  return [gone, unfit].filter(Boolean).join(" ");
}

/** @returns {{model: unknown, system_prompt: unknown, hyperparameters: object, apart: object}} */
function savedSettings() {
  const saved = Object(kept(KEPT));
  return {
    model: saved.model,
    system_prompt: saved.system_prompt,
    hyperparameters: Object(saved.hyperparameters),
    apart: Object(saved.apart),
  };
}

/**
 * @param {Problem} problem
 * @returns {{pointer: string, detail: string}[]}
 */
function faultsOf({ slug, detail, errors }) {
  if (errors?.length) return errors;
  return slug === "unknown-model" || slug === "model-unavailable"
    ? [{ pointer: "#/model", detail }]
    : [];
}
