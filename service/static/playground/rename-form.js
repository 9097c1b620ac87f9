// How is a title changed? In a field: Enter and going elsewhere save it, Escape leaves it as it was.

import { element } from "./element.js";
import { isComposing } from "./enter.js";
import { isProblem } from "./words.js";

/** @typedef {import("../chat-client.js").Problem} Problem */
/**
 * @typedef {object} Surroundings
 * @property {string} id of the form
 * @property {(title: string) => Promise<void>} save rejects with what the service refuses
 * @property {import("./sign-in.js").SignIn["remedy"]} remedy the button beside a problem
 * @property {(hadFocus: boolean) => void} closed when it is over, whatever the title is then
 */

export class RenameForm {
  #surroundings;
  #title;
  #input;
  #fault = element("div", { class: "rename-fault", role: "alert" });
  /** The last title that was. @type {string | null} */
  #refused = null;
  #isSaving = false;
  #isClosed = false;

  /**
   * @param {string} title as it is
   * @param {Surroundings} surroundings
   */
  constructor(title, surroundings) {
    this.#title = title;
    this.#surroundings = surroundings;
    this.#input = element("input", {
      class: "field-input",
      "aria-label": `New title of ${title}`,
      value: title,
    });
    this.#fault.id = `${surroundings.id}-fault`;
    this.element = element("form", { class: "rename" }, this.#input, this.#fault);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
    this.element.addEventListener("focusout", (event) => this.#onFocusOut(event));
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || isComposing(event)) return;
      // Else the panel that holds the list closes, too.
      event.preventDefault();
      this.#close();
    });
  }

  focus() {
    this.#input.select();
  }

  get #hasFocus() {
    return this.element.contains(document.activeElement);
  }

  async #save() {
    if (this.#isSaving || this.#isClosed) return;
    const title = this.#input.value;
    if (title === this.#title) return this.#close();
    this.#isSaving = true;
    this.#showFault(null);
    try {
      await this.#surroundings.save(title);
      this.#close();
    } catch (problem) {
      if (!isProblem(problem)) throw problem;
      this.#refused = title;
      this.#showFault(problem);
    } finally {
      this.#isSaving = false;
    }
  }

  /** @param {FocusEvent} event */
  async #onFocusOut({ relatedTarget }) {
    if (this.element.contains(/** @type {Node | null} */ (relatedTarget))) return;
    // A list in another order takes the field out and puts it back, focus and all, before this is over.
    await null;
    const isElsewhere = !this.#hasFocus && !document.activeElement?.closest("dialog");
    if (!isElsewhere || this.#isSaving) return;
    const title = this.#input.value;
    if (title === this.#refused || !title.trim()) this.#close();
    else this.#save();
  }

  #close() {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#surroundings.closed(this.#hasFocus);
  }

  /** @param {Problem | null} problem */
  #showFault(problem) {
    this.#fault.replaceChildren();
    this.#input.removeAttribute("aria-invalid");
    this.#input.removeAttribute("aria-describedby");
    if (!problem) return;
    const detail = problem.errors.find(({ pointer }) => pointer === "#/title")?.detail;
    const button = this.#surroundings.remedy(problem, { label: "", run: () => this.#save() }, () =>
      this.focus(),
    );
    this.#fault.append(element("p", { class: "field-fault" }, detail ?? problem.detail));
    if (button) this.#fault.append(button);
    this.#input.setAttribute("aria-invalid", "true");
    this.#input.setAttribute("aria-describedby", this.#fault.id);
  }
}
