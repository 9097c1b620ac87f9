// How is a question shown, and edited?

import { editOf, keepEdit } from "./edits.js";
import { element, icon } from "./element.js";
import { QuestionEditor } from "./question-editor.js";
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
  /** @type {QuestionEditor | null} */
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
    this.#edit.addEventListener("click", () => {
      this.#open(this.#bubble.textContent ?? "");
      this.#editor?.focus();
    });
  }

  /** @param {Shown} shown @param {boolean} isBusy */
  update({ message, versions, version }, isBusy) {
    const isNew = this.#id !== message.message_id;
    this.#id = message.message_id;
    if (this.#bubble.textContent !== message.content) this.#bubble.textContent = message.content;
    this.#versions.show(versions, version);
    this.#edit.disabled = isBusy;
    if (!isBusy) this.#editor?.ready();
    const edited = isNew && editOf(this.#id);
    if (edited) this.#open(edited);
  }

  grow() {} // only answers do

  /** @param {string} text that was to be sent in its place, and could not be */
  edit(text) {
    keepEdit(this.#id, text);
    this.#open(text);
    this.#editor?.focus();
  }

  /** @param {string} text to begin with */
  #open(text) {
    this.#editor?.element.remove();
    this.#editor = new QuestionEditor(
      this.#id,
      text,
      (edited) => this.#deeds.edit(this.#id, edited),
      () => this.#close(),
    );
    this.#bubble.hidden = this.#actions.hidden = true;
    this.element.append(this.#editor.element);
  }

  #close() {
    this.#editor?.element.remove();
    this.#editor = null;
    this.#bubble.hidden = this.#actions.hidden = false;
    this.#edit.focus();
  }
}
