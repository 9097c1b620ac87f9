// How is a question shown, and edited?

import { element, icon } from "./element.js";
import { Versions } from "./versions.js";

/** @typedef {import("./conversation.js").Shown} Shown */
/** @typedef {import("./messages.js").Deeds} Deeds */

/** A question. */
export class QuestionView {
  #deeds;
  #id = "";
  #bubble = element("div", { class: "bubble" });
  #edit = element(
    "button",
    {
      type: "button",
      class: "on-hover",
      "aria-label": "Edit",
      title: "Edit",
      "data-action": "edit",
    },
    icon("edit"),
  );
  #versions;
  #actions;
  /** @type {HTMLFormElement | null} */
  #editor = null;

  /** @param {Deeds} deeds */
  constructor(deeds) {
    this.#deeds = deeds;
    this.#versions = new Versions(deeds.activate);
    this.#actions = element("div", { class: "actions" }, this.#edit, this.#versions.element);
    this.element = element(
      "article",
      { class: "message question" },
      element("h2", { class: "visually-hidden" }, "You asked"),
      this.#bubble,
      this.#actions,
    );
    this.#edit.addEventListener("click", () => this.edit(this.#bubble.textContent ?? ""));
  }

  /** @param {Shown} shown @param {boolean} isBusy */
  update({ message, versions, version }, isBusy) {
    this.#id = message.message_id;
    if (this.#bubble.textContent !== message.content) this.#bubble.textContent = message.content;
    this.#versions.show(versions, version);
    this.#edit.disabled = isBusy;
  }

  grow() {} // only answers do

  /** @param {string} text to begin with */
  edit(text) {
    this.#editor?.remove();
    const area = element("textarea", { "aria-label": "Edited question" });
    area.value = text;
    const cancel = element("button", { type: "button", class: "plain-button" }, "Cancel");
    const send = element("button", { type: "submit", class: "primary-button" }, "Send edit");
    this.#editor = element(
      "form",
      { class: "editor", "aria-label": "Edit question" },
      area,
      element("div", {}, cancel, send),
    );
    cancel.addEventListener("click", () => this.#close());
    area.addEventListener("keydown", (event) => this.#onKey(event));
    this.#editor.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit(area.value);
    });
    this.#bubble.hidden = this.#actions.hidden = true;
    this.element.append(this.#editor);
    area.focus();
    area.setSelectionRange(text.length, text.length);
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key === "Escape") this.#close();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229)
      return;
    event.preventDefault();
    this.#editor?.requestSubmit();
  }

  /** @param {string} text */
  #submit(text) {
    if (!text.trim()) return;
    const id = this.#id;
    this.#close();
    this.#deeds.edit(id, text);
  }

  #close() {
    this.#editor?.remove();
    this.#editor = null;
    this.#bubble.hidden = this.#actions.hidden = false;
    this.#edit.focus();
  }
}
