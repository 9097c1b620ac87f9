// How is a question edited? In a form in its place, whose text outlives whatever takes it away.

import { keepEdit } from "./edits.js";
import { element } from "./element.js";
import { isComposing, sends } from "./enter.js";

const NOT_NOW = "An answer is being written. Your text is kept here: send it once that is done.";

/** A form for another text of a question. */
export class QuestionEditor {
  #id;
  #take;
  #onClose;
  #area = element("textarea", { "aria-label": "Edited question" });
  #hint = element("p", { class: "faint", role: "status" });

  /**
   * @param {string} id of the question
   * @param {string} text to begin with
   * @param {(text: string) => boolean} take sends it, and says whether it could be taken
   * @param {() => void} onClose it is sent or given up
   */
  constructor(id, text, take, onClose) {
    this.#id = id;
    this.#take = take;
    this.#onClose = onClose;
    this.#area.value = text;
    const cancel = element("button", { type: "button", class: "plain-button" }, "Cancel");
    const send = element("button", { type: "submit", class: "primary-button" }, "Send edit");
    this.element = element(
      "form",
      { class: "editor", "aria-label": "Edit question" },
      this.#area,
      this.#hint,
      element("div", {}, cancel, send),
    );
    cancel.addEventListener("click", () => this.#close());
    this.#area.addEventListener("input", () => keepEdit(this.#id, this.#area.value));
    this.#area.addEventListener("keydown", (event) => this.#onKey(event));
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
  }

  focus() {
    this.#area.focus();
    this.#area.setSelectionRange(this.#area.value.length, this.#area.value.length);
  }

  /** It could be sent now. */
  ready() {
    if (this.#hint.textContent) this.#hint.textContent = "";
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Escape" && !isComposing(event)) this.#close();
    if (!sends(event)) return;
    event.preventDefault();
    this.element.requestSubmit();
  }

  #submit() {
    const text = this.#area.value;
    if (!text.trim()) return;
    if (this.#take(text)) this.#close();
    else this.#hint.textContent = NOT_NOW;
  }

  #close() {
    keepEdit(this.#id, "");
    this.#onClose();
  }
}
